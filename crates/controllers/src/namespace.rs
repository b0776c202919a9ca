//! Namespace: takes everything out of a namespace that is being deleted, pods first, then lets it go
//! (pkg/controller/namespace/deletion/namespaced_resources_deleter.go, status_condition_utils.go).

use crate::plan::{EVERY, Plan, Row, Wake};
use crate::{calls, conditions, served, wakes};
use api::{Call, DeleteOptions, Propagation, Verb};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use meta::{Resource, Time, Value};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Change, Key, Object, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "namespace-controller",
    wakes: &[
        Wake { resource: ("", "namespaces"), keys: wakes::itself },
        Wake { resource: EVERY, keys: wake_of_content },
    ],
    plan,
    refused: None,
    made: None,
};

const FINALIZER: &str = "kubernetes";

/// Content wakes its namespace when that is on its way out.
fn wake_of_content(view: &View, change: &Change) -> Vec<Key> {
    let namespace = Namespace::key("", &change.after.key.namespace);
    let leaving = view.get(&namespace).is_some_and(|n| n.head.deleted.is_some());
    if leaving { vec![namespace] } else { Vec::new() }
}

fn plan(view: &View, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let namespace = view.read::<Namespace>("", &key.name);
    let Some(namespace) = namespace.filter(|n| calls::is_deleting(&n.metadata)) else {
        return plan;
    };
    let finalizers = namespace.spec.as_ref().and_then(|s| s.finalizers.clone());
    let finalizers = finalizers.unwrap_or_default();
    if !finalizers.iter().any(|f| f == FINALIZER) {
        return plan;
    }
    let content = Content::of(view, &key.name);
    let told = tell(&namespace, &content, now);
    let is_told = told.is_none();
    plan.calls.extend(told);
    for object in content.due() {
        plan.calls.extend(delete(view, object));
    }
    if content.is_empty() && is_told {
        plan.call(finalize(view, key, &finalizers));
    }
    plan
}

/// What is left in a namespace.
struct Content {
    by_resource: BTreeMap<Resource, Vec<Arc<Object>>>,
}

impl Content {
    fn of(view: &View, namespace: &str) -> Self {
        let all = view.resources().map(|resource| {
            (resource.clone(), view.list(resource, Some(namespace)).cloned().collect::<Vec<_>>())
        });
        // Cluster-scoped objects are filed under no namespace and never listed here.
        Self { by_resource: all.filter(|(_, objects)| !objects.is_empty()).collect() }
    }

    fn is_empty(&self) -> bool {
        self.by_resource.is_empty()
    }

    /// Pods; everything else when they are gone. What is being deleted already is waited for.
    fn due(&self) -> impl Iterator<Item = &Arc<Object>> {
        let pods = Pod::resource();
        let waits = self.by_resource.contains_key(&pods);
        self.by_resource
            .iter()
            .filter(move |(resource, _)| !waits || **resource == pods)
            .flat_map(|(_, objects)| objects)
            .filter(|object| object.head.deleted.is_none())
    }

    /// How many objects wait for each finalizer.
    fn finalizers(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for finalizer in self.by_resource.values().flatten().flat_map(|o| &o.head.finalizers) {
            *counts.entry(&**finalizer).or_default() += 1;
        }
        counts
    }
}

fn delete(view: &View, object: &Object) -> Option<Call> {
    let served = served::by_resource(view, &object.key.resource)?;
    let options = DeleteOptions {
        uid: Some(object.head.uid.to_string()),
        propagation: Some(Propagation::Background),
        ..DeleteOptions::default()
    };
    let verb = Verb::Delete(options);
    Some(Call::new(verb, served.gvr, &object.key.namespace, &object.key.name))
}

fn finalize(view: &View, key: &Key, finalizers: &[String]) -> Call {
    let left: Vec<_> = finalizers.iter().filter(|f| *f != FINALIZER).collect();
    let mut value = view.get(key).map_or(Value::Null, |object| object.value());
    value["spec"] = json!({ "finalizers": left });
    Call::new(Verb::Update(value), Namespace::gvr(), "", &key.name).on("finalize")
}

/// The patch that brings the conditions up to date.
fn tell(namespace: &Namespace, content: &Content, now: Time) -> Option<Call> {
    let old = calls::value(&namespace.status);
    let mut new = old.clone();
    new["phase"] = "Terminating".into();
    let mut list = conditions::List::of(&old);
    for (kind, reason, message) in SETTLED {
        list.set(kind, "False", reason, message, now);
    }
    match remaining(content) {
        Some(left) => {
            let message = format!("Some resources are remaining: {left}");
            list.set("NamespaceContentRemaining", "True", "SomeResourcesRemain", &message, now);
        }
        None => {
            let message = "All content successfully removed";
            list.set("NamespaceContentRemaining", "False", "ContentRemoved", message, now);
        }
    }
    let waiting: Vec<_> = content
        .finalizers()
        .into_iter()
        .map(|(name, count)| format!("{name} in {count} resource instances"))
        .collect();
    let kind = "NamespaceFinalizersRemaining";
    if waiting.is_empty() {
        let message = "All content-preserving finalizers finished";
        list.set(kind, "False", "ContentHasNoFinalizers", message, now);
    } else {
        let waiting = waiting.join(", ");
        let message = format!("Some content in the namespace has finalizers remaining: {waiting}");
        list.set(kind, "True", "SomeFinalizersRemain", &message, now);
    }
    new["conditions"] = list.into();
    calls::status::<Namespace>(&namespace.metadata, &old, &new)
}

/// Conditions that never hold here: the snapshot knows every resource, and deletions that are refused are
/// tried again.
const SETTLED: &[(&str, &str, &str)] = &[
    (
        "NamespaceDeletionDiscoveryFailure",
        "ResourcesDiscovered",
        "All resources successfully discovered",
    ),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
];

/// What will not go at once: objects that wait for finalizers or grace.
fn remaining(content: &Content) -> Option<String> {
    let stays = |o: &&Arc<Object>| o.head.deleted.is_some() || !o.head.finalizers.is_empty();
    let counts = content.by_resource.iter().filter_map(|(resource, objects)| {
        let count = objects.iter().filter(stays).count();
        let (plural, group) = (resource.plural(), resource.group());
        (count > 0).then(|| format!("{plural}.{group} has {count} resource instances"))
    });
    let text = counts.collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then_some(text)
}
