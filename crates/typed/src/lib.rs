//! Typed reading of a [`View`] for brains: `view.read::<Pod>(ns, name)`.
//!
//! Only reading. Writing goes through [`api::Call`](../api/struct.Call.html)s in plans, so that every write
//! passes the same pipeline.

use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time as K8sTime};
use meta::{Gvk, Gvr, Resource, Time};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use store::{Key, Object, View};

pub use k8s_openapi::api;

/// Every generated kind with an `ObjectMeta`.
pub trait Kind:
    k8s_openapi::Resource + Metadata<Ty = ObjectMeta> + DeserializeOwned + Send + Sync + 'static
{
    fn resource() -> Resource {
        Resource::new(Self::GROUP, Self::URL_PATH_SEGMENT)
    }

    fn gvr() -> Gvr {
        Gvr::new(Self::GROUP, Self::VERSION, Self::URL_PATH_SEGMENT)
    }

    fn gvk() -> Gvk {
        Gvk::new(Self::GROUP, Self::VERSION, Self::KIND)
    }

    fn key(namespace: &str, name: &str) -> Key {
        Key::new(&Self::resource(), namespace, name)
    }
}

impl<K> Kind for K where
    K: k8s_openapi::Resource + Metadata<Ty = ObjectMeta> + DeserializeOwned + Send + Sync + 'static
{
}

/// Reading kinds from a snapshot.
pub trait Read {
    fn read<K: Kind>(&self, namespace: &str, name: &str) -> Option<Arc<K>>;

    /// In key order; all namespaces when `namespace` is `None`.
    fn read_all<K: Kind>(&self, namespace: Option<&str>) -> impl Iterator<Item = Arc<K>>;

    /// Objects of kind `K` with an owner reference to `uid`, in key order.
    fn read_owned<K: Kind>(&self, uid: &str) -> impl Iterator<Item = Arc<K>>;

    /// Objects of kind `K` whose selectable field has this value, in key order.
    fn read_by_field<K: Kind>(&self, field: &str, value: &str) -> impl Iterator<Item = Arc<K>>;
}

impl Read for View {
    fn read<K: Kind>(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.get(&K::key(namespace, name)).map(|object| parse(object))
    }

    fn read_all<K: Kind>(&self, namespace: Option<&str>) -> impl Iterator<Item = Arc<K>> {
        let all: Vec<_> =
            self.list(&K::resource(), namespace).map(|object| parse(object)).collect();
        all.into_iter()
    }

    fn read_owned<K: Kind>(&self, uid: &str) -> impl Iterator<Item = Arc<K>> {
        let resource = K::resource();
        let mine = self.owned(uid).filter(|o| o.key.resource == resource);
        mine.map(|object| parse(object)).collect::<Vec<_>>().into_iter()
    }

    fn read_by_field<K: Kind>(&self, field: &str, value: &str) -> impl Iterator<Item = Arc<K>> {
        let found = self.by_field(&K::resource(), field, value).map(|object| parse(object));
        found.collect::<Vec<_>>().into_iter()
    }
}

/// The typed form of a stored object.
pub fn parse<K: Kind>(object: &Object) -> Arc<K> {
    object.typed().expect("what the schema admits, the generated struct reads")
}

/// The controller among an object's owners.
pub fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// An API time as [`Time`].
pub fn time(at: &K8sTime) -> Time {
    Time(at.0.as_microsecond())
}

/// A [`Time`] as the API's, in whole seconds.
pub fn api_time(at: Time) -> K8sTime {
    let parsed = at.rfc3339().parse().expect("an RFC 3339 time parses");
    K8sTime(parsed)
}
