//! A request below HTTP: what faces decode to and what controllers, the kubelet and tests make directly.

use meta::{Gvr, Value};

/// One request to one resource, as some [`Identity`](meta::Identity).
#[derive(Debug, Clone)]
pub struct Call {
    pub verb: Verb,
    pub resource: Gvr,
    /// `""` for cluster-scoped resources (and for lists over all namespaces).
    pub namespace: String,
    /// `""` for create, list and deletecollection.
    pub name: String,
    /// `""`, `status`, `scale`, `binding`, `eviction`, ...
    pub subresource: String,
    pub options: Options,
}

#[derive(Debug, Clone)]
pub enum Verb {
    Get,
    Create(Value),
    /// Carries `metadata.resourceVersion` when it must not overwrite a newer version.
    Update(Value),
    Patch(Patch),
    Delete(DeleteOptions),
}

#[derive(Debug, Clone)]
pub struct Patch {
    pub kind: PatchKind,
    pub body: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    Json,
    Merge,
    Strategic,
    /// Server-side apply; `force` takes fields over from other managers.
    Apply {
        force: bool,
    },
}

#[derive(Debug, Clone, Default)]
pub struct Options {
    pub dry_run: bool,
    pub field_manager: String,
}

#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    pub grace_secs: Option<i64>,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    pub propagation: Option<Propagation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    Orphan,
    Background,
    Foreground,
}

impl Call {
    pub fn new(verb: Verb, resource: Gvr, namespace: &str, name: &str) -> Self {
        Self {
            verb,
            resource,
            namespace: namespace.into(),
            name: name.into(),
            subresource: String::new(),
            options: Options::default(),
        }
    }

    /// The same request to a subresource.
    pub fn on(mut self, subresource: &str) -> Self {
        self.subresource = subresource.into();
        self
    }
}
