//! A consistent, immutable snapshot: the only way brains read.

use crate::object::{Key, Object};
use crate::state::State;
use meta::Resource;
use std::sync::Arc;

/// A snapshot at one revision. Cheap to clone and to keep; never changes.
#[derive(Clone)]
pub struct View {
    pub(crate) state: Arc<State>,
}

impl View {
    pub fn revision(&self) -> u64 {
        self.state.revision
    }

    pub fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.state.objects.get(key)
    }

    /// Objects of a resource in key order; all namespaces when `namespace` is `None`.
    pub fn list<'a>(
        &'a self,
        resource: &Resource,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        self.state.range(resource, namespace.unwrap_or(""), "", namespace.is_some())
    }

    /// As [`View::list`], but only what comes after `(namespace, name)`.
    pub fn list_after<'a>(
        &'a self,
        resource: &Resource,
        namespace: Option<&str>,
        after: (&str, &str),
    ) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        let (ns, name) = (after.0.to_string(), after.1.to_string());
        self.state
            .range(resource, after.0, after.1, namespace.is_some())
            .skip_while(move |o| (&*o.key.namespace, &*o.key.name) == (ns.as_str(), name.as_str()))
    }

    /// Objects with an owner reference to `uid`, in key order.
    pub fn owned<'a>(&'a self, uid: &str) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        self.state.indexed(crate::state::owner_index(uid))
    }

    /// Objects of `resource` whose selectable field `name` has `value`, in key order.
    pub fn by_field<'a>(
        &'a self,
        resource: &Resource,
        name: &str,
        value: &str,
    ) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        self.state.indexed(crate::state::field_index(resource, name, value))
    }
}
