//! Goldens of every kind of patch over real kinds.

#![allow(clippy::unwrap_used)]

mod apply;
mod plain;
mod properties;
mod strategic;

use crate::{Applied, At, FieldSet, Force, Target, Writer};
use meta::{Gvk, Problem, Time, Value};
use serde_json::json;

fn type_of(api_version: &str, kind: &str) -> schema::Type {
    schema::kind(&Gvk::parse(api_version, kind)).unwrap()
}

/// One object of one kind, written by several managers one after another.
struct Desk {
    ty: schema::Type,
    api_version: &'static str,
    live: Option<Value>,
    clock: i64,
    ignored: FieldSet,
    subresource: &'static str,
    zero: Value,
}

impl Desk {
    fn new(api_version: &'static str, kind: &str) -> Self {
        let ty = type_of(api_version, kind);
        let mut zero = json!({ "metadata": {} });
        for part in ["spec", "status"].into_iter().filter(|part| At(Some(&ty)).declares(part)) {
            zero[part] = json!({});
        }
        Self {
            ty,
            zero,
            api_version,
            live: None,
            clock: 1_767_225_600,
            ignored: FieldSet::default(),
            subresource: "",
        }
    }

    fn write<R>(
        &mut self,
        manager: &str,
        go: impl FnOnce(Option<&Value>, Writer, Target) -> R,
    ) -> R {
        self.clock += 1;
        let writer = Writer {
            manager,
            subresource: self.subresource,
            api_version: self.api_version,
            now: Time::from_secs(self.clock),
        };
        let target = Target { at: At(Some(&self.ty)), zero: &self.zero, ignored: &self.ignored };
        go(self.live.as_ref(), writer, target)
    }

    /// A create, update or patch that makes the object what `new` is; ownership is carried over as clients do.
    fn update(&mut self, manager: &str, mut new: Value) {
        if let Some(live) = &self.live
            && new["metadata"].get("managedFields").is_none()
            && let Some(entries) = live["metadata"].get("managedFields")
        {
            new["metadata"]["managedFields"] = entries.clone();
        }
        self.live = Some(self.write(manager, |live, w, t| crate::track(live, new, w, t)));
    }

    fn try_apply(&mut self, manager: &str, config: Value, force: Force) -> Result<(), Problem> {
        let done = self.write(manager, |live, w, t| crate::apply(live, &config, force, w, t));
        done.map(|Applied { mut object }| {
            // As it comes back from the store.
            without_nulls(&mut object);
            self.live = Some(object);
        })
    }

    fn apply(&mut self, manager: &str, config: Value) {
        self.try_apply(manager, config, Force::No).unwrap();
    }

    fn live(&self) -> &Value {
        self.live.as_ref().unwrap()
    }

    fn entries(&self) -> Vec<Value> {
        self.live()["metadata"]["managedFields"].as_array().cloned().unwrap_or_default()
    }

    /// `manager operation: fields` per entry, in order.
    fn owners(&self) -> Vec<String> {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
        let one = |e: &Value| {
            let fields = crate::decode_fields(&e["fieldsV1"]).unwrap().paths().join(" ");
            let sub = text(&e["subresource"]);
            let sub = if sub.is_empty() { sub } else { format!("/{sub}") };
            format!("{}{sub} {}: {fields}", text(&e["manager"]), text(&e["operation"]))
        };
        self.entries().iter().map(one).collect()
    }

    /// The object without its ownership.
    fn bare(&self) -> Value {
        let mut out = self.live().clone();
        out["metadata"].as_object_mut().unwrap().remove("managedFields");
        out
    }
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

fn config_map(data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" }, "data": data })
}
