//! Lists of conditions: `lastTransitionTime` moves when the status does.

use meta::{Time, Value};
use serde_json::json;

/// Conditions as JSON, for kinds whose condition types differ only in name.
pub(crate) struct List(Vec<Value>);

impl List {
    /// `status.conditions` of a serialised status.
    pub fn of(status: &Value) -> Self {
        Self(status["conditions"].as_array().cloned().unwrap_or_default())
    }

    pub fn get(&self, kind: &str) -> Option<&Value> {
        self.0.iter().find(|c| c["type"] == kind)
    }

    pub fn is_true(&self, kind: &str) -> bool {
        self.get(kind).is_some_and(|c| c["status"] == "True")
    }

    /// Whether this changed anything.
    pub fn set(
        &mut self,
        kind: &str,
        status: &str,
        reason: &str,
        message: &str,
        now: Time,
    ) -> bool {
        self.set_with(kind, json!({ "status": status, "reason": reason, "message": message }), now)
    }

    /// As [`List::set`]; `says` holds everything but `type` and `lastTransitionTime`.
    pub fn set_with(&mut self, kind: &str, says: Value, now: Time) -> bool {
        let old = self.0.iter_mut().find(|c| c["type"] == kind);
        let mut new = says;
        new["type"] = kind.into();
        new["lastTransitionTime"] = match &old {
            Some(old) if old["status"] == new["status"] => old["lastTransitionTime"].clone(),
            _ => now.rfc3339().into(),
        };
        match old {
            Some(old) if same(old, &new) => return false,
            Some(old) => *old = new,
            None => self.0.push(new),
        }
        true
    }
}

/// Whether `old` says what `new` does; it may say more (`lastProbeTime`, `observedGeneration`).
fn same(old: &Value, new: &Value) -> bool {
    let said = new.as_object().into_iter().flatten();
    said.into_iter().all(|(key, value)| old[key] == *value || (value == "" && old[key].is_null()))
}

impl From<List> for Value {
    fn from(list: List) -> Self {
        list.0.into()
    }
}
