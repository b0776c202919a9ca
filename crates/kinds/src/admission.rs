//! The shape of admission: rows that may change or refuse a write.

use crate::{Authorizer, Tokens};
use meta::{Gvk, Identity, Problem, Resource, Time, Value};
use store::View;

/// One admission plugin. Rows run in the order of the table: first every `mutate`, later every `validate`.
pub struct AdmitRow {
    /// Upstream's plugin name.
    pub name: &'static str,
    /// Changes the object; not called for deletes and connects.
    pub mutate: Option<fn(&mut Value, &Admit<'_>, &mut Extras) -> Result<(), Problem>>,
    /// Sees the final object (`Null` for deletes and connects).
    pub validate: Option<fn(&Value, &Admit<'_>, &mut Extras) -> Result<(), Problem>>,
}

/// What is asked to be admitted.
pub struct Admit<'a> {
    pub operation: Operation,
    pub gvk: &'a Gvk,
    pub resource: &'a Resource,
    pub subresource: &'a str,
    pub namespace: &'a str,
    /// `""` when the name is yet to be generated.
    pub name: &'a str,
    /// The stored object, at the served version; `None` on create.
    pub old: Option<&'a Value>,
    pub identity: &'a Identity,
    pub now: Time,
    pub view: &'a View,
    pub tokens: &'a dyn Tokens,
    pub authorizer: &'a dyn Authorizer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// What admission adds to the answer and to the transaction.
#[derive(Debug, Default)]
pub struct Extras {
    /// Sent as `Warning` headers.
    pub warnings: Vec<String>,
    /// Other objects that change in the same transaction (quota usage, address allocations).
    pub also: Vec<Also>,
}

/// Another object of the same transaction, in its stored form.
#[derive(Debug, Clone)]
pub struct Also {
    pub resource: Resource,
    pub change: AlsoChange,
}

#[derive(Debug, Clone)]
pub enum AlsoChange {
    /// Must not exist yet; when it does, the request is planned again.
    Create(Value),
    /// Must still be at the revision its `resourceVersion` names; else the request is planned again.
    Replace(Value),
    Delete {
        namespace: String,
        name: String,
    },
}

impl Admit<'_> {
    /// `pods`, `deployments.apps`, without subresource.
    pub fn is(&self, resource: &str) -> bool {
        self.resource.as_str() == resource && self.subresource.is_empty()
    }

    pub fn creates(&self, resource: &str) -> bool {
        self.operation == Operation::Create && self.is(resource)
    }
}
