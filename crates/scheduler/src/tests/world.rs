//! A store, a scheduler that follows it, and short ways to write nodes and pods.

use crate::{Decision, Scheduler};
use meta::{Resource, Time, Value};
use serde_json::json;
use store::{Draft, Expect, Head, Heads, Key, Op, Options, Store, Txn, Volatile};

pub struct World {
    pub store: Store,
    pub scheduler: Scheduler,
    pub now: Time,
    seen: u64,
}

impl World {
    /// YAML documents, in the order they are written.
    pub fn new(documents: &str) -> Self {
        Self::seeded(documents, 1)
    }

    pub fn seeded(documents: &str, seed: u64) -> Self {
        let heads =
            Heads { version: 1, parse: |_, json| head(&serde_json::from_slice(json).unwrap()) };
        let store = Store::inline(Box::new(Volatile), Options::new(heads)).unwrap();
        let scheduler = Scheduler::new(&["default-scheduler"], &store.view(), seed);
        let mut world = Self { store, scheduler, now: Time::from_secs(1000), seen: 0 };
        world.add(documents);
        world
    }

    pub fn add(&mut self, documents: &str) {
        for line in documents.lines().filter(|line| !line.trim().is_empty()) {
            self.put(schema::yaml_to_json(line.trim().as_bytes()).unwrap().value);
        }
    }

    pub fn put(&mut self, value: Value) {
        let value = written_out(value);
        let draft = Draft::new(key(&value), head(&value), value);
        self.commit(Op::Put { draft, expect: Expect::Any });
    }

    pub fn delete(&mut self, kind: &str, name: &str) {
        let key = key(&written_out(json!({ "kind": kind, "name": name })));
        self.commit(Op::Delete { key, expect: Expect::Present });
    }

    fn commit(&mut self, op: Op) {
        self.store.commit(Txn { ops: vec![op] }).unwrap();
        let changes = self.store.changes(self.seen).unwrap();
        changes.iter().for_each(|change| self.scheduler.take_in(change));
        self.seen = changes.up_to();
    }

    pub fn next(&mut self) -> Option<Decision> {
        self.scheduler.next(&self.store.view(), self.now)
    }

    /// Every decision that is due now.
    pub fn decide(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).map(|decision| shown(&decision)).collect()
    }

    pub fn wait(&mut self, secs: i64) {
        self.now = self.now.plus_secs(secs);
    }
}

pub fn shown(decision: &Decision) -> String {
    match decision {
        Decision::Bind { pod, node, .. } => format!("{} -> {node}", pod.name),
        Decision::Wait(why) => {
            let mut out = format!("{}: {}", why.pod.name, why.message);
            if let crate::Nomination::Node(node) = &why.nominated {
                let victims: Vec<&str> = why.victims.iter().map(|key| &*key.name).collect();
                out.push_str(&format!(" [{node} without {}]", victims.join(" ")));
            }
            out
        }
    }
}

/// The message without what upstream adds when no room can be made.
pub fn refusal(nodes: usize, reasons: &str, preemption: &str) -> String {
    format!(
        "0/{nodes} nodes are available: {reasons}. no new claims to deallocate, preemption: \
         0/{nodes} nodes are available: {preemption}."
    )
}

fn key(value: &Value) -> Key {
    let kind = value["kind"].as_str().unwrap();
    let (resource, namespaced) = match kind {
        "Pod" => (Resource::new("", "pods"), true),
        "Node" => (Resource::new("", "nodes"), false),
        "Namespace" => (Resource::new("", "namespaces"), false),
        "PersistentVolume" => (Resource::new("", "persistentvolumes"), false),
        "PersistentVolumeClaim" => (Resource::new("", "persistentvolumeclaims"), true),
        "StorageClass" => (Resource::new("storage.k8s.io", "storageclasses"), false),
        "PodDisruptionBudget" => (Resource::new("policy", "poddisruptionbudgets"), true),
        other => panic!("{other}"),
    };
    let metadata = &value["metadata"];
    let namespace =
        if namespaced { metadata["namespace"].as_str().unwrap_or("default") } else { "" };
    Key::new(&resource, namespace, metadata["name"].as_str().unwrap())
}

fn head(value: &Value) -> Head {
    let metadata = &value["metadata"];
    let labels = metadata["labels"].as_object().cloned().unwrap_or_default();
    Head {
        uid: metadata["name"].as_str().unwrap_or_default().into(),
        generation: metadata["generation"].as_i64().unwrap_or(1),
        created: Time::from_secs(metadata["age"].as_i64().unwrap_or(0)),
        deleted: metadata["deletionTimestamp"].as_str().and_then(Time::parse),
        labels: labels
            .iter()
            .map(|(k, v)| (k.as_str().into(), v.as_str().unwrap().into()))
            .collect(),
        ..Head::default()
    }
}

/// `name`, `labels`, `cpu`, `memory` and `at` (its node) at the top are short for where they belong.
pub fn written_out(mut value: Value) -> Value {
    let short = |value: &mut Value, key: &str| {
        value.as_object_mut().and_then(|members| members.remove(key)).unwrap_or_default()
    };
    for name in ["name", "labels", "namespace", "age", "generation"] {
        match short(&mut value, name) {
            Value::Null => {}
            is => value["metadata"][name] = is,
        }
    }
    let (cpu, memory, at) =
        (short(&mut value, "cpu"), short(&mut value, "memory"), short(&mut value, "at"));
    match value["kind"].as_str() {
        Some("Pod") => {
            let mut requests = json!({ "cpu": cpu, "memory": memory });
            requests.as_object_mut().unwrap().retain(|_, v| !v.is_null());
            if value["spec"]["containers"].is_null() {
                value["spec"]["containers"] =
                    json!([{ "name": "c", "image": "i", "resources": { "requests": requests } }]);
            }
            if !at.is_null() {
                value["spec"]["nodeName"] = at;
            }
        }
        Some("PodDisruptionBudget") => value["metadata"]["namespace"] = "default".into(),
        Some("Node") => {
            let have = &mut value["status"]["allocatable"];
            for (key, given, usual) in
                [("cpu", cpu, "4"), ("memory", memory, "8Gi"), ("pods", Value::Null, "10")]
            {
                if have[key].is_null() {
                    have[key] = if given.is_null() { usual.into() } else { given };
                }
            }
        }
        _ => {}
    }
    value
}
