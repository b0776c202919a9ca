//! What is served right now: built-in rows and custom resources, resolved to one shape.

use bytes::Bytes;
use kinds::{Check, Conversion, FieldRow, Hooks, KindRow, Scope, Selector, SubAction, TableRow};
use meta::{Gvk, Gvr, Resource, Value};
use schema::Type;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// One kind at one version, ready to serve. Built-in and custom kinds look alike here.
pub struct Served {
    pub gvk: Gvk,
    pub gvr: Gvr,
    /// As named in messages.
    pub resource: Resource,
    /// Where the store files the objects.
    pub filed: Resource,
    /// `apiVersion` of stored objects.
    pub stored: String,
    pub singular: String,
    pub list_kind: String,
    pub short: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    pub subs: Vec<Sub>,
    pub fields: Vec<Field>,
    pub printer: Printer,
    pub hooks: Hooks,
    pub traits: kinds::Traits,
    pub convert: Option<Conversion>,
    /// Absent only for kinds whose schema accepts anything.
    pub ty: Option<Type>,
    /// A custom resource: pruned, never patched strategically, status needs its own subresource.
    pub custom: bool,
    /// `openAPIV3Schema` of a custom resource as it was written; null for built-in kinds.
    pub schema: Value,
}

pub struct Sub {
    pub name: String,
    pub verbs: Vec<String>,
    /// The body's kind, when it is not the parent's.
    pub gvk: Option<Gvk>,
    pub ty: Option<Type>,
    pub action: Action,
}

#[derive(Clone)]
pub enum Action {
    Part { keep: fn(&mut Value, &Value), check: Option<Check> },
    Scale { replicas: String, status: String, selector: ScaleSelector },
    Act(fn(&kinds::Act<'_>) -> Result<kinds::Effect, meta::Problem>),
    Connect,
}

#[derive(Debug, Clone)]
pub enum ScaleSelector {
    Row(Selector),
    /// A string at this path; `""` when there is none.
    Path(String),
}

pub struct Field {
    pub name: String,
    pub get: Getter,
}

pub enum Getter {
    Row(fn(&Value) -> String),
    Path(String),
}

pub enum Printer {
    Row(TableRow),
    Columns(Vec<CustomColumn>),
}

/// One `additionalPrinterColumns` entry.
#[derive(Debug, Clone)]
pub struct CustomColumn {
    pub name: String,
    pub kind: String,
    pub format: String,
    pub description: String,
    pub priority: i64,
    pub path: String,
}

/// Everything served, by group, version and plural.
#[derive(Default, Clone)]
pub struct Catalog {
    served: BTreeMap<(String, String, String), Arc<Served>>,
    /// In discovery order.
    pub order: Vec<Arc<Served>>,
    /// Documents made of the catalog, on first use.
    pub memo: Arc<Memo>,
}

/// Documents that only change with the catalog.
#[derive(Default)]
pub struct Memo {
    pub openapi_v2_json: OnceLock<Bytes>,
    pub openapi_v2_proto: OnceLock<Bytes>,
}

impl Catalog {
    /// The built-in rows.
    pub fn built_in() -> Self {
        let mut catalog = Self::default();
        kinds::TABLE.iter().for_each(|row| catalog.add_row(row));
        catalog
    }

    pub(crate) fn add_row(&mut self, row: &'static KindRow) {
        (0..row.versions.len()).for_each(|at| self.add(Served::from_row(row, at)));
    }

    pub fn add(&mut self, served: Served) {
        let key = (
            served.gvr.group.to_string(),
            served.gvr.version.to_string(),
            served.gvr.resource.to_string(),
        );
        let served = Arc::new(served);
        self.memo = Arc::default();
        self.order.push(served.clone());
        self.served.insert(key, served);
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Served>> {
        self.served.get(&(group.to_string(), version.to_string(), plural.to_string()))
    }

    /// Any version of the kind that files its objects here; for the store's heads.
    pub fn filed(&self, resource: &Resource) -> Option<&Arc<Served>> {
        self.order.iter().find(|s| s.filed == *resource)
    }
}

impl Served {
    fn from_row(row: &'static KindRow, at: usize) -> Self {
        let version = &row.versions[at];
        let (group, plural) = row.filed_as.unwrap_or((row.group, row.plural));
        let stored = match row.filed_as {
            Some((group, _)) => api_version(group, "v1"),
            None => api_version(row.group, row.versions[0].name),
        };
        let owned = |words: &[&str]| words.iter().map(|w| w.to_string()).collect();
        Self {
            gvk: Gvk::new(row.group, version.name, row.kind),
            gvr: Gvr::new(row.group, version.name, row.plural),
            resource: Resource::new(row.group, row.plural),
            filed: Resource::new(group, plural),
            stored,
            singular: row.singular.into(),
            list_kind: format!("{}List", row.kind),
            short: owned(row.short),
            categories: owned(row.categories),
            namespaced: row.scope == Scope::Namespaced,
            verbs: owned(row.verbs),
            subs: row.subresources.iter().map(Sub::from_row).collect(),
            fields: row.fields.iter().map(Field::from_row).collect(),
            printer: Printer::Row(row.table),
            hooks: row.hooks,
            traits: row.traits,
            convert: version.convert,
            ty: schema::named(version.message),
            custom: false,
            schema: Value::Null,
        }
    }

    pub fn sub(&self, name: &str) -> Option<&Sub> {
        self.subs.iter().find(|s| s.name == name)
    }

    pub fn has_status(&self) -> bool {
        self.sub("status").is_some()
    }

    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    pub fn api_version(&self) -> String {
        self.gvk.api_version()
    }
}

fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.into() } else { format!("{group}/{version}") }
}

impl Sub {
    fn from_row(row: &kinds::SubRow) -> Self {
        let action = match &row.action {
            SubAction::Part { keep, check } => Action::Part { keep: *keep, check: *check },
            SubAction::Scale { replicas, status, selector } => Action::Scale {
                replicas: replicas.to_string(),
                status: status.to_string(),
                selector: ScaleSelector::Row(*selector),
            },
            SubAction::Act(act) => Action::Act(*act),
            SubAction::Connect => Action::Connect,
        };
        Self {
            name: row.name.into(),
            verbs: row.verbs.iter().map(|v| v.to_string()).collect(),
            gvk: row.kind.map(|(group, version, kind, _)| Gvk::new(group, version, kind)),
            ty: row.kind.and_then(|(_, _, _, message)| schema::named(message)),
            action,
        }
    }
}

impl Field {
    fn from_row(row: &FieldRow) -> Self {
        Self { name: row.name.into(), get: Getter::Row(row.get) }
    }

    pub fn value(&self, object: &Value) -> String {
        match &self.get {
            Getter::Row(get) => get(object),
            Getter::Path(path) => kinds::text(object, path),
        }
    }
}
