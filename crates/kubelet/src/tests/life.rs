//! The usual lives of pods.

use super::world::World;
use crate::{ContainerKind, ContainerPhase, PodOp, ProbeKind};
use serde_json::json;

fn simple() -> World {
    World::new(json!({ "containers": [{ "name": "c", "image": "i" }] }))
}

fn with_policy(policy: &str) -> World {
    World::new(json!({ "restartPolicy": policy, "containers": [{ "name": "c", "image": "i" }] }))
}

fn running(spec: serde_json::Value) -> World {
    let mut world = World::new(spec);
    world.settle();
    world
}

const NONE: [&str; 0] = [];

#[test]
fn a_pod_starts_step_by_step_and_is_ready() {
    let mut world = simple();
    assert_eq!(world.phase(), "Pending");
    assert_eq!(world.state("c"), "waiting ContainerCreating");
    assert_eq!(world.step(), ["volumes"]);
    assert_eq!(world.step(), ["sandbox"]);
    assert_eq!(world.condition("PodReadyToStartContainers"), "True");
    assert_eq!(
        world.condition("ContainersReady"),
        "False ContainersNotReady containers with unready status: [c]"
    );
    assert_eq!(world.step(), ["start c#0"]);
    assert_eq!(world.step(), NONE);
    assert_eq!(world.phase(), "Running");
    assert_eq!(world.state("c"), "running");
    assert_eq!(world.condition("Ready"), "True");
    assert_eq!(world.condition("Initialized"), "True");
    let status = world.plan().status;
    assert_eq!(
        (status.pod_ip.as_deref(), status.host_ip.as_deref()),
        (Some("10.0.0.9"), Some("192.0.2.1"))
    );
}

#[test]
fn the_same_observation_gives_the_same_plan_and_status() {
    let mut world = simple();
    world.settle();
    let (first, second) = (world.plan(), world.plan());
    assert_eq!((first.ops, first.status), (second.ops, second.status));
}

#[test]
fn a_crash_loop_waits_longer_each_time_and_heals() {
    let mut world = simple();
    world.settle();
    for (attempt, secs) in
        [(1, 0), (2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 300), (8, 300)]
    {
        world.exit("c", 1);
        if secs > 0 {
            let plan = world.plan();
            assert!(plan.ops.iter().all(|op| matches!(op, PodOp::RemoveContainer { .. })));
            assert_eq!(plan.wake, Some(world.now.plus_secs(secs)), "attempt {attempt}");
            let text = if secs < 60 {
                format!("{secs}s")
            } else {
                format!("{}m{}s", secs / 60, secs % 60)
            };
            assert_eq!(
                world.state("c"),
                format!(
                    "waiting CrashLoopBackOff: back-off {text} restarting failed \
                container=c pod=p_default(u)"
                )
            );
            assert_eq!(world.phase(), "Running");
        }
        world.wait(secs);
        assert!(world.settle().contains(&format!("start c#{attempt}")));
        assert_eq!(world.status("c").restart_count, attempt);
        assert!(world.seen.containers.len() <= 2, "only the previous attempt is kept");
    }
    world.wait(600);
    world.exit("c", 1);
    assert!(world.settle().contains(&"start c#9".to_string()), "it had run for ten minutes");
}

#[test]
fn restart_policies_decide_who_comes_back() {
    for (policy, code, restarts, phase) in [
        ("Always", 0, true, "Running"),
        ("Always", 1, true, "Running"),
        ("OnFailure", 0, false, "Succeeded"),
        ("OnFailure", 1, true, "Running"),
        ("Never", 0, false, "Succeeded"),
        ("Never", 1, false, "Failed"),
    ] {
        let mut world = with_policy(policy);
        world.settle();
        world.exit("c", code);
        let ops = world.settle();
        assert_eq!(ops.contains(&"start c#1".to_string()), restarts, "{policy} {code}");
        assert_eq!(world.phase(), phase, "{policy} {code}");
        if !restarts {
            assert_eq!(ops, ["stop sandbox"]);
            assert_eq!(world.step(), NONE);
            let word = if code == 0 { "PodCompleted" } else { "PodFailed" };
            assert_eq!(world.condition("Ready"), format!("False {word}"));
        }
    }
}

#[test]
fn init_containers_run_one_after_another_and_then_the_rest_together() {
    let mut world = World::new(json!({
        "initContainers": [{ "name": "a", "image": "i" }, { "name": "b", "image": "i" }],
        "containers": [{ "name": "c", "image": "i" }, { "name": "d", "image": "i" }],
    }));
    assert_eq!(world.settle(), ["volumes", "sandbox", "start a#0"]);
    assert_eq!(world.phase(), "Pending");
    assert_eq!(world.state("c"), "waiting PodInitializing");
    assert_eq!(
        world.condition("Initialized"),
        "False ContainersNotInitialized containers with incomplete status: [a b]"
    );
    world.exit("a", 0);
    assert_eq!(world.settle(), ["start b#0"]);
    world.exit("b", 1);
    assert_eq!(world.settle(), ["start b#1"]);
    world.exit("b", 0);
    assert_eq!(world.settle(), ["start c#0", "start d#0"]);
    assert_eq!(world.phase(), "Running");
    assert_eq!(world.state("a"), "terminated Completed 0");
}

#[test]
fn a_failed_init_container_ends_a_pod_that_is_never_restarted() {
    let mut world = running(json!({
        "restartPolicy": "Never",
        "initContainers": [{ "name": "a", "image": "i" }],
        "containers": [{ "name": "c", "image": "i" }],
    }));
    world.exit("a", 3);
    assert_eq!(world.settle(), ["stop sandbox"]);
    assert_eq!(world.phase(), "Failed");
}

fn with_sidecars() -> serde_json::Value {
    json!({
        "restartPolicy": "Never",
        "initContainers": [
            { "name": "s", "image": "i", "restartPolicy": "Always", "startupProbe": { "periodSeconds": 1 } },
            { "name": "t", "image": "i", "restartPolicy": "Always" },
        ],
        "containers": [{ "name": "c", "image": "i" }],
    })
}

fn started_sidecars() -> World {
    let mut world = World::new(with_sidecars());
    while world.step() != ["Startup s"] {}
    world.probed("s", ProbeKind::Startup, true);
    assert_eq!(world.settle(), ["start t#0", "start c#0"]);
    world
}

#[test]
fn sidecars_start_in_order_and_are_waited_for() {
    let mut world = World::new(with_sidecars());
    assert_eq!(world.step(), ["volumes"]);
    assert_eq!(world.step(), ["sandbox"]);
    assert_eq!(world.step(), ["start s#0"]);
    assert_eq!(world.step(), ["Startup s"], "nobody else before its startup probe");
    let mut world = started_sidecars();
    world.exit("t", 1);
    assert_eq!(world.settle(), ["start t#1"], "sidecars always come back");
}

#[test]
fn sidecars_do_not_keep_a_pod_alive_but_it_ends_only_after_them() {
    let mut world = started_sidecars();
    world.exit("c", 0);
    assert_eq!(world.step(), ["stop t 30s"]);
    assert_eq!(world.phase(), "Running");
    assert_eq!(world.step(), ["stop s 30s"]);
    assert_eq!(world.phase(), "Succeeded");
    assert_eq!(world.settle(), ["stop sandbox"]);
}

#[test]
fn deletion_stops_everything_in_order_and_then_removes_it() {
    let mut world = started_sidecars();
    world.delete(7);
    let ops = world.settle();
    assert_eq!(
        ops,
        [
            "stop c 7s",
            "stop t 7s",
            "stop s 7s",
            "stop sandbox",
            "remove container",
            "remove container",
            "remove container",
            "remove sandbox",
            "clean up",
        ]
    );
    assert!(world.plan().gone);
}

#[test]
fn a_pod_deleted_before_it_was_started_is_gone_at_once() {
    let mut world = simple();
    world.delete(30);
    assert_eq!(world.step(), NONE);
    assert!(world.plan().gone);
}

#[test]
fn a_stop_under_way_is_asked_for_again_only_to_shorten_it() {
    let mut world = simple();
    world.settle();
    world.delete(30);
    let stop = world.plan().ops.remove(0);
    world.seen.under_way.insert(stop);
    assert_eq!(world.plan().ops, []);
    assert!(!world.plan().gone);
    world.delete(0);
    let plan = world.plan();
    assert!(matches!(plan.ops[..], [PodOp::StopContainer { grace_secs: 0, .. }]), "{:?}", plan.ops);
}

#[test]
fn probes_are_due_by_delay_and_period() {
    let mut world = running(json!({ "containers": [{ "name": "c", "image": "i",
        "readinessProbe": { "initialDelaySeconds": 5, "periodSeconds": 3 } }] }));
    assert_eq!(world.plan().wake, Some(world.now.plus_secs(5)));
    assert_eq!(
        world.condition("Ready"),
        "False ContainersNotReady containers with unready status: [c]"
    );
    world.wait(5);
    assert_eq!(world.step(), ["Readiness c"]);
    world.probed("c", ProbeKind::Readiness, true);
    assert_eq!(world.plan().wake, Some(world.now.plus_secs(3)));
    assert_eq!(world.condition("Ready"), "True");
    for want in ["True", "True", "False ContainersNotReady containers with unready status: [c]"] {
        world.wait(3);
        world.probed("c", ProbeKind::Readiness, false);
        assert_eq!(world.condition("Ready"), want);
    }
    assert_eq!(world.state("c"), "running", "readiness never restarts");
}

#[test]
fn liveness_restarts_after_its_threshold_and_only_after_startup() {
    let mut world = World::new(json!({ "containers": [{ "name": "c", "image": "i",
        "startupProbe": { "failureThreshold": 2 },
        "livenessProbe": { "failureThreshold": 2, "terminationGracePeriodSeconds": 4 } }] }));
    for _ in 0..3 {
        world.step();
    }
    assert_eq!(world.step(), ["Startup c"]);
    assert!(!world.status("c").started.unwrap());
    world.probed("c", ProbeKind::Startup, true);
    assert_eq!(world.step(), ["Liveness c"]);
    world.probed("c", ProbeKind::Liveness, false);
    world.wait(10);
    world.probed("c", ProbeKind::Liveness, false);
    let plan = world.plan();
    assert_eq!(plan.notes[0].message, "Container c failed liveness probe, will be restarted");
    assert_eq!(world.step(), ["stop c 4s"]);
    assert_eq!(world.step(), ["start c#1"]);
}

#[test]
fn post_start_runs_before_the_container_counts_as_started() {
    let mut world = World::new(json!({ "containers": [{ "name": "c", "image": "i",
        "lifecycle": { "postStart": { "exec": { "command": ["x"] } } } }] }));
    for _ in 0..3 {
        world.step();
    }
    assert!(!world.status("c").ready);
    assert_eq!(world.step(), ["PostStart c"]);
    assert!(world.status("c").ready);
}

fn start(attempt: u32) -> PodOp {
    PodOp::StartContainer { name: "c".into(), kind: ContainerKind::App, attempt, crashes: 0 }
}

#[test]
fn a_failed_pull_backs_off() {
    let mut world = simple();
    world.step();
    world.step();
    world.fail(start(0), "ErrImagePull", "not found");
    assert_eq!(world.state("c"), "waiting ErrImagePull: not found");
    // A second later it is shown, and told, as the wait that it is.
    assert_eq!(world.plan().wake, Some(world.now.plus_secs(1)));
    world.wait(1);
    let told: Vec<String> = world.plan().notes.into_iter().map(|note| note.message).collect();
    assert_eq!(told, ["Back-off pulling image \"i\"", "Error: ImagePullBackOff"]);
    assert_eq!(
        world.state("c"),
        "waiting ImagePullBackOff: Back-off pulling image \"i\": ErrImagePull: not found"
    );
    assert_eq!(world.plan().wake, Some(world.now.plus_secs(9)));
    world.wait(9);
    assert_eq!(world.plan().ops, [start(0)]);
    world.fail(start(0), "ErrImagePull", "not found");
    world.wait(1);
    assert_eq!(world.plan().wake, Some(world.now.plus_secs(19)));
    assert_eq!(world.phase(), "Pending");
}

#[test]
fn a_failed_sandbox_is_tried_again_soon() {
    let mut world = simple();
    world.step();
    world.fail(PodOp::RunSandbox, "FailedCreatePodSandBox", "no address");
    assert_eq!(world.plan().wake, Some(world.now.plus_ms(500)));
    assert_eq!(world.step(), NONE);
}

#[test]
fn one_start_at_a_time() {
    let mut world = simple();
    world.step();
    world.step();
    world.seen.under_way.insert(start(0));
    assert_eq!(world.step(), NONE);
    let half = {
        world.seen.under_way.clear();
        world.step();
        world.latest("c").phase = ContainerPhase::Created;
        start(0)
    };
    world.seen.under_way.insert(half);
    assert_eq!(world.step(), NONE, "a container half made belongs to the start under way");
    world.seen.under_way.clear();
    assert_eq!(world.phase(), "Pending", "it has never run");
    assert_eq!(world.step(), ["start c#1"], "left over from an interrupted start");
}

#[test]
fn the_deadline_ends_a_pod_after_its_containers_have_stopped() {
    let mut world = running(json!({ "activeDeadlineSeconds": 60,
        "containers": [{ "name": "c", "image": "i" }] }));
    let start = world.now;
    assert_eq!(world.plan().wake, Some(start.plus_secs(60)));
    world.wait(60);
    assert_eq!(world.phase(), "Running");
    assert_eq!(world.settle(), ["stop c 30s", "stop sandbox"]);
    let status = world.plan().status;
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
}

#[test]
fn a_dead_sandbox_is_replaced_with_everything_in_it() {
    let mut world = simple();
    world.settle();
    world.seen.sandboxes[0].ready = false;
    let ops = world.settle();
    assert_eq!(ops, ["stop c 0s", "sandbox", "start c#1"], "{ops:?}");
}

#[test]
fn a_changed_image_restarts_the_container() {
    let mut world = simple();
    world.settle();
    world.pod.spec.as_mut().unwrap().containers[0].image = Some("j".into());
    assert_eq!(world.plan().notes[0].message, "Container c definition changed, will be restarted");
    assert_eq!(world.settle(), ["stop c 30s", "start c#1"]);
}

#[test]
fn debug_containers_start_once() {
    let mut world = simple();
    world.settle();
    world.pod.spec.as_mut().unwrap().ephemeral_containers =
        serde_json::from_value(json!([{ "name": "d", "image": "i" }])).unwrap();
    assert_eq!(world.settle(), ["start d#0"]);
    world.exit("d", 1);
    assert_eq!(world.settle(), NONE);
    assert_eq!(world.phase(), "Running");
}

#[test]
fn readiness_gates_hold_the_pod_back() {
    let mut world = running(json!({ "readinessGates": [{ "conditionType": "x/y" }],
        "containers": [{ "name": "c", "image": "i" }] }));
    assert_eq!(
        world.condition("Ready"),
        "False ReadinessGatesNotReady corresponding condition of pod \
        readiness gate \"x/y\" does not exist."
    );
    assert_eq!(world.condition("ContainersReady"), "True");
    let gate = serde_json::from_value(json!({ "type": "x/y", "status": "True" })).unwrap();
    world.pod.status.as_mut().unwrap().conditions.as_mut().unwrap().push(gate);
    assert_eq!(world.condition("Ready"), "True");
}

#[test]
fn why_a_container_ended_is_told() {
    let mut world = with_policy("Never");
    world.settle();
    world.exit("c", 137);
    world.latest("c").oom_killed = true;
    world.latest("c").termination_message = "bye".into();
    world.settle();
    assert_eq!(world.state("c"), "terminated OOMKilled 137");
    let state = world.status("c").state.unwrap().terminated.unwrap();
    assert_eq!(state.message.as_deref(), Some("bye"));
}

#[test]
fn a_resize_reaches_the_cgroup_and_is_shown_when_it_has() {
    let mut world = simple();
    for _ in 0..4 {
        world.step();
    }
    let resources = |text: &str| serde_json::from_str(text).unwrap();
    let spec = world.pod.spec.as_mut().unwrap();
    spec.containers[0].resources =
        resources(r#"{"requests":{"cpu":"200m"},"limits":{"cpu":"300m"}}"#);
    assert_eq!(world.condition("PodResizeInProgress"), "True");
    assert_eq!(world.status("c").resources, None);
    assert_eq!(world.step(), ["resize c"]);
    assert_eq!(world.step(), NONE);
    assert_eq!(
        world.status("c").resources,
        world.pod.spec.as_ref().unwrap().containers[0].resources
    );
    assert_eq!(world.condition("PodResizeInProgress"), "");

    let spec = world.pod.spec.as_mut().unwrap();
    spec.containers[0].resources = resources(r#"{"requests":{"cpu":"1000"}}"#);
    assert_eq!(world.step(), NONE);
    assert!(world.condition("PodResizePending").starts_with("True"));
}
