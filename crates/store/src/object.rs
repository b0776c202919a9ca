//! What the store keeps of an object.

use meta::{Resource, Time};
use serde::de::DeserializeOwned;
use std::any::Any;
use std::sync::{Arc, OnceLock};

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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    pub uid: Box<str>,
    pub generation: i64,
    pub created: Time,
    pub deleted: Option<Time>,
    /// Sorted by key.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    pub owners: Box<[Owner]>,
    pub finalizers: Box<[Box<str>]>,
    /// Selectable fields of the kind, e.g. `("spec.nodeName", "n1")`; sorted by name. Every entry is indexed.
    pub fields: Box<[(Box<str>, Box<str>)]>,
}

/// One `metadata.ownerReferences` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub uid: Box<str>,
    pub api_version: Box<str>,
    pub kind: Box<str>,
    pub name: Box<str>,
    pub controller: bool,
    pub blocks: bool,
}

/// An object about to be written: canonical JSON without `metadata.resourceVersion`, which the writer
/// inserts at `version_at`.
#[derive(Debug, Clone)]
pub struct Draft {
    pub key: Key,
    pub head: Head,
    pub json: Vec<u8>,
    /// Byte offset in `json` where `"resourceVersion":"N"` (with the commas it needs) goes.
    pub version_at: usize,
    /// Whether a comma goes before / after the inserted member.
    pub comma: Comma,
}

/// Which side of the inserted `resourceVersion` needs a comma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comma {
    Before,
    After,
    Neither,
}

/// A stored object. Immutable; every change makes a new one.
pub struct Object {
    pub key: Key,
    pub head: Head,
    /// Revision of this version (`metadata.resourceVersion`).
    pub revision: u64,
    /// Revision at which the key was created; equal to `revision` for a first version.
    pub born: u64,
    json: Box<[u8]>,
    typed: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Object {
    pub fn new(key: Key, head: Head, revision: u64, born: u64, json: Box<[u8]>) -> Self {
        Self { key, head, revision, born, json, typed: OnceLock::new() }
    }

    /// Canonical JSON with `resourceVersion` inside: what clients are sent.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    pub fn value(&self) -> meta::Value {
        serde_json::from_slice(&self.json).expect("stored bytes were serialised from a value")
    }

    /// The object as a typed struct, parsed at most once while this version lives.
    ///
    /// # Errors
    /// When the stored JSON does not fit `T` (the schema admits more than the struct).
    pub fn typed<T: DeserializeOwned + Send + Sync + 'static>(
        &self,
    ) -> Result<Arc<T>, serde_json::Error> {
        if let Some(Ok(hit)) = self.typed.get().map(|any| any.clone().downcast::<T>()) {
            return Ok(hit);
        }
        let parsed: Arc<T> = Arc::new(serde_json::from_slice(&self.json)?);
        let _ = self.typed.set(parsed.clone());
        Ok(parsed)
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        let labels = &self.head.labels;
        labels.binary_search_by(|(k, _)| (**k).cmp(key)).ok().map(|i| &*labels[i].1)
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = &self.head.fields;
        fields.binary_search_by(|(k, _)| (**k).cmp(name)).ok().map(|i| &*fields[i].1)
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}@{}", self.key.resource, self.key.namespace, self.key.name, self.revision)
    }
}

impl Draft {
    /// From a value whose `metadata` is an object; `resourceVersion` inside is dropped.
    pub fn new(key: Key, head: Head, mut value: meta::Value) -> Self {
        if let Some(metadata) = value.get_mut("metadata").and_then(|m| m.as_object_mut()) {
            metadata.remove("resourceVersion");
        }
        let (json, version_at, comma) = place(&value);
        Self { key, head, json, version_at, comma }
    }

    /// The bytes of this draft at `revision`.
    pub fn stamp(&self, revision: u64) -> Box<[u8]> {
        let (before, after) = match self.comma {
            Comma::Before => (",", ""),
            Comma::After => ("", ","),
            Comma::Neither => ("", ""),
        };
        let member = format!("{before}\"resourceVersion\":\"{revision}\"{after}");
        let mut out = Vec::with_capacity(self.json.len() + member.len());
        out.extend_from_slice(&self.json[..self.version_at]);
        out.extend_from_slice(member.as_bytes());
        out.extend_from_slice(&self.json[self.version_at..]);
        out.into_boxed_slice()
    }
}

/// Serialises member by member, so that the place of `resourceVersion` (sorted among the metadata keys) is known.
fn place(value: &meta::Value) -> (Vec<u8>, usize, Comma) {
    let mut out = vec![b'{'];
    let mut found = (1, Comma::Neither);
    for (i, (key, member)) in value.as_object().into_iter().flatten().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(&mut out, key);
        out.push(b':');
        match member.as_object() {
            Some(metadata) if key == "metadata" => found = place_in(&mut out, metadata),
            _ => write(&mut out, member),
        }
    }
    out.push(b'}');
    (out, found.0, found.1)
}

fn place_in(out: &mut Vec<u8>, metadata: &meta::Map) -> (usize, Comma) {
    out.push(b'{');
    let mut found = None;
    for (i, (key, member)) in metadata.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        if found.is_none() && key.as_str() > "resourceVersion" {
            found = Some((out.len(), Comma::After));
        }
        write(out, key);
        out.push(b':');
        write(out, member);
    }
    let last = if metadata.is_empty() { Comma::Neither } else { Comma::Before };
    let found = found.unwrap_or((out.len(), last));
    out.push(b'}');
    found
}

fn write<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("values with string keys serialise");
}
