//! The queue: whose turn it is, and when to try again.

use super::world::World;
use meta::Resource;
use store::Key;

fn names(decisions: &[String]) -> Vec<&str> {
    decisions.iter().map(|d| d.split([' ', ':']).next().unwrap()).collect()
}

fn pod(name: &str) -> Key {
    Key::new(&Resource::new("", "pods"), "default", name)
}

#[test]
fn the_most_important_first_then_the_oldest_then_by_name() {
    let mut world = World::new(
        "{kind: Node, name: a}
         {kind: Pod, name: young, age: 9}
         {kind: Pod, name: b, age: 5}
         {kind: Pod, name: a, age: 5}
         {kind: Pod, name: vip, age: 20, spec: {priority: 7}}",
    );
    assert_eq!(names(&world.decide()), ["vip", "a", "b", "young"]);
}

#[test]
fn only_what_can_help_wakes_and_back_off_counts_from_the_failure() {
    let mut world = World::new("{kind: Node, name: a, cpu: '1'}\n{kind: Pod, name: p, cpu: '2'}");
    assert_eq!(world.decide().len(), 1);
    world.add("{kind: Pod, name: x, at: a}");
    world.wait(60);
    assert_eq!(world.decide(), Vec::<String>::new(), "another pod coming makes no room");
    world.add("{kind: Node, name: b}");
    assert_eq!(world.decide(), ["p -> b"], "it waited longer than its back-off already");
}

#[test]
fn back_off_doubles_to_ten_seconds() {
    let mut world = World::new("{kind: Node, name: a, cpu: '1'}\n{kind: Pod, name: p, cpu: '2'}");
    world.decide();
    for (i, secs) in [1, 2, 4, 8, 10, 10].into_iter().enumerate() {
        world.add(&format!("{{kind: Node, name: a, cpu: '1', labels: {{i: '{i}'}}}}"));
        assert_eq!(world.scheduler.next_timer(), Some(world.now.plus_secs(secs)));
        world.wait(secs - 1);
        assert!(world.decide().is_empty());
        world.wait(1);
        assert_eq!(world.decide().len(), 1, "after {secs} s");
    }
}

#[test]
fn after_five_minutes_everybody_is_tried_again() {
    let mut world = World::new("{kind: Node, name: a, cpu: '1'}\n{kind: Pod, name: p, cpu: '2'}");
    world.decide();
    assert_eq!(world.scheduler.next_timer(), Some(world.now.plus_secs(300)));
    world.wait(300);
    assert_eq!(names(&world.decide()), ["p"]);
}

#[test]
fn gates_that_open_let_the_pod_in() {
    let mut world = World::new(
        "{kind: Node, name: a}\n{kind: Pod, name: p, spec: {schedulingGates: [{name: x}]}}",
    );
    assert!(world.decide().is_empty() && world.scheduler.is_idle());
    world.add("{kind: Pod, name: p, generation: 2}");
    assert_eq!(world.decide(), ["p -> a"]);
}

#[test]
fn a_refused_binding_frees_the_room_and_is_tried_again() {
    let mut world = World::new("{kind: Node, name: a}\n{kind: Pod, name: p, cpu: '4'}");
    assert_eq!(world.decide(), ["p -> a"]);
    world.scheduler.refused(&pod("p"), world.now);
    assert!(world.decide().is_empty());
    world.wait(1);
    assert_eq!(world.decide(), ["p -> a"]);
    world.add("{kind: Pod, name: p, cpu: '4', at: a}");
    world.scheduler.refused(&pod("p"), world.now);
    world.add("{kind: Pod, name: q, cpu: '1'}");
    assert!(world.decide()[0].starts_with("q: "), "p has its node: a late refusal means nothing");
}

#[test]
fn what_goes_away_is_not_decided() {
    let mut world = World::new(
        "{kind: Node, name: a}
         {kind: Pod, name: p}
         {kind: Pod, name: d, metadata: {deletionTimestamp: '2026-01-01T00:00:00Z'}}
         {kind: Pod, name: s, status: {phase: Succeeded}}",
    );
    world.delete("Pod", "p");
    assert!(world.decide().is_empty());
}

#[test]
fn finished_pods_occupy_nothing() {
    let mut world = World::new(
        "{kind: Node, name: a}
         {kind: Pod, name: done, cpu: '4', at: a, status: {phase: Succeeded}}
         {kind: Pod, name: p, cpu: '4'}",
    );
    assert_eq!(world.decide(), ["p -> a"]);
}
