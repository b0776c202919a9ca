//! A whole API server in one thread: the pipeline over a store without a disk.

#![allow(dead_code, clippy::unwrap_used)]

use api::{AllowAll, Api, Method, Next, NoTokens, Outcome, Reply, Request, WatchPlan};
use bytes::Bytes;
use meta::{Identity, Time, Value};
use std::cell::Cell;
use store::{Options, Store, Volatile};

pub struct Server {
    pub api: Api,
    pub store: Store,
    count: Cell<u64>,
}

impl Server {
    /// With the namespaces every cluster has.
    pub fn new() -> Self {
        let store = Store::inline(Box::new(Volatile), Options::new(api::heads())).unwrap();
        let api = Api::new(Box::new(AllowAll), Box::new(NoTokens));
        let server = Self { api, store, count: Cell::new(0) };
        for name in ["default", "kube-system"] {
            let body = format!(r#"{{"metadata":{{"name":"{name}"}}}}"#);
            server.post("/api/v1/namespaces", &body).expect_code(201);
            let accounts = format!("/api/v1/namespaces/{name}/serviceaccounts");
            server.post(&accounts, r#"{"metadata":{"name":"default"}}"#).expect_code(201);
        }
        server
    }

    pub fn now() -> Time {
        Time::parse("2026-01-02T03:04:05Z").unwrap()
    }

    pub fn request(&self, method: Method, url: &str, body: &str) -> Request {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let pairs = query.split('&').filter(|p| !p.is_empty());
        let mut entropy = [0u8; 32];
        self.count.set(self.count.get() + 1);
        for (i, b) in entropy.iter_mut().enumerate() {
            *b = (self.count.get().wrapping_mul(2654435761).rotate_left(i as u32 * 7) >> 3) as u8;
        }
        Request {
            method,
            path: path.into(),
            query: pairs
                .map(|p| p.split_once('=').unwrap_or((p, "")))
                .map(|(k, v)| (k.into(), v.into()))
                .collect(),
            content_type: "application/json".into(),
            accept: "application/json".into(),
            user_agent: "test/1.0".into(),
            if_none_match: String::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            identity: Identity { name: "admin".into(), ..Identity::default() },
            now: Self::now(),
            entropy,
        }
    }

    pub fn send(&self, request: &Request) -> Answered {
        loop {
            match self.api.plan(request, &self.store.view()) {
                Outcome::Reply(reply) => return Answered::new(reply),
                Outcome::Commit(mut pending) => {
                    let txn = std::mem::take(&mut pending.txn);
                    match self.api.settle(pending, self.store.commit(txn)) {
                        Next::Reply(reply) => return Answered::new(reply),
                        Next::Retry => {}
                    }
                }
                other => panic!("{}: {other:?}", request.path),
            }
        }
    }

    pub fn watch(&self, url: &str) -> Box<WatchPlan> {
        match self.api.plan(&self.request(Method::Get, url, ""), &self.store.view()) {
            Outcome::Watch(plan) => plan,
            Outcome::Reply(reply) => panic!("{url}: {:?}", Answered::new(reply)),
            other => panic!("{url}: {other:?}"),
        }
    }

    pub fn get(&self, url: &str) -> Answered {
        self.send(&self.request(Method::Get, url, ""))
    }

    pub fn post(&self, url: &str, body: &str) -> Answered {
        self.send(&self.request(Method::Post, url, body))
    }

    pub fn put(&self, url: &str, body: &Value) -> Answered {
        self.send(&self.request(Method::Put, url, &body.to_string()))
    }

    pub fn delete(&self, url: &str) -> Answered {
        self.send(&self.request(Method::Delete, url, ""))
    }

    pub fn patch(&self, kind: &str, url: &str, body: &str) -> Answered {
        let mut request = self.request(Method::Patch, url, body);
        request.content_type = format!("application/{kind}");
        self.send(&request)
    }

    /// The frames of a watch so far.
    pub fn frames(&self, plan: &WatchPlan) -> Vec<Value> {
        let mut frames: Vec<_> = plan.initial();
        let changes = self.store.changes(plan.after).unwrap();
        frames.extend(changes.iter().filter_map(|c| plan.encode(c)));
        frames.iter().map(|f| serde_json::from_slice(&f.to_vec()).unwrap()).collect()
    }
}

#[derive(Debug)]
pub struct Answered {
    pub code: u16,
    pub content_type: String,
    pub headers: Vec<(&'static str, String)>,
    pub bytes: Vec<u8>,
    pub body: Value,
}

impl Answered {
    fn new(reply: Reply) -> Self {
        let bytes = reply.body.to_vec();
        Self {
            code: reply.status,
            content_type: reply.content_type,
            headers: reply.headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            bytes,
        }
    }

    #[track_caller]
    pub fn expect_code(self, code: u16) -> Self {
        assert_eq!(self.code, code, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }

    pub fn text(&self, path: &str) -> &str {
        self.body.pointer(path).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn version(&self) -> u64 {
        self.text("/metadata/resourceVersion").parse().unwrap()
    }
}

/// Where two values differ, for messages.
pub fn diff(a: &Value, b: &Value) -> String {
    fn walk(path: &str, a: &Value, b: &Value, out: &mut Vec<String>) {
        match (a, b) {
            (Value::Object(x), Value::Object(y)) => {
                let keys: std::collections::BTreeSet<_> = x.keys().chain(y.keys()).collect();
                for key in keys {
                    walk(&format!("{path}.{key}"), &a[key], &b[key], out);
                }
            }
            _ if a != b => out.push(format!("{path}: {a} != {b}")),
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk("", a, b, &mut out);
    out.join("; ")
}
