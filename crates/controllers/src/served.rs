//! Which resource a kind is, and how a stored object is addressed: the built-in table and the custom resources
//! of the snapshot (what upstream asks its RESTMapper and discovery).

use kinds::{KindRow, Scope};
use meta::{Gvr, Resource, Value};
use std::sync::Arc;
use store::{Key, Object, View};

/// A kind as far as generic controllers care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    /// In the version objects are stored in.
    pub gvr: Gvr,
    pub namespaced: bool,
}

/// The resource of `kind` in the group of `api_version`; `None` when nobody serves it.
pub(crate) fn by_kind(view: &View, api_version: &str, kind: &str) -> Option<Served> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let built_in = kinds::TABLE.iter().find(|row| row.group == group && row.kind == kind);
    built_in.map(|row| of_row(row)).or_else(|| {
        definitions(view)
            .find(|d| at(d, "/spec/group") == group && at(d, "/spec/names/kind") == kind)
            .map(|d| of_definition(&d))
    })
}

/// How objects filed under `resource` are addressed.
pub(crate) fn by_resource(view: &View, resource: &Resource) -> Option<Served> {
    let (group, plural) = (resource.group(), resource.plural());
    let is = |row: &&&KindRow| row.group == group && row.plural == plural && row.filed_as.is_none();
    kinds::TABLE.iter().find(is).map(|row| of_row(row)).or_else(|| {
        let name = format!("{plural}.{group}");
        let (group, plural) = kinds::DEFINITIONS;
        let found = view.get(&Key::new(&Resource::new(group, plural), "", &name));
        found.map(|object| of_definition(&object.value()))
    })
}

fn of_row(row: &KindRow) -> Served {
    Served {
        gvr: Gvr::new(row.group, row.versions[0].name, row.plural),
        namespaced: row.scope == Scope::Namespaced,
    }
}

fn of_definition(definition: &Value) -> Served {
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    let stored = versions.into_iter().flatten().find(|v| v["storage"] == true);
    let version = stored.and_then(|v| v["name"].as_str()).unwrap_or_default();
    Served {
        gvr: Gvr::new(at(definition, "/spec/group"), version, at(definition, "/spec/names/plural")),
        namespaced: at(definition, "/spec/scope") == "Namespaced",
    }
}

fn at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn definitions(view: &View) -> impl Iterator<Item = Value> {
    let (group, plural) = kinds::DEFINITIONS;
    let all: Vec<Arc<Object>> = view.list(&Resource::new(group, plural), None).cloned().collect();
    all.into_iter().map(|object| object.value())
}
