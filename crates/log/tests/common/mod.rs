//! What the tests of the log share: a store on it, and objects to write.
#![allow(dead_code, clippy::unwrap_used)]

use log::{Aside, Disk, Options, Wal};
use meta::Resource;
use serde_json::json;
use store::{Draft, Expect, Head, Heads, Key, LogError, Op, Receipt, Reject, Store, Txn, View};

pub const HEADS: Heads = Heads { version: 1, parse: |_, _| Head::default() };

pub fn options(snapshot_bytes: u64) -> Options {
    Options { snapshot_bytes, aside: Aside::Caller, ..Options::default() }
}

pub fn open<D: Disk>(disk: &D, snapshot_bytes: u64) -> Result<Store, LogError> {
    let wal = Wal::open(disk.clone(), options(snapshot_bytes))?;
    Store::inline(Box::new(wal), store::Options::new(HEADS))
}

pub fn key(resource: &str, name: &str) -> Key {
    Key::new(&Resource::new("", resource), "default", name)
}

pub fn put(key: Key, data: &str) -> Op {
    let value = json!({"metadata": {"name": &*key.name, "uid": "u"}, "data": data});
    let head = Head { uid: "u".into(), ..Head::default() };
    Op::Put { draft: Draft::new(key, head, value), expect: Expect::Any }
}

pub fn write(store: &Store, name: &str, data: &str) -> Result<Receipt, Reject> {
    store.commit(Txn { ops: vec![put(key("pods", name), data)] })
}

pub fn delete(store: &Store, name: &str) -> Result<Receipt, Reject> {
    store.commit(Txn { ops: vec![Op::Delete { key: key("pods", name), expect: Expect::Present }] })
}

/// Every object as (key, revision, born, JSON).
pub fn dump(view: &View) -> Vec<String> {
    let resources = view.resources();
    resources
        .flat_map(|resource| view.list(resource, None))
        .map(|o| format!("{o:?} {} {:?} {}", o.born, o.head, String::from_utf8_lossy(o.json())))
        .collect()
}
