//! Figures of store and log: `cargo run --release -p log@0.1.0 --example measure [DIR]`.
//!
//! Commits per second from 1, 16 and 256 submitters (in memory and durable in DIR), then memory, lists and
//! start-up with 10 000 and 100 000 pods of 3 KB. Ratios between lines of one run are what counts.
#![allow(clippy::unwrap_used)]

use log::{Options, RealDisk, Wal};
use meta::{Resource, Time};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use store::{Draft, Expect, Head, Heads, Key, Log, Op, Owner, Store, Txn, Volatile};

const HEADS: Heads = Heads { version: 1, parse: |_, _| Head::default() };

fn main() {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(dir).unwrap();
    for submitters in [1, 16, 256] {
        commits("in memory", Box::new(Volatile), submitters);
        commits("durable", wal(&dir.path().join(format!("c{submitters}"))), submitters);
    }
    for pods in [10_000, 100_000] {
        many(&dir.path().join(format!("m{pods}")), pods);
    }
}

fn wal(dir: &Path) -> Box<dyn Log> {
    Box::new(Wal::open(RealDisk::open(dir).unwrap(), Options::default()).unwrap())
}

fn open(log: Box<dyn Log>) -> Store {
    Store::open(log, store::Options::new(HEADS)).unwrap()
}

fn pods() -> Resource {
    Resource::new("", "pods")
}

fn draft(template: &Draft, name: &str, node: usize) -> Draft {
    let fields = [
        ("spec.nodeName", format!("node-{node}")),
        ("spec.restartPolicy", "Always".into()),
        ("spec.schedulerName", "default-scheduler".into()),
        ("spec.serviceAccountName", "default".into()),
        ("status.phase", "Running".into()),
        ("status.podIP", format!("10.0.{}.{}", name.len(), name)),
    ];
    let owner = Owner {
        uid: format!("7a0f2d4e-5b1c-4f3a-9d2e-{:012}", node).into(),
        api_version: "apps/v1".into(),
        kind: "ReplicaSet".into(),
        name: format!("app-{node}").into(),
        controller: true,
        blocks: true,
    };
    let head = Head {
        uid: format!("0d4f5c9e-aaaa-bbbb-cccc-{name:0>12}").into(),
        created: Time(1),
        labels: [("app", "web"), ("pod-template-hash", "6d4cf56db6"), ("tier", "front")]
            .map(|(k, v)| (k.into(), v.into()))
            .into(),
        owners: [owner].into(),
        fields: fields.map(|(k, v)| (k.into(), v.into())).into(),
        ..Head::default()
    };
    Draft { key: Key::new(&pods(), "default", name), head, ..template.clone() }
}

fn template() -> Draft {
    let value = json!({"apiVersion": "v1", "kind": "Pod", "spec": "x".repeat(2900),
        "metadata": {"name": "p", "namespace": "default", "uid": "u"}});
    Draft::new(Key::new(&pods(), "default", "p"), Head::default(), value)
}

fn commits(what: &str, log: Box<dyn Log>, submitters: usize) {
    let store = open(log);
    let (template, end) = (template(), Instant::now() + Duration::from_secs(2));
    let work = |thread: usize| {
        let mut done = 0;
        while Instant::now() < end {
            let name = format!("pod-{thread}-{}", done % 500);
            let mut draft = draft(&template, &name, thread);
            // A new value each time: a write that repeats the old one is none.
            draft.json.splice(draft.version_at..draft.version_at, *b"\"a\":0,");
            let digit = b'0' + (done / 500 % 10) as u8;
            draft.json[draft.version_at + 4] = digit;
            draft.version_at += 6;
            draft.comma =
                if draft.comma == store::Comma::Before { store::Comma::After } else { draft.comma };
            let op = Op::Put { draft, expect: Expect::Any };
            store.commit(Txn { ops: vec![op] }).unwrap();
            done += 1;
        }
        done
    };
    let total: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..submitters).map(|i| scope.spawn(move || work(i))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    println!("{what}, {submitters} submitters: {} commits/s", total / 2);
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn many(dir: &Path, count: usize) {
    let before = resident();
    let store = open(wal(dir));
    let template = template();
    let started = Instant::now();
    for i in 0..count / 100 {
        let put = |j| Op::Put {
            draft: draft(&template, &format!("pod-{:06}", i * 100 + j), j),
            expect: Expect::Absent,
        };
        store.commit(Txn { ops: (0..100).map(put).collect() }).unwrap();
    }
    println!("{count} pods: created in {:?} (100 at once)", started.elapsed());
    println!("{count} pods: {} MB more resident", (resident() - before) / 1000);
    let (view, started) = (store.view(), Instant::now());
    let mut out = Vec::with_capacity(count * 3300);
    view.list(&pods(), None).for_each(|object| out.extend_from_slice(object.json()));
    println!(
        "{count} pods: list of {} MB copied in {:?}",
        out.len() / 1_000_000,
        started.elapsed()
    );
    let started = Instant::now();
    let found = (0..count)
        .filter_map(|i| view.get(&Key::new(&pods(), "default", &format!("pod-{i:06}"))))
        .count();
    println!("{count} pods: {:?} per point read", started.elapsed() / found as u32);
    let started = Instant::now();
    let on_node = view.by_field(&pods(), "spec.nodeName", "node-7").count();
    println!("{count} pods: {on_node} found by field in {:?}", started.elapsed());
    drop((view, store, out));
    for how in ["log", "snapshot"] {
        let started = Instant::now();
        let mut bytes = 0;
        let mut count_bytes = |record: store::Record<'_>| {
            bytes += record.stored.map_or(0, |stored| stored.json.len());
            Ok(())
        };
        wal(dir).replay(&mut count_bytes).unwrap();
        println!("{count} pods: {} MB of {how} read in {:?}", bytes / 1_000_000, started.elapsed());
        let started = Instant::now();
        let store = open(wal(dir));
        assert_eq!(store.view().count(&pods()), count);
        println!("{count} pods: start from the {how} in {:?}", started.elapsed());
        store.snapshot().unwrap();
    }
}
