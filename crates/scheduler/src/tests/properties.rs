//! Laws that hold whatever happens.

use super::world::World;
use crate::cluster::Cluster;
use crate::tally::Counting;
use crate::{Decision, PodNeeds, Scheduler};
use meta::{Resource, Value};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Change;

#[derive(Debug, Clone)]
enum Event {
    Node(u8, u8, u8),
    NodeGone(u8),
    Namespace(u8),
    Pod(u8, u8, u8, Option<u8>),
    PodGone(u8),
    Decide,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..4u8, 0..3u8, 1..5u8).prop_map(|(name, zone, cpu)| Event::Node(name, zone, cpu)),
        (0..4u8).prop_map(Event::NodeGone),
        (0..3u8).prop_map(Event::Namespace),
        (0..12u8, 0..3u8, 0..6u8, proptest::option::weighted(0.2, 0..5u8))
            .prop_map(|(name, app, form, on)| Event::Pod(name, app, form, on)),
        (0..12u8).prop_map(Event::PodGone),
        Just(Event::Decide),
    ]
}

fn spec(form: u8) -> Value {
    let term = json!({ "labelSelector": { "matchLabels": { "app": "1" } }, "topologyKey": "zone",
        "namespaceSelector": { "matchLabels": { "team": "1" } } });
    let required = json!({ "requiredDuringSchedulingIgnoredDuringExecution": [term] });
    match form {
        0 => json!({ "affinity": { "podAffinity": required } }),
        1 => json!({ "affinity": { "podAntiAffinity": required } }),
        2 => json!({ "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "zone",
            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": { "matchLabels": { "app": "1" } } }] }),
        3 => {
            json!({ "affinity": { "podAffinity": { "preferredDuringSchedulingIgnoredDuringExecution":
            [{ "weight": 5, "podAffinityTerm": term }] } } })
        }
        4 => json!({ "priority": 5 }),
        _ => json!({}),
    }
}

fn exists(world: &World, plural: &str, name: &str) -> bool {
    let namespace = if plural == "pods" { Some("default") } else { None };
    world.store.view().list(&Resource::new("", plural), namespace).any(|o| &*o.key.name == name)
}

/// Carries `event` out; what is decided is returned, and written as the API would.
fn happen(world: &mut World, event: Event) -> Vec<String> {
    match event {
        Event::Node(name, zone, cpu) => world
            .put(json!({ "kind": "Node", "name": format!("n{name}"),
            "labels": { "zone": format!("z{zone}") }, "cpu": cpu.to_string() })),
        Event::NodeGone(name) if exists(world, "nodes", &format!("n{name}")) => {
            world.delete("Node", &format!("n{name}"));
        }
        Event::Namespace(team) => world.put(json!({ "kind": "Namespace", "name": "default",
            "labels": { "team": team.to_string() } })),
        Event::Pod(name, app, form, on) if !exists(world, "pods", &format!("p{name}")) => {
            let mut pod = json!({ "kind": "Pod", "name": format!("p{name}"), "cpu": "1",
                "labels": { "app": app.to_string() }, "spec": spec(form) });
            if let Some(on) = on {
                pod["spec"]["nodeName"] = format!("n{on}").into();
            }
            world.put(pod);
        }
        // An existing pod changes its labels.
        Event::Pod(name, app, ..) => {
            let key = store::Key::new(&Resource::new("", "pods"), "default", &format!("p{name}"));
            let mut pod = world.store.view().get(&key).unwrap().value();
            pod["metadata"]["labels"]["app"] = app.to_string().into();
            world.put(pod);
        }
        Event::PodGone(name) if exists(world, "pods", &format!("p{name}")) => {
            world.delete("Pod", &format!("p{name}"));
        }
        Event::Decide => return decide(world),
        _ => {}
    }
    Vec::new()
}

fn decide(world: &mut World) -> Vec<String> {
    world.wait(20);
    let mut out = Vec::new();
    while let Some(decision) = world.next() {
        out.push(super::world::shown(&decision));
        if let Decision::Bind { pod, node, .. } = decision {
            let mut bound = world.store.view().get(&pod).unwrap().value();
            bound["spec"]["nodeName"] = (&*node).into();
            world.put(bound);
        }
    }
    out
}

/// CPU asked for by pods the scheduler placed or found, against what the node has.
fn over_committed(world: &World) -> Option<String> {
    let cluster = world.scheduler.cluster();
    cluster
        .nodes()
        .iter()
        .find(|n| n.exists && n.requested.cpu > n.allocatable.cpu)
        .map(|n| n.name.to_string())
}

fn recounted(world: &World, cluster: &Cluster) -> BTreeMap<String, String> {
    let mut fresh = Scheduler::new(&["default-scheduler"], &world.store.view(), 1);
    fresh.learn_like(cluster);
    counts(fresh.cluster())
}

fn counts(cluster: &Cluster) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (question, counts) in cluster.tally.counted() {
        out.insert(format!("{question:?}"), format!("{counts:?}"));
    }
    for sort in [Counting::AntiAffine, Counting::Preferring] {
        for (term, counts) in cluster.tally.carried(sort) {
            out.insert(format!("{sort:?} {term:?}"), format!("{counts:?}"));
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn counters_are_what_a_fresh_count_says(events in proptest::collection::vec(event(), 1..60)) {
        let mut world = World::new("{kind: Namespace, name: default, labels: {team: '1'}}");
        for event in events {
            happen(&mut world, event);
            let cluster = world.scheduler.cluster();
            prop_assert_eq!(counts(cluster), recounted(&world, cluster));
        }
    }

    #[test]
    fn no_node_is_over_committed(pods in proptest::collection::vec((0..3u8, 0..6u8), 1..40)) {
        let mut world = World::new(
            "{kind: Namespace, name: default, labels: {team: '1'}}
             {kind: Node, name: n0, labels: {zone: a}, cpu: '3'}
             {kind: Node, name: n1, labels: {zone: b}, cpu: '5'}
             {kind: Node, name: n2, cpu: '2'}",
        );
        for (i, (app, form)) in pods.into_iter().enumerate() {
            world.put(json!({ "kind": "Pod", "name": format!("p{i}"), "cpu": "1",
                "labels": { "app": app.to_string() }, "spec": spec(form) }));
        }
        // Several decisions are assumed before any of them is written.
        while world.next().is_some() {
            prop_assert_eq!(over_committed(&world), None);
        }
    }

    #[test]
    fn the_same_seed_decides_the_same(events in proptest::collection::vec(event(), 1..40), seed: u64) {
        let run = || {
            let mut world = World::seeded("{kind: Namespace, name: default}", seed);
            events.iter().cloned().flat_map(|e| happen(&mut world, e)).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }
}

#[test]
fn a_pod_is_parsed_from_any_object() {
    let world = World::new("{kind: Pod, name: p, spec: {containers: []}}");
    let view = world.store.view();
    let object: &Arc<_> = view.list(&Resource::new("", "pods"), None).next().unwrap();
    let change = Change { revision: 1, before: None, after: object.clone(), deletion: false };
    assert_eq!(PodNeeds::of(&change.after).unwrap().requests.cpu, 0);
}
