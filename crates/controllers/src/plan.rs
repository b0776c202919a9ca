//! The vocabulary of controllers.

use api::{Call, Verb};
use meta::{Problem, Resource, Time, Value};
use std::fmt;
use store::{Change, Key, View};

/// One controller.
pub struct Row {
    /// The service account in `kube-system` it acts as, e.g. `replicaset-controller`.
    pub name: &'static str,
    /// Which changes make which keys due.
    pub wakes: &'static [Wake],
    pub plan: fn(&View, &Key, Time) -> Plan,
    /// What to do about writes of a plan that were refused (quota, admission), e.g. report a condition.
    /// The key is planned again with back-off in any case.
    pub refused: Option<fn(&View, &Key, &[(Call, Problem)], Time) -> Plan>,
    /// What to tell users about a call that succeeded, given the object it left behind.
    pub made: Option<fn(&View, &Key, &Call, &Value) -> Option<Note>>,
}

/// A change of a `resource` makes the keys that `keys` names due.
pub struct Wake {
    /// `(group, plural)`, or [`EVERY`] resource.
    pub resource: (&'static str, &'static str),
    pub keys: fn(&View, &Change) -> Vec<Key>,
}

/// For [`Wake::resource`]: changes of whatever resource, custom ones too.
pub const EVERY: (&str, &str) = ("*", "*");

/// What a controller wants done for one key.
#[derive(Debug, Default)]
pub struct Plan {
    /// Made in order, all submitted before the first is awaited.
    pub calls: Vec<Call>,
    /// Plan this key again at this time even if nothing changes.
    pub wake: Option<Time>,
    /// Events for users (`kubectl describe`), correlated and counted by the loop.
    pub notes: Vec<Note>,
}

/// An event about an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// `ObjectReference` of what the event is about.
    pub about: Value,
    pub warning: Warning,
    /// `SuccessfulCreate`
    pub reason: &'static str,
    pub message: String,
}

/// The type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    Normal,
    Warning,
}

impl Row {
    /// Whether it plans by what nodes measure, which is in the snapshot only when asked for.
    pub fn reads_usage(&self) -> bool {
        self.wakes.iter().any(|wake| wake.resource.0 == api::USAGE_GROUP)
    }
}

impl Wake {
    /// `None` for [`EVERY`] resource.
    pub fn resource(&self) -> Option<Resource> {
        (self.resource != EVERY).then(|| Resource::new(self.resource.0, self.resource.1))
    }
}

impl Plan {
    pub fn nothing() -> Self {
        Self::default()
    }

    pub fn call(&mut self, call: Call) {
        self.calls.push(call);
    }

    /// Plan again at `at`, or earlier if asked before.
    pub fn wake_at(&mut self, at: Time) {
        self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at)));
    }

    pub fn note(&mut self, about: Value, warning: Warning, reason: &'static str, message: String) {
        self.notes.push(Note { about, warning, reason, message });
    }

    pub fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.notes.is_empty()
    }
}

/// The form goldens are written in: one line per call, wake and note.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for call in &self.calls {
            writeln!(f, "{}", line(call))?;
        }
        for note in &self.notes {
            writeln!(f, "event {:?} {}: {}", note.warning, note.reason, note.message)?;
        }
        match self.wake {
            Some(at) => writeln!(f, "wake {at}"),
            None => Ok(()),
        }
    }
}

/// `create pods default/ {"metadata":...}`
fn line(call: &Call) -> String {
    let (verb, body) = match &call.verb {
        Verb::Get => ("get", String::new()),
        Verb::Create(body) => ("create", body.to_string()),
        Verb::Update(body) => ("update", body.to_string()),
        Verb::Patch(patch) => ("patch", patch.body.to_string()),
        Verb::Delete(options) => ("delete", format!("{options:?}")),
    };
    let on = if call.subresource.is_empty() { "" } else { "/" };
    let target = format!("{}{on}{}", call.resource.resource, call.subresource);
    format!("{verb} {target} {}/{} {body}", call.namespace, call.name)
}
