//! Which objects a list, watch or deletecollection means.

use crate::catalog::Served;
use meta::{FieldSelector, FieldTerm, LabelSelector, Problem, Value};
use std::sync::Arc;
use store::{Object, View};

/// Selectors of one request, checked against the kind.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    pub labels: LabelSelector,
    pub fields: FieldSelector,
    /// Some term is about a field the store does not keep (custom resources).
    deep: Vec<(FieldTerm, String)>,
}

impl Selection {
    /// # Errors
    /// 400 for syntax errors and for fields the kind does not offer.
    pub fn parse(served: &Served, labels: &str, fields: &str) -> Result<Self, Problem> {
        let labels = LabelSelector::parse(labels)
            .map_err(|why| Problem::bad_request(format!("unable to parse requirement: {why}")))?;
        let fields = FieldSelector::parse(fields).map_err(Problem::bad_request)?;
        let mut selection = Self { labels, fields, deep: Vec::new() };
        for term in &selection.fields.0 {
            selection.deep.extend(selection.check(served, term)?);
        }
        Ok(selection)
    }

    fn check(
        &self,
        served: &Served,
        term: &FieldTerm,
    ) -> Result<Option<(FieldTerm, String)>, Problem> {
        let name = term.name.as_str();
        if name == "metadata.name" || (name == "metadata.namespace" && served.namespaced) {
            return Ok(None);
        }
        match served.fields.iter().find(|f| f.name == name) {
            Some(field) => Ok(match &field.get {
                crate::catalog::Getter::Path(path) => Some((term.clone(), path.clone())),
                crate::catalog::Getter::Row(_) => None,
            }),
            None => Err(Problem::bad_request(unknown(served, name))),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub fn matches(&self, object: &Object) -> bool {
        self.labels.matches(|key| object.label(key))
            && self.fields.0.iter().all(|term| self.holds(term, object))
            && self.deep_matches(object)
    }

    fn holds(&self, term: &FieldTerm, object: &Object) -> bool {
        let value = match term.name.as_str() {
            "metadata.name" => &*object.key.name,
            "metadata.namespace" => &*object.key.namespace,
            name if self.deep.iter().any(|(t, _)| t.name == name) => return true,
            name => object.field(name).unwrap_or_default(),
        };
        (value == term.value) == term.equal
    }

    fn deep_matches(&self, object: &Object) -> bool {
        if self.deep.is_empty() {
            return true;
        }
        let value: Value = object.value();
        self.deep.iter().all(|(term, path)| {
            (kinds::text(&value, path.trim_start_matches('.')) == term.value) == term.equal
        })
    }

    /// Matching objects in key order, after `(namespace, name)` when given; uses an index where one fits.
    pub fn walk<'a>(
        &'a self,
        view: &'a View,
        served: &Served,
        namespace: Option<&'a str>,
        after: Option<(&'a str, &'a str)>,
    ) -> Box<dyn Iterator<Item = &'a Arc<Object>> + 'a> {
        let in_place = move |o: &&'a Arc<Object>| {
            let place = (&*o.key.namespace, &*o.key.name);
            namespace.is_none_or(|n| n == place.0) && after.is_none_or(|a| place > a)
        };
        let chosen: Box<dyn Iterator<Item = &'a Arc<Object>> + 'a> =
            match (self.index(served), after) {
                (Some(("metadata.name", name)), _) if namespace.is_some() || !served.namespaced => {
                    let key = crate::object::key(served, namespace.unwrap_or_default(), name);
                    Box::new(view.get(&key).into_iter().filter(in_place))
                }
                (Some((field, value)), _) if field != "metadata.name" => {
                    Box::new(view.by_field(&served.filed, field, value).filter(in_place))
                }
                (_, Some(after)) => Box::new(view.list_after(&served.filed, namespace, after)),
                (_, None) => Box::new(view.list(&served.filed, namespace)),
            };
        Box::new(chosen.filter(|o| self.matches(o)))
    }

    fn index(&self, served: &Served) -> Option<(&str, &str)> {
        if let Some(name) = self.fields.pinned("metadata.name") {
            return Some(("metadata.name", name));
        }
        let indexed = |t: &&FieldTerm| {
            t.equal && !served.custom && served.fields.iter().any(|f| f.name == t.name)
        };
        self.fields.0.iter().find(indexed).map(|t| (t.name.as_str(), t.value.as_str()))
    }
}

/// Kinds with selectable fields and those without answer differently (DefaultMetaV1FieldSelectorConversion).
fn unknown(served: &Served, name: &str) -> String {
    if served.fields.is_empty() && !served.custom {
        return format!(
            "{name:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
    }
    format!("field label not supported: {name}")
}
