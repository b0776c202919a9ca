//! The writer thread: groups, failures of the log, subscriptions, closing.
#![allow(clippy::unwrap_used)]

use meta::Resource;
use serde_json::json;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::{
    Draft, Expect, Head, Heads, Key, Log, LogError, Op, Options, Record, Reject, Store, Txn,
};

const HEADS: Heads = Heads { version: 1, parse: |_, _| Head::default() };
const LONG: Duration = Duration::from_secs(30);

/// A log whose appends wait for the test and end as it says.
struct Gate {
    arrived: Sender<usize>,
    verdicts: Receiver<Result<(), LogError>>,
}

impl Log for Gate {
    fn append(&mut self, batch: &[Record<'_>]) -> Result<(), LogError> {
        self.arrived.send(batch.len()).unwrap();
        self.verdicts.recv().unwrap()
    }

    fn replay(
        &mut self,
        _: &mut dyn FnMut(Record<'_>) -> Result<(), LogError>,
    ) -> Result<u64, LogError> {
        Ok(0)
    }
}

fn gated() -> (Store, Receiver<usize>, Sender<Result<(), LogError>>) {
    let ((arrived, arrivals), (verdict, verdicts)) = (channel(), channel());
    let log = Box::new(Gate { arrived, verdicts });
    (Store::open(log, Options::new(HEADS)).unwrap(), arrivals, verdict)
}

fn key(resource: &str, name: &str) -> Key {
    Key::new(&Resource::new("", resource), "", name)
}

fn create(resource: &str, name: &str) -> Txn {
    let draft =
        Draft::new(key(resource, name), Head::default(), json!({"metadata": {"name": name}}));
    Txn { ops: vec![Op::Put { draft, expect: Expect::Absent }] }
}

#[test]
fn a_group_shares_one_append_and_rejects_one_by_one() {
    let (store, arrivals, verdict) = gated();
    let first = store.request(create("a", "1"));
    assert_eq!(arrivals.recv(), Ok(1));
    let others: Vec<_> =
        ["2", "1", "3"].into_iter().map(|name| store.request(create("a", name))).collect();
    assert_eq!(store.view().revision(), 0, "durable before visible");
    verdict.send(Ok(())).unwrap();
    assert_eq!(first.wait().unwrap().revision, 1);
    assert_eq!(arrivals.recv(), Ok(2));
    verdict.send(Ok(())).unwrap();
    let results: Vec<_> = others.into_iter().map(|other| other.wait()).collect();
    assert_eq!(results[0].as_ref().unwrap().revision, 2);
    assert!(matches!(results[1], Err(Reject::Exists(_))));
    assert_eq!(results[2].as_ref().unwrap().revision, 3);
}

#[test]
fn a_failing_log_changes_nothing_and_recovers() {
    let (store, arrivals, verdict) = gated();
    let full = LogError { message: "no space".into(), transient: true };
    let first = store.request(create("a", "1"));
    arrivals.recv().unwrap();
    let repeat = store.request(create("a", "1"));
    verdict.send(Err(full)).unwrap();
    let reject = first.wait().unwrap_err();
    assert_eq!(reject.to_string(), "the write could not be made durable: no space");
    assert_eq!(arrivals.recv(), Ok(1), "the key is still free");
    assert_eq!(store.view().revision(), 0);
    assert!(store.changes(0).unwrap().is_empty());
    verdict.send(Ok(())).unwrap();
    assert_eq!(repeat.wait().unwrap().revision, 1);
}

#[test]
fn a_repeated_write_takes_no_revision() {
    let (store, arrivals, verdict) = gated();
    verdict.send(Ok(())).unwrap();
    let born = store.commit(create("a", "1")).unwrap();
    arrivals.recv().unwrap();
    let mut again = create("a", "1");
    if let Op::Put { expect, .. } = &mut again.ops[0] {
        *expect = Expect::Present;
    }
    let same = store.commit(again).unwrap();
    assert_eq!(same.revision, 1);
    assert!(Arc::ptr_eq(same.objects[0].as_ref().unwrap(), born.objects[0].as_ref().unwrap()));
    assert!(arrivals.try_recv().is_err(), "nothing was written");
}

#[test]
fn subscriptions_wake_for_their_resource() {
    let store = Store::open(Box::new(store::Volatile), Options::new(HEADS)).unwrap();
    let (mut all, mut of_b) = (store.subscribe(), store.subscribe_to(&Resource::new("", "b")));
    let waiting = std::thread::spawn(move || of_b.wait(0, LONG));
    let a = store.commit(create("a", "1")).unwrap().revision;
    assert_eq!(all.wait(0, LONG), Some(a));
    assert_eq!(all.wait(a, Duration::ZERO), None);
    let b = store.commit(create("b", "1")).unwrap().revision;
    assert_eq!(waiting.join().unwrap(), Some(b));
    let changes = store.view().changes_of(&Resource::new("", "b"), 0).unwrap();
    assert_eq!(changes.iter().map(|change| change.revision).collect::<Vec<_>>(), [b]);
}

#[test]
fn every_subscriber_sees_every_change_in_order() {
    let store = Store::open(Box::new(store::Volatile), Options::new(HEADS)).unwrap();
    let last = 400;
    let watch = || {
        let mut subscription = store.subscribe();
        let (mut at, mut seen) = (0, Vec::new());
        while at < last {
            subscription.wait(at, LONG).expect("woken");
            let changes = store.changes(at).unwrap();
            seen.extend(changes.iter().map(|change| change.revision));
            at = changes.up_to();
        }
        seen
    };
    std::thread::scope(|scope| {
        let watchers: Vec<_> = (0..8).map(|_| scope.spawn(watch)).collect();
        for writer in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for i in 0..100 {
                    store.commit(create("a", &format!("{writer}-{i}"))).unwrap();
                }
            });
        }
        for watcher in watchers {
            assert_eq!(watcher.join().unwrap(), (1..=last).collect::<Vec<_>>());
        }
    });
}

#[test]
fn history_is_bounded_by_bytes_and_spares_quiet_resources() {
    let options = Options { history_bytes: 20_000, ..Options::new(HEADS) };
    let store = Store::inline(Box::new(store::Volatile), options).unwrap();
    store.commit(create("quiet", "1")).unwrap();
    let from = store.view().revision();
    for i in 0..1000 {
        let value = json!({"metadata": {"name": "x"}, "data": i});
        let draft = Draft::new(key("busy", "x"), Head::default(), value);
        store.commit(Txn { ops: vec![Op::Put { draft, expect: Expect::Any }] }).unwrap();
    }
    let view = store.view();
    assert!(view.oldest() > 800 && view.oldest() < 1000, "{}", view.oldest());
    assert!(view.changes(from).is_err());
    assert!(view.changes_of(&Resource::new("", "busy"), from).is_err());
    let quiet = view.changes_of(&Resource::new("", "quiet"), from).unwrap();
    assert_eq!(quiet.iter().count(), 0);
    assert!(view.changes_of(&Resource::new("", "quiet"), from - 1).is_err());
}

#[test]
fn closing_answers_everyone() {
    let store = Store::open(Box::new(store::Volatile), Options::new(HEADS)).unwrap();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let theirs = answers.clone();
    store.submit(
        create("a", "1"),
        Box::new(move |result| theirs.lock().unwrap().push(result.is_ok())),
    );
    store.submit(create("a", "2"), Box::new(|_| panic!("a caller's mistake")));
    store.close();
    assert_eq!(*answers.lock().unwrap(), [true]);
    assert!(matches!(store.commit(create("a", "3")), Err(Reject::Closed)));
    assert_eq!(store.view().revision(), 2, "reading goes on");
}

/// A reject half-way takes back what its own transaction did, and nothing of its neighbours.
#[test]
fn a_reject_inside_a_group_leaves_no_trace() {
    let (store, arrivals, verdict) = gated();
    let owned = |resource: &str, name: &str| {
        let fields = Box::new([("f".into(), "v".into())]);
        let head = Head { fields, ..Head::default() };
        let value = json!({"metadata": {"name": name}, "new": true});
        Op::Put { draft: Draft::new(key(resource, name), head, value), expect: Expect::Any }
    };
    let first = store.request(create("a", "old"));
    arrivals.recv().unwrap();
    let ahead = store.request(create("a", "ahead"));
    let half = store.request(Txn {
        ops: vec![
            owned("a", "old"),
            owned("b", "fresh"),
            Op::Delete { key: key("a", "ahead"), expect: Expect::Present },
            Op::Check { key: key("a", "none"), expect: Expect::Present },
        ],
    });
    let after = store.request(create("a", "after"));
    verdict.send(Ok(())).unwrap();
    verdict.send(Ok(())).unwrap();
    assert!(first.wait().is_ok() && ahead.wait().is_ok());
    assert!(matches!(half.wait(), Err(Reject::Missing(_))));
    assert_eq!(after.wait().unwrap().revision, 3);
    let (view, a, b) = (store.view(), Resource::new("", "a"), Resource::new("", "b"));
    let names: Vec<_> = view.list(&a, None).map(|o| (&*o.key.name, o.revision)).collect();
    assert_eq!(names, [("after", 3), ("ahead", 2), ("old", 1)]);
    assert_eq!((view.count(&b), view.touched(&a)), (0, 3));
    assert!(view.touched(&b) <= 3, "nobody is woken for what did not happen");
    assert_eq!(view.by_field(&a, "f", "v").count() + view.by_field(&b, "f", "v").count(), 0);
}

/// Far enough back that whole kept states are used, not only steps back from the newest.
#[test]
fn the_distant_past_is_exact() {
    let store = Store::inline(Box::new(store::Volatile), Options::new(HEADS)).unwrap();
    let steps = 20_000u64;
    for i in 1..=steps {
        let fields = Box::new([("parity".into(), (i % 2).to_string().into())]);
        let head = Head { fields, ..Head::default() };
        let value = json!({"metadata": {"name": "x"}, "i": i});
        let draft = Draft::new(key("a", &format!("{}", i % 7)), head, value);
        store.commit(Txn { ops: vec![Op::Put { draft, expect: Expect::Any }] }).unwrap();
    }
    let a = Resource::new("", "a");
    for at in (0..=steps).step_by(811).chain([4095, 4096, 4097, 8192, steps - 1]) {
        let view = store.view().at(at).unwrap();
        let newest = view.list(&a, None).map(|object| object.revision).max();
        assert_eq!((view.revision(), newest.unwrap_or(0)), (at, at));
        assert_eq!(
            view.list(&a, None).map(|object| object.revision).min(),
            at.checked_sub(1).map(|_| at.saturating_sub(6).max(1))
        );
        let odd = view.list(&a, None).filter(|object| object.revision % 2 == 1).count();
        assert_eq!(view.by_field(&a, "parity", "1").count(), odd);
    }
}
