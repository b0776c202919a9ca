//! Making room.

use super::world::{World, refusal};
use serde_json::json;

const FULL: &str = "Insufficient cpu";

fn full(nodes: usize) -> String {
    format!("p: 0/{nodes} nodes are available: {nodes} {FULL}.")
}

fn decided(documents: &str) -> Vec<String> {
    World::new(documents).decide()
}

#[test]
fn the_less_important_make_room_and_as_few_as_possible() {
    let got = decided(
        "{kind: Node, name: a}
         {kind: Pod, name: low, cpu: '2', at: a, spec: {priority: 1}}
         {kind: Pod, name: mid, cpu: '2', at: a, spec: {priority: 2}}
         {kind: Pod, name: p, cpu: '2', spec: {priority: 10}}",
    );
    assert_eq!(got, [format!("{} [a without low]", full(1))]);
}

#[test]
fn equals_and_who_may_not_preempt_wait() {
    let with = |priority: &str, policy: &str| {
        decided(&format!(
            "{{kind: Node, name: a}}\n{{kind: Pod, name: x, cpu: '4', at: a, spec: {{priority: 5}}}}\n\
             {{kind: Pod, name: p, cpu: '4', spec: {{priority: {priority}, preemptionPolicy: {policy}}}}}"
        ))
    };
    assert_eq!(
        with("5", "PreemptLowerPriority"),
        [format!(
            "p: {}",
            refusal(1, "1 Insufficient cpu", "1 No preemption victims found for incoming pod")
        )]
    );
    assert_eq!(
        with("9", "Never"),
        [
            "p: 0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: \
          not eligible due to preemptionPolicy=Never."
        ]
    );
}

#[test]
fn the_cheapest_node_is_chosen() {
    for (victims, want) in [
        // Lowest of the highest priorities.
        (["{name: v, priority: 3}", "{name: w, priority: 2}"], "b without w"),
        // Started last.
        (
            [
                "{name: v, started: '2026-01-01T00:00:00Z'}",
                "{name: w, started: '2026-01-02T00:00:00Z'}",
            ],
            "b without w",
        ),
        // Breaks no budget.
        (["{name: v, labels: {app: web}}", "{name: w}"], "b without w"),
    ] {
        let mut world = World::new(
            "{kind: Node, name: a}
             {kind: Node, name: b}
             {kind: PodDisruptionBudget, name: d, spec: {selector: {matchLabels: {app: web}}}, \
              status: {disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1}}",
        );
        for (victim, node) in victims.iter().zip(["a", "b"]) {
            let given = schema::yaml_to_json(victim.as_bytes()).unwrap().value;
            world.put(json!({
                "kind": "Pod", "cpu": "4", "at": node, "name": given["name"], "labels": given["labels"],
                "spec": { "priority": given["priority"].as_i64().unwrap_or(1) },
                "status": { "startTime": given["started"] },
            }));
        }
        world.add("{kind: Pod, name: p, cpu: '4', spec: {priority: 10}}");
        assert_eq!(world.decide(), [format!("{} [{want}]", full(2))], "{victims:?}");
    }
}

#[test]
fn the_protected_are_spared_when_others_will_do() {
    let got = decided(
        "{kind: Node, name: a}
         {kind: PodDisruptionBudget, name: d, spec: {selector: {matchLabels: {app: web}}}, \
          status: {disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1}}
         {kind: Pod, name: safe, labels: {app: web}, cpu: '2', at: a, spec: {priority: 1}}
         {kind: Pod, name: bare, cpu: '2', at: a, spec: {priority: 5}}
         {kind: Pod, name: p, cpu: '2', spec: {priority: 10}}",
    );
    assert_eq!(got, [format!("{} [a without bare]", full(1))]);
}

#[test]
fn room_made_is_kept_for_who_made_it() {
    let mut world = World::new(
        "{kind: Node, name: a}
         {kind: Pod, name: v, cpu: '4', at: a}
         {kind: Pod, name: p, cpu: '4', spec: {priority: 10}}",
    );
    assert_eq!(world.decide(), [format!("{} [a without v]", full(1))]);
    world.add(
        "{kind: Pod, name: p, cpu: '4', spec: {priority: 10}, status: {nominatedNodeName: a}}",
    );
    world.delete("Pod", "v");
    world.add("{kind: Pod, name: thief, cpu: '1', spec: {priority: 1}}");
    let got = world.decide();
    assert!(got[0].starts_with("thief: 0/1 nodes are available: 1 Insufficient cpu."), "{got:?}");
    world.wait(1);
    assert_eq!(world.decide(), ["p -> a"]);
}

#[test]
fn room_promised_to_another_is_not_counted_on() {
    let got = decided(
        "{kind: Node, name: a}
         {kind: Pod, name: v, cpu: '2', at: a}
         {kind: Pod, name: q, cpu: '2', spec: {priority: 10}, status: {nominatedNodeName: a}}
         {kind: Pod, name: p, cpu: '2', spec: {priority: 10}}",
    );
    assert_eq!(got, [format!("{} [a without v]", full(1)), "q -> a".into()]);
}

#[test]
fn nobody_else_goes_while_victims_are_still_going() {
    let mut world = World::new(
        "{kind: Node, name: a}
         {kind: Pod, name: v, cpu: '4', at: a, metadata: {deletionTimestamp: '2026-01-01T00:00:00Z'}}
         {kind: Pod, name: p, cpu: '4', spec: {priority: 10}, status: {nominatedNodeName: a}}",
    );
    let got = world.decide();
    assert_eq!(
        got,
        [
            "p: 0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: \
          not eligible due to a terminating pod on the nominated node."
        ]
    );
}

#[test]
fn victims_for_anti_affinity_are_those_in_the_way() {
    let got = decided(
        "{kind: Node, name: a, labels: {host: a}}
         {kind: Pod, name: web, labels: {app: web}, at: a}
         {kind: Pod, name: other, at: a}
         {kind: Pod, name: p, spec: {priority: 10, affinity: {podAntiAffinity: \
          {requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: {matchLabels: {app: web}}, \
          topologyKey: host}]}}}}",
    );
    assert_eq!(
        got,
        [
            "p: 0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules. [a without web]"
        ]
    );
}
