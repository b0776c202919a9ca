//! The store against the simplest model of itself: every version ever written, kept for ever.
#![allow(clippy::unwrap_used)]

use meta::{Resource, Time};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use store::{Change, Draft, Expect, Head, Heads, Key, Op, Options, OutOfRange, Owner};
use store::{Reject, Store, Txn, View, Volatile};

type Name = (u8, u8, u8);
/// Value and revision by name.
type World = BTreeMap<Name, (u8, u64)>;

#[derive(Debug, Clone)]
enum Step {
    Txn(Vec<(Name, u8, Act)>),
    Compact(u8),
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Any,
    Create,
    Replace,
    At(u8),
    Delete,
    Check,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let act = prop_oneof![
        3 => Just(Act::Any),
        2 => Just(Act::Create),
        2 => Just(Act::Replace),
        2 => (0..4u8).prop_map(Act::At),
        2 => Just(Act::Delete),
        1 => Just(Act::Check),
    ];
    let op = ((0..3u8, 0..2u8, 0..4u8), 0..3u8, act);
    let txn = prop::collection::vec(op, 1..4).prop_map(Step::Txn);
    prop::collection::vec(prop_oneof![12 => txn, 1 => (0..10u8).prop_map(Step::Compact)], 1..60)
}

fn key((resource, namespace, name): Name) -> Key {
    let resource = Resource::new("", &format!("r{resource}"));
    Key::new(&resource, &format!("n{namespace}"), &format!("o{name}"))
}

fn head(value: u8) -> Head {
    let owner = Owner {
        uid: format!("uid-{value}").into(),
        api_version: "v1".into(),
        kind: "Kind".into(),
        name: "owner".into(),
        controller: true,
        blocks: false,
    };
    Head {
        uid: "u".into(),
        created: Time(1),
        owners: Box::new([owner]),
        fields: Box::new([("value".into(), value.to_string().into())]),
        ..Head::default()
    }
}

fn draft(name: Name, value: u8) -> Draft {
    Draft::new(
        key(name),
        head(value),
        json!({"metadata": {"name": "x", "uid": "u"}, "value": value}),
    )
}

/// What the model expects of one operation: `None` when it rejects.
fn model_step(
    seen: &View,
    world: &mut World,
    revision: &mut u64,
    (name, value, act): &(Name, u8, Act),
) -> Option<()> {
    let current = world.get(name).copied();
    let fits = match act {
        Act::Any => true,
        Act::Create => current.is_none(),
        Act::Replace | Act::Delete | Act::Check => current.is_some(),
        Act::At(back) => current.is_some_and(|(_, at)| at == asked(seen, *name, *back)),
    };
    match act {
        _ if !fits => return None,
        Act::Check => {}
        Act::Delete => {
            *revision += 1;
            world.remove(name);
        }
        _ if current.is_some_and(|(old, _)| old == *value) => {}
        _ => {
            *revision += 1;
            world.insert(*name, (*value, *revision));
        }
    }
    Some(())
}

/// The revision a writer demands who saw `seen` and is `back` behind.
fn asked(seen: &View, name: Name, back: u8) -> u64 {
    seen.get(&key(name)).map_or(1, |object| object.revision).saturating_sub(back.into())
}

fn op(world: &View, (name, value, act): (Name, u8, Act)) -> Op {
    let put = |expect| Op::Put { draft: draft(name, value), expect };
    match act {
        Act::Any => put(Expect::Any),
        Act::Create => put(Expect::Absent),
        Act::Replace => put(Expect::Present),
        Act::At(back) => put(Expect::Revision(asked(world, name, back))),
        Act::Delete => Op::Delete { key: key(name), expect: Expect::Present },
        Act::Check => Op::Check { key: key(name), expect: Expect::Present },
    }
}

fn check_view(view: &View, world: &World) {
    for r in 0..3 {
        let resource = key((r, 0, 0)).resource;
        let listed: Vec<_> =
            view.list(&resource, None).map(|o| (o.key.clone(), o.revision)).collect();
        let wanted: Vec<_> =
            world.iter().filter(|(n, _)| n.0 == r).map(|(n, (_, at))| (key(*n), *at)).collect();
        assert_eq!(listed, wanted);
        assert_eq!(view.count(&resource), wanted.len());
        let inside = view.list(&resource, Some("n1")).count();
        assert_eq!(inside, world.keys().filter(|n| n.0 == r && n.1 == 1).count());
        let after = view.list_after(&resource, None, ("n0", "o1")).count();
        assert_eq!(after, world.keys().filter(|n| n.0 == r && (n.1, n.2) > (0, 1)).count());
        for value in 0..3u8 {
            let found: Vec<_> = view
                .by_field(&resource, "value", &value.to_string())
                .map(|o| o.key.clone())
                .collect();
            let with = |n: &Name, v: u8| n.0 == r && v == value;
            let wanted: Vec<_> =
                world.iter().filter(|(n, (v, _))| with(n, *v)).map(|(n, _)| key(*n)).collect();
            assert_eq!(found, wanted);
        }
    }
    for value in 0..3u8 {
        let owned = view.owned(&format!("uid-{value}")).count();
        assert_eq!(owned, world.values().filter(|(v, _)| *v == value).count());
    }
    for (name, (value, at)) in world {
        let object = view.get(&key(*name)).expect("in the model");
        assert_eq!(object.value()["value"], *value);
        assert_eq!(object.value()["metadata"]["resourceVersion"], at.to_string());
    }
}

fn check_changes<'a>(
    changes: impl Iterator<Item = &'a Change>,
    mut world: World,
    past: &[World],
    from: u64,
) {
    let mut at = from;
    for change in changes {
        assert_eq!(change.revision, at + 1);
        at = change.revision;
        let stamped = change.after.value()["metadata"]["resourceVersion"].clone();
        assert_eq!(stamped, at.to_string(), "deletions carry their own revision");
        let name = *world
            .keys()
            .chain(past[at as usize].keys())
            .find(|n| key(**n) == change.after.key)
            .unwrap();
        assert_eq!(change.before.as_ref().map(|b| b.revision), world.get(&name).map(|w| w.1));
        assert_eq!(change.deletion, !past[at as usize].contains_key(&name));
        world.clone_from(&past[at as usize]);
    }
    assert_eq!(at as usize + 1, past.len());
}

struct Run {
    store: Store,
    world: World,
    revision: u64,
    oldest: u64,
    past: Vec<World>,
}

impl Run {
    fn new() -> Self {
        let past = vec![World::new()];
        Self { store: open(), world: World::new(), revision: 0, oldest: 0, past }
    }

    fn compact(&mut self, back: u8) {
        self.oldest = self.revision.saturating_sub(back.into()).max(self.oldest);
        self.store.compact(self.oldest);
    }

    fn txn(&mut self, ops: Vec<(Name, u8, Act)>) {
        let view = self.store.view();
        let (mut next, mut at, mut steps) = (self.world.clone(), self.revision, Vec::new());
        let fits = ops.iter().all(|op| {
            let fits = model_step(&view, &mut next, &mut at, op).is_some();
            steps.push((at, next.clone()));
            fits
        });
        let result =
            self.store.commit(Txn { ops: ops.into_iter().map(|o| op(&view, o)).collect() });
        assert_eq!(result.is_ok(), fits, "{result:?}");
        let Ok(receipt) = result else { return };
        assert_eq!(receipt.revision, at);
        for (at, world) in steps {
            self.past.resize(at as usize, World::new());
            self.past.push(world);
        }
        (self.world, self.revision) = (next, at);
    }

    fn check_past(&self) {
        let now = self.store.view();
        assert_eq!(now.oldest(), self.oldest);
        for at in 0..=self.revision + 1 {
            match now.at(at) {
                Ok(view) => {
                    let then = &self.past[at as usize];
                    assert_eq!(view.revision(), at);
                    check_view(&view, then);
                    let changes = now.changes(at).unwrap();
                    check_changes(changes.iter(), then.clone(), &self.past, at);
                }
                Err(OutOfRange::Compacted(c)) => {
                    assert!(at < self.oldest && c.oldest == self.oldest);
                    assert!(self.store.changes(at).is_err());
                }
                Err(OutOfRange::Future { current }) => {
                    assert!(at > self.revision && current == self.revision);
                }
            }
        }
    }
}

fn open() -> Store {
    let heads = Heads { version: 1, parse: |_, _| Head::default() };
    Store::inline(Box::new(Volatile), Options::new(heads)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn behaves_as_the_model(steps in steps()) {
        let mut run = Run::new();
        for step in steps {
            match step {
                Step::Compact(back) => run.compact(back),
                Step::Txn(ops) => run.txn(ops),
            }
            check_view(&run.store.view(), &run.world);
        }
        run.check_past();
    }
}

#[test]
fn rejects_name_the_object() {
    let store = open();
    let create = || Op::Put { draft: draft((0, 0, 0), 1), expect: Expect::Absent };
    store.commit(Txn { ops: vec![create()] }).unwrap();
    let reject = store.commit(Txn { ops: vec![create()] }).unwrap_err();
    assert!(matches!(reject, Reject::Exists(_)));
    assert_eq!(reject.to_string(), "r0/n0/o0 already exists");
}
