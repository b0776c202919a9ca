//! A whole control plane in one thread: the real store, API pipeline and loop, with a clock that the test turns.

#![allow(dead_code)]

use api::{AllowAll, Api, Call, CallNext, CallOutcome, Env, NoTokens, Patch, PatchKind, Verb};
use controllers::Row;
use meta::{Gvr, Identity, Problem, Time, Value};
use std::sync::Arc;
use store::{Change, Key, Options, Store, View, Volatile};

pub struct Cluster {
    pub api: Arc<Api>,
    pub store: Store,
    turn: control::Turn,
    pub now: Time,
    seed: u64,
}

/// 2026-01-01T00:00:00Z
pub const START: Time = Time::from_secs(1_767_225_600);

fn entropy(seed: &mut u64) -> [u8; 32] {
    let mut out = [0; 32];
    for chunk in out.chunks_mut(8) {
        // splitmix64
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    out
}

fn turn(api: &Arc<Api>, store: &Store, mut seed: u64) -> control::Turn {
    let entropy = Box::new(move || entropy(&mut seed));
    control::Turn::new(api.clone(), store.clone(), controllers::TABLE, entropy)
}

impl Cluster {
    /// With every controller, the usual namespaces and a CA.
    pub fn new() -> Self {
        let api = Arc::new(Api::new(Box::new(AllowAll), Box::new(NoTokens)));
        let store = Store::inline(Box::new(Volatile), Options::new(api::heads())).unwrap();
        let turn = turn(&api, &store, 7);
        let mut cluster = Self { api, store, turn, now: START, seed: 1 };
        cluster.apply(
            "{apiVersion: v1, kind: Namespace, metadata: {name: default}}\n---\n\
             {apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}\n---\n\
             {apiVersion: v1, kind: ConfigMap, metadata: {name: extension-apiserver-authentication, \
             namespace: kube-system}, data: {client-ca-file: PEM}}",
        );
        cluster.settle();
        cluster
    }

    /// Replaces the loop by a new one that knows nothing.
    pub fn forget(&mut self) {
        self.seed += 1;
        self.turn = turn(&self.api, &self.store, self.seed << 32);
    }

    pub fn view(&self) -> View {
        self.store.view()
    }

    /// # Panics
    /// When the loop does not come to rest.
    pub fn settle(&mut self) {
        for _ in 0..2000 {
            self.turn.turn(self.now);
            if self.turn.is_quiet() {
                return;
            }
            // Back-off of refused calls is short at first.
            self.now = self.now.plus_ms(1);
        }
        panic!("the controllers never come to rest");
    }

    /// Lets `secs` pass, timer by timer.
    pub fn pass(&mut self, secs: i64) {
        let end = self.now.plus_secs(secs);
        self.settle();
        while let Some(at) = self.turn.next_timer().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.settle();
        }
        self.now = self.now.max(end);
        self.settle();
    }

    pub fn call(&mut self, call: Call) -> Result<Value, Problem> {
        let identity = Identity { name: "admin".into(), ..Identity::default() };
        loop {
            let env = Env {
                identity: &identity,
                now: self.now,
                entropy: entropy(&mut self.seed),
                user_agent: "test",
            };
            match self.api.call(&call, &env, &self.store.view()) {
                CallOutcome::Done(result) => return result,
                CallOutcome::Commit(mut pending) => {
                    let result = self.store.commit(std::mem::take(&mut pending.txn));
                    match self.api.settle_call(pending, result) {
                        CallNext::Done(result) => return result,
                        CallNext::Retry => {}
                    }
                }
            }
        }
    }

    /// Creates every document.
    pub fn apply(&mut self, yaml: &str) {
        for value in documents(yaml) {
            let gvr = gvr_of(&value);
            let namespace = namespace_of(&value);
            let created = self.call(Call::new(Verb::Create(value.clone()), gvr, &namespace, ""));
            created.unwrap_or_else(|problem| panic!("{value}: {problem}"));
        }
    }

    /// A node that is heard of for good.
    pub fn add_node(&mut self, name: &str) {
        let metadata = serde_json::json!({ "name": name });
        let node = serde_json::json!({ "apiVersion": "v1", "kind": "Node", "metadata": metadata });
        self.apply(&node.to_string());
        let ready = serde_json::json!({ "type": "Ready", "status": "True",
            "lastHeartbeatTime": "2100-01-01T00:00:00Z",
            "lastTransitionTime": self.now.rfc3339() });
        self.patch_status(&format!("nodes/{name}"), serde_json::json!({ "conditions": [ready] }));
        self.settle();
    }

    pub fn patch(&mut self, path: &str, body: Value) {
        self.patch_on(path, "", body);
    }

    pub fn patch_status(&mut self, path: &str, status: Value) {
        self.patch_on(path, "status", serde_json::json!({ "status": status }));
    }

    fn patch_on(&mut self, path: &str, subresource: &str, body: Value) {
        let (gvr, namespace, name) = parse_path(path);
        let patch = Patch { kind: PatchKind::Merge, body };
        let call = Call::new(Verb::Patch(patch), gvr, &namespace, &name).on(subresource);
        self.call(call).unwrap_or_else(|problem| panic!("{path}: {problem}"));
    }

    pub fn delete(&mut self, path: &str) {
        self.delete_with(path, api::DeleteOptions::default());
    }

    pub fn delete_with(&mut self, path: &str, options: api::DeleteOptions) {
        let (gvr, namespace, name) = parse_path(path);
        self.call(Call::new(Verb::Delete(options), gvr, &namespace, &name)).unwrap();
    }

    /// `deployments.apps/default/web`; `Null` when there is none.
    pub fn get(&self, path: &str) -> Value {
        let (gvr, namespace, name) = parse_path(path);
        let view = self.view();
        let key = Key::new(&gvr.resource(), &namespace, &name);
        view.get(&key).map_or(Value::Null, |object| object.value())
    }

    /// Objects of a resource in a namespace.
    pub fn list(&self, resource: &str, namespace: &str) -> Vec<Value> {
        let resource = gvr(resource).resource();
        self.view().list(&resource, Some(namespace)).map(|object| object.value()).collect()
    }

    pub fn names(&self, resource: &str, namespace: &str) -> Vec<String> {
        let all = self.list(resource, namespace);
        all.iter().map(|v| v["metadata"]["name"].as_str().unwrap().into()).collect()
    }

    /// What scheduler and kubelet would do: every pod without a node gets one (a daemon its own), runs and is
    /// ready.
    pub fn run_pods(&mut self, namespace: &str, node: &str) {
        let mut at = 0;
        for pod in self.list("pods", namespace) {
            at += 1;
            let name = pod["metadata"]["name"].as_str().unwrap().to_string();
            let path = format!("pods/{namespace}/{name}");
            if pod["metadata"]["deletionTimestamp"].is_string() {
                continue;
            }
            if pod["spec"]["nodeName"].is_null() {
                let node = pod.pointer(MEANT_FOR).and_then(Value::as_str).unwrap_or(node);
                let body = serde_json::json!({
                    "apiVersion": "v1", "kind": "Binding",
                    "metadata": { "name": name }, "target": { "kind": "Node", "name": node },
                });
                let call = Call::new(Verb::Create(body), gvr("pods"), namespace, &name);
                self.call(call.on("binding")).unwrap();
            }
            if pod["status"]["phase"] == "Pending" {
                let ip = format!("10.244.0.{at}");
                self.patch_status(&path, running(&ip, self.now));
            }
        }
    }

    /// What a kubelet does with pods that are deleted.
    pub fn reap_pods(&mut self, namespace: &str) {
        for pod in self.list("pods", namespace) {
            if pod["metadata"]["deletionTimestamp"].is_string() {
                let name = pod["metadata"]["name"].as_str().unwrap();
                let options =
                    api::DeleteOptions { grace_secs: Some(0), ..api::DeleteOptions::default() };
                self.delete_with(&format!("pods/{namespace}/{name}"), options);
            }
        }
    }

    /// Settles, and lets pods run and end, until nothing changes.
    pub fn live(&mut self, namespace: &str, node: &str) {
        loop {
            let before = self.store.view().revision();
            self.settle();
            self.run_pods(namespace, node);
            self.reap_pods(namespace);
            self.settle();
            if self.store.view().revision() == before {
                return;
            }
        }
    }

    /// Nothing is left to do: every key that any object makes due has an empty plan.
    pub fn assert_fixpoint(&self) {
        let open = open_plans(&self.view(), self.now);
        assert!(open.is_empty(), "not done: {open:#?}");
    }
}

/// Plans that would do something, of every key that any object makes due.
fn open_plans(view: &View, now: Time) -> Vec<(&'static str, Key, String)> {
    let mut out = Vec::new();
    let all: Vec<_> = view.resources().flat_map(|r| view.list(r, None)).cloned().collect();
    for row in controllers::TABLE {
        for object in &all {
            let change = Change {
                revision: object.revision,
                before: None,
                after: object.clone(),
                deletion: false,
            };
            for wake in due(row, &object.key) {
                for key in (wake.keys)(view, &change) {
                    let plan = (row.plan)(view, &key, now);
                    if !plan.calls.is_empty() {
                        out.push((row.name, key, plan.to_string()));
                    }
                }
            }
        }
    }
    out
}

fn due<'a>(row: &'a Row, key: &'a Key) -> impl Iterator<Item = &'a controllers::Wake> {
    row.wakes.iter().filter(|w| w.resource().is_none_or(|r| r == key.resource))
}

/// Where a daemon's pod says its node.
const MEANT_FOR: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution\
                         /nodeSelectorTerms/0/matchFields/0/values/0";

pub fn running(ip: &str, now: Time) -> Value {
    serde_json::json!({
        "phase": "Running",
        "podIP": ip,
        "podIPs": [{ "ip": ip }],
        "startTime": now.rfc3339(),
        "conditions": [
            { "type": "Ready", "status": "True", "lastTransitionTime": now.rfc3339() },
        ],
    })
}

// === YAML and names ===

pub fn documents(yaml: &str) -> Vec<Value> {
    yaml.split("\n---\n")
        .filter(|text| !text.trim().is_empty())
        .map(|text| serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}")))
        .collect()
}

fn row_of(value: &Value) -> &'static kinds::KindRow {
    let api_version = value["apiVersion"].as_str().unwrap();
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let kind = value["kind"].as_str().unwrap();
    kinds::TABLE.iter().find(|row| row.group == group && row.kind == kind).unwrap()
}

pub fn gvr_of(value: &Value) -> Gvr {
    let row = row_of(value);
    Gvr::new(row.group, row.versions[0].name, row.plural)
}

pub fn namespace_of(value: &Value) -> String {
    if row_of(value).scope == kinds::Scope::Cluster {
        return String::new();
    }
    value["metadata"]["namespace"].as_str().unwrap_or("default").into()
}

/// `deployments.apps`
pub fn gvr(resource: &str) -> Gvr {
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    let is = |row: &&&kinds::KindRow| row.plural == plural && row.group == group;
    let row = kinds::TABLE.iter().find(is).unwrap_or_else(|| panic!("no kind {resource}"));
    Gvr::new(group, row.versions[0].name, plural)
}

pub fn parse_path(path: &str) -> (Gvr, String, String) {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        [resource, name] => (gvr(resource), String::new(), name.into()),
        [resource, namespace, name] => (gvr(resource), namespace.into(), name.into()),
        _ => panic!("resource/namespace/name, not {path}"),
    }
}
