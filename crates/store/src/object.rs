//! What the store keeps of an object.

use crate::derived::Derived;
use crate::strip::without_managed_fields;
use meta::{Resource, Time};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Where an object is filed. Ordered as lists are: by resource, namespace, name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub resource: Resource,
    /// `""` for cluster-scoped objects.
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl Key {
    pub fn new(resource: &Resource, namespace: &str, name: &str) -> Self {
        Self { resource: resource.clone(), namespace: namespace.into(), name: name.into() }
    }
}

/// The fields selection needs, parsed once when the object is written.
///
/// Texts that recur (label keys and values, kinds, field names) are shared between objects by the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    pub uid: Box<str>,
    pub generation: i64,
    pub created: Time,
    pub deleted: Option<Time>,
    /// Sorted by key.
    pub labels: Box<[(Arc<str>, Arc<str>)]>,
    pub owners: Box<[Owner]>,
    pub finalizers: Box<[Arc<str>]>,
    /// Selectable fields of the kind, e.g. `("spec.nodeName", "n1")`; sorted by name. Every entry is indexed.
    pub fields: Box<[(Arc<str>, Arc<str>)]>,
}

/// One `metadata.ownerReferences` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub uid: Arc<str>,
    pub api_version: Arc<str>,
    pub kind: Arc<str>,
    pub name: Arc<str>,
    pub controller: bool,
    pub blocks: bool,
}

/// A stored object. Immutable; every change makes a new one.
pub struct Object {
    pub key: Key,
    pub head: Arc<Head>,
    /// Revision of this version (`metadata.resourceVersion`).
    pub revision: u64,
    /// Revision at which the key was created; equal to `revision` for a first version.
    pub born: u64,
    pub(crate) body: Body,
    derived: Derived,
}

/// Canonical JSON with `resourceVersion` inside, and where its digits start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    pub json: Box<[u8]>,
    pub version_at: u32,
}

impl Object {
    pub(crate) fn new(key: Key, head: Arc<Head>, revision: u64, born: u64, body: Body) -> Self {
        Self { key, head, revision, born, body, derived: Derived::default() }
    }

    /// Canonical JSON with `resourceVersion` inside: what clients are sent.
    pub fn json(&self) -> &[u8] {
        &self.body.json
    }

    pub fn value(&self) -> meta::Value {
        serde_json::from_slice(self.json()).expect("stored bytes were serialised from a value")
    }

    /// The object as a typed struct, without `metadata.managedFields`. Kept for a while, so that many readers of
    /// one version parse it once.
    ///
    /// # Errors
    /// When the stored JSON does not fit `T` (the schema admits more than the struct).
    pub fn typed<T: DeserializeOwned + Send + Sync + 'static>(
        &self,
    ) -> Result<Arc<T>, serde_json::Error> {
        if let Some(hit) = self.derived.get::<T>() {
            return Ok(hit);
        }
        let json = without_managed_fields(self.json());
        let parsed: Arc<T> = Arc::new(serde_json::from_slice(&json)?);
        // Maps and texts take some times what they take as JSON.
        self.derived.keep(parsed.clone(), size_of::<T>() + 4 * json.len());
        Ok(parsed)
    }

    /// Bytes made of this version (another encoding), kept for a while. `T` names the form and wraps the bytes.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn form<T, E>(&self, make: impl FnOnce(&Self) -> Result<T, E>) -> Result<Arc<T>, E>
    where
        T: AsRef<[u8]> + Send + Sync + 'static,
    {
        if let Some(hit) = self.derived.get::<T>() {
            return Ok(hit);
        }
        let made = Arc::new(make(self)?);
        self.derived.keep(made.clone(), (*made).as_ref().len() + 64);
        Ok(made)
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        find(&self.head.labels, key)
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        find(&self.head.fields, name)
    }

    /// The same object as the last word of its deletion: only `resourceVersion` differs.
    pub(crate) fn restamped(&self, revision: u64) -> Self {
        let body = self.body.restamped(self.revision, revision);
        Self::new(self.key.clone(), self.head.clone(), revision, self.born, body)
    }

    /// Bytes this version holds on to, near enough for bounding the history.
    pub(crate) fn weight(&self) -> usize {
        self.body.json.len() + 200
    }
}

impl Body {
    /// The bytes before and after the digits of `resourceVersion`, which are those of `revision`.
    pub fn around(&self, revision: u64) -> (&[u8], &[u8]) {
        let at = self.version_at as usize;
        (&self.json[..at], &self.json[at + digits(revision)..])
    }

    fn restamped(&self, from: u64, to: u64) -> Self {
        let (before, after) = self.around(from);
        let json = [before, to.to_string().as_bytes(), after].concat().into_boxed_slice();
        Self { json, version_at: self.version_at }
    }
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn find<'a>(sorted: &'a [(Arc<str>, Arc<str>)], key: &str) -> Option<&'a str> {
    sorted.binary_search_by(|(k, _)| (**k).cmp(key)).ok().map(|i| &*sorted[i].1)
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Key { resource, namespace, name } = &self.key;
        write!(f, "{resource}/{namespace}/{name}@{}", self.revision)
    }
}
