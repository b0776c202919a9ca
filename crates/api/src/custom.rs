//! Custom resources: rows derived from CustomResourceDefinitions, cached by the revision they last changed at.

use crate::catalog::{
    Action, Catalog, CustomColumn, Field, Getter, Printer, ScaleSelector, Served, Sub,
};
use kinds::{Generation, Hooks, Traits, list, text};
use meta::{Gvk, Gvr, Resource, Value};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use store::View;

/// The catalog of the newest snapshot asked about. May be dropped at any instant.
#[derive(Default)]
pub struct Customs {
    last: Mutex<Option<((u64, Measured), Arc<Catalog>)>>,
}

/// Whether somebody measures usage.
type Measured = bool;

fn built_in(measured: Measured) -> &'static Catalog {
    static BUILT_IN: OnceLock<Catalog> = OnceLock::new();
    static WITH_MEASURED: OnceLock<Catalog> = OnceLock::new();
    match measured {
        true => WITH_MEASURED.get_or_init(Catalog::with_measured),
        false => BUILT_IN.get_or_init(Catalog::built_in),
    }
}

impl Customs {
    pub fn catalog(&self, view: &View, measured: Measured) -> Arc<Catalog> {
        let definitions = Resource::new(kinds::DEFINITIONS.0, kinds::DEFINITIONS.1);
        let touched = (view.touched(&definitions), measured);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, catalog)) = last.as_ref().filter(|(at, _)| *at == touched) {
            return catalog.clone();
        }
        let mut catalog = built_in(measured).clone();
        let mut rows: Vec<_> = view
            .list(&definitions, None)
            .map(|object| object.value())
            .filter(established)
            .flat_map(|definition| rows(&definition))
            .collect();
        rows.sort_by_key(place);
        rows.into_iter().for_each(|row| catalog.add(row));
        let catalog = Arc::new(catalog);
        *last = Some((touched, catalog.clone()));
        catalog
    }
}

/// Discovery order of custom groups: by name, newest stable version first.
fn place(served: &Served) -> (String, std::cmp::Reverse<(u8, u64, u64)>, String) {
    let version = std::cmp::Reverse(rank(&served.gvk.version));
    (served.gvk.group.to_string(), version, served.gvr.resource.to_string())
}

/// `v2` before `v1` before `v1beta2` before `v1alpha1` before anything else (apimachinery `pkg/version`).
fn rank(version: &str) -> (u8, u64, u64) {
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let Ok(major) = rest[..digits].parse() else { return (0, 0, 0) };
    let minor = |text: &str| text.parse().unwrap_or(0);
    match &rest[digits..] {
        "" => (3, major, 0),
        tail => match (tail.strip_prefix("beta"), tail.strip_prefix("alpha")) {
            (Some(n), _) => (2, major, minor(n)),
            (_, Some(n)) => (1, major, minor(n)),
            _ => (0, 0, 0),
        },
    }
}

fn established(definition: &Value) -> bool {
    let conditions = list(definition, "status.conditions");
    conditions.iter().any(|c| c["type"] == "Established" && c["status"] == "True")
}

/// One row per served version.
fn rows(definition: &Value) -> Vec<Served> {
    let versions = list(definition, "spec.versions");
    let storage = versions.iter().find(|v| v["storage"] == true).map(|v| text(v, "name"));
    let Some(storage) = storage else { return Vec::new() };
    let served = versions.iter().filter(|v| v["served"] == true);
    served.map(|version| row(definition, version, &storage)).collect()
}

fn row(definition: &Value, version: &Value, storage: &str) -> Served {
    let (group, name) = (text(definition, "spec.group"), text(version, "name"));
    let names = &definition["spec"]["names"];
    let (kind, plural) = (text(names, "kind"), text(names, "plural"));
    let words = |path: &str| list(names, path).iter().map(kinds::plain).collect();
    let written = version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default();
    let compiled = schema::compile(&written, "").unwrap_or_else(|_| schema::schemaless());
    Served {
        gvk: Gvk::new(&group, &name, &kind),
        gvr: Gvr::new(&group, &name, &plural),
        resource: Resource::new(&group, &plural),
        filed: Resource::new(&group, &plural),
        stored: format!("{group}/{storage}"),
        singular: text(names, "singular"),
        list_kind: text(names, "listKind"),
        short: words("shortNames"),
        categories: words("categories"),
        namespaced: text(definition, "spec.scope") == "Namespaced",
        verbs: kinds::ALL.iter().map(|v| (*v).to_string()).collect(),
        subs: subresources(version),
        fields: selectable(version),
        printer: Printer::Columns(columns(version)),
        hooks: Hooks { generation: Generation::Spec, ..Hooks::NONE },
        traits: Traits { unconditional: false, ..Traits::USUAL },
        convert: None,
        ty: Some(compiled),
        custom: true,
        schema: written,
    }
}

fn subresources(version: &Value) -> Vec<Sub> {
    let verbs = || ["get", "patch", "update"].map(String::from).to_vec();
    let mut subs = Vec::new();
    if version.pointer("/subresources/scale").is_some() {
        let at = |key: &str| text(version, &format!("subresources.scale.{key}"));
        subs.push(Sub {
            name: "scale".into(),
            verbs: verbs(),
            gvk: Some(Gvk::new("autoscaling", "v1", "Scale")),
            ty: schema::kind(&Gvk::new("autoscaling", "v1", "Scale")),
            action: Action::Scale {
                replicas: at("specReplicasPath"),
                status: at("statusReplicasPath"),
                selector: ScaleSelector::Path(at("labelSelectorPath")),
            },
        });
    }
    if version.pointer("/subresources/status").is_some() {
        let action = Action::Part { keep: kinds::keep_custom_status, check: None };
        subs.push(Sub { name: "status".into(), verbs: verbs(), gvk: None, ty: None, action });
    }
    subs
}

fn selectable(version: &Value) -> Vec<Field> {
    let fields = list(version, "selectableFields").iter().map(|f| text(f, "jsonPath"));
    let named = fields.map(|path| path.trim_start_matches('.').to_string());
    named.map(|path| Field { name: path.clone(), get: Getter::Path(path) }).collect()
}

fn columns(version: &Value) -> Vec<CustomColumn> {
    let given = list(version, "additionalPrinterColumns");
    if given.is_empty() {
        return vec![CustomColumn {
            name: "Age".into(),
            kind: "date".into(),
            format: String::new(),
            description: "Time at which the object was created on the server, in UTC.".into(),
            priority: 0,
            path: ".metadata.creationTimestamp".into(),
        }];
    }
    let column = |c: &Value| CustomColumn {
        name: text(c, "name"),
        kind: text(c, "type"),
        format: text(c, "format"),
        description: text(c, "description"),
        priority: c["priority"].as_i64().unwrap_or(0),
        path: text(c, "jsonPath"),
    };
    given.iter().map(column).collect()
}
