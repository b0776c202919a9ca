//! One pod of a simulated node: bound, starting, running, ready, ended, gone (pkg/kubelet/status).

use super::{Addresses, EXIT_CODE, Pace, RUN_SECONDS};
use crate::conditions::List;
use crate::plan::Plan;
use crate::{calls, pods};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use meta::{Time, Value};
use serde_json::json;

/// What the kubelet does about the pod now.
pub(super) fn step(
    pod: &Pod,
    addresses: &mut Addresses,
    (now, pace): (Time, &Pace),
    plan: &mut Plan,
) {
    let over = matches!(pods::phase(pod), "Succeeded" | "Failed");
    match started(pod) {
        _ if calls::is_deleting(&pod.metadata) => stop(pod, over, (now, pace), plan),
        _ if over => {}
        None => accept(pod, addresses, (now, pace), plan),
        Some(at) if pods::phase(pod) != "Running" => {
            start(pod, addresses, (at, now, pace), plan);
        }
        Some(at) => keep(pod, (at, now, pace), plan),
    }
}

/// `status.startTime`: when the kubelet saw the pod first.
fn started(pod: &Pod) -> Option<Time> {
    pod.status.as_ref()?.start_time.as_ref().map(typed::time)
}

fn accept(pod: &Pod, addresses: &mut Addresses, (now, pace): (Time, &Pace), plan: &mut Plan) {
    if delay(pod, pace) == 0 {
        return run(pod, addresses, (now, pace), plan);
    }
    let mut status = status_of(pod, now);
    status["hostIP"] = addresses.node.to_string().into();
    status["hostIPs"] = json!([{ "ip": addresses.node }]);
    let mut conditions = List::of(&status);
    conditions.set_with("PodReadyToStartContainers", json!({ "status": "False" }), now);
    conditions.set_with("Initialized", json!({ "status": "True" }), now);
    unready(&mut conditions, pod, now);
    status["conditions"] = conditions.into();
    let waiting = json!({ "waiting": { "reason": "ContainerCreating" } });
    status["containerStatuses"] = containers(pod, |c| said(pod, c, &waiting, false));
    report(pod, &status, plan);
}

fn unready(conditions: &mut List, pod: &Pod, now: Time) {
    let names: Vec<_> = spec(pod).containers.iter().map(|c| c.name.as_str()).collect();
    let message = format!("containers with unready status: [{}]", names.join(" "));
    for kind in ["ContainersReady", "Ready"] {
        conditions.set(kind, "False", "ContainersNotReady", &message, now);
    }
}

fn start(
    pod: &Pod,
    addresses: &mut Addresses,
    (since, now, pace): (Time, Time, &Pace),
    plan: &mut Plan,
) {
    let at = since.plus_secs(delay(pod, pace));
    if at > now { plan.wake_at(at) } else { run(pod, addresses, (now, pace), plan) }
}

/// The containers run; ready at once unless that takes its time.
fn run(pod: &Pod, addresses: &mut Addresses, (now, pace): (Time, &Pace), plan: &mut Plan) {
    let own = spec(pod).host_network == Some(true);
    // Without a free address the pod waits; the end of another one is news to its node.
    let Some(address) = (if own { Some(addresses.node) } else { addresses.take() }) else { return };
    let mut status = status_of(pod, now);
    status["phase"] = "Running".into();
    status["hostIP"] = addresses.node.to_string().into();
    status["hostIPs"] = json!([{ "ip": addresses.node }]);
    status["podIP"] = address.to_string().into();
    status["podIPs"] = json!([{ "ip": address }]);
    let ready = pace.ready == (0, 0);
    let running = json!({ "running": { "startedAt": now.rfc3339() } });
    status["containerStatuses"] = containers(pod, |c| said(pod, c, &running, ready));
    if spec(pod).init_containers.is_some() {
        status["initContainerStatuses"] = init_containers(pod, now);
    }
    let mut conditions = List::of(&status);
    for kind in ["PodReadyToStartContainers", "Initialized"] {
        conditions.set_with(kind, json!({ "status": "True" }), now);
    }
    if ready {
        make_ready(&mut conditions, pod, now);
    } else {
        unready(&mut conditions, pod, now);
    }
    status["conditions"] = conditions.into();
    report(pod, &status, plan);
}

/// Gates are opened by others; until then the containers are ready and the pod is not.
fn make_ready(conditions: &mut List, pod: &Pod, now: Time) {
    conditions.set_with("ContainersReady", json!({ "status": "True" }), now);
    let mut gates = spec(pod).readiness_gates.iter().flatten();
    if gates.all(|gate| conditions.is_true(&gate.condition_type)) {
        // Whoever called the pod unready may have given a reason, which is over too.
        let says = json!({ "status": "True", "reason": "", "message": "" });
        conditions.set_with("Ready", says, now);
    } else {
        let message = "the status of pod readiness gates is not True";
        conditions.set("Ready", "False", "ReadinessGatesNotReady", message, now);
    }
}

/// A running pod: too late, at its end, or to be (called) ready.
fn keep(pod: &Pod, (since, now, pace): (Time, Time, &Pace), plan: &mut Plan) {
    if let Some(limit) = spec(pod).active_deadline_seconds {
        let at = since.plus_secs(limit);
        if at <= now {
            let message = "Pod was active on the node longer than the specified deadline";
            return end(pod, now, ("Failed", 137, Some(("DeadlineExceeded", message))), plan);
        }
        plan.wake_at(at);
    }
    let running = running_since(pod).unwrap_or(since);
    if let Some(secs) = run_secs(pod, pace) {
        let at = running.plus_secs(secs.max(1));
        if at <= now {
            return finish(pod, now, plan);
        }
        plan.wake_at(at);
    }
    let at = running.plus_secs(span(pod, "ready", pace.ready));
    if at > now { plan.wake_at(at) } else { ready(pod, now, plan) }
}

fn ready(pod: &Pod, now: Time, plan: &mut Plan) {
    let mut status = status_of(pod, now);
    let mut conditions = List::of(&status);
    make_ready(&mut conditions, pod, now);
    status["conditions"] = conditions.into();
    for container in status["containerStatuses"].as_array_mut().into_iter().flatten() {
        container["ready"] = true.into();
        container["started"] = true.into();
    }
    report(pod, &status, plan);
}

/// When the container that started last did.
fn running_since(pod: &Pod) -> Option<Time> {
    let all = pod.status.as_ref()?.container_statuses.as_ref()?;
    let at = |s: &k8s_openapi::api::core::v1::ContainerStatus| {
        s.state.as_ref()?.running.as_ref()?.started_at.as_ref().map(typed::time)
    };
    all.iter().filter_map(at).max()
}

/// How long the pod runs; `None` when it does not end by itself.
fn run_secs(pod: &Pod, pace: &Pace) -> Option<i64> {
    if spec(pod).restart_policy.as_deref().unwrap_or("Always") == "Always" {
        return None;
    }
    let told = calls::annotation(&pod.metadata, RUN_SECONDS).and_then(|text| text.parse().ok());
    let owned = typed::controller_of(&pod.metadata).is_some_and(|owner| owner.kind == "Job");
    told.or_else(|| owned.then(|| span(pod, "run", pace.run)))
}

fn exit_code(pod: &Pod) -> i64 {
    calls::annotation(&pod.metadata, EXIT_CODE).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn finish(pod: &Pod, now: Time, plan: &mut Plan) {
    match (exit_code(pod), spec(pod).restart_policy.as_deref()) {
        (0, _) => end(pod, now, ("Succeeded", 0, None), plan),
        (code, Some("OnFailure")) => again(pod, now, code, plan),
        (code, _) => end(pod, now, ("Failed", code, None), plan),
    }
}

/// Restarted on the spot: back-off is not simulated.
fn again(pod: &Pod, now: Time, code: i64, plan: &mut Plan) {
    let mut status = status_of(pod, now);
    let ended = terminated(pod, now, code);
    for container in status["containerStatuses"].as_array_mut().into_iter().flatten() {
        container["restartCount"] = (container["restartCount"].as_i64().unwrap_or(0) + 1).into();
        container["lastState"] = ended.clone();
        container["state"] = json!({ "running": { "startedAt": now.rfc3339() } });
    }
    report(pod, &status, plan);
}

fn terminated(pod: &Pod, now: Time, code: i64) -> Value {
    let since = running_since(pod).unwrap_or(now).rfc3339();
    let reason = if code == 0 { "Completed" } else { "Error" };
    json!({ "terminated": { "exitCode": code, "reason": reason, "startedAt": since,
        "finishedAt": now.rfc3339() } })
}

/// The last word about a pod; `why` is for those that did not end by themselves.
fn end(
    pod: &Pod,
    now: Time,
    (phase, code, why): (&str, i64, Option<(&str, &str)>),
    plan: &mut Plan,
) {
    let mut status = status_of(pod, now);
    status["phase"] = phase.into();
    if let Some((reason, message)) = why {
        (status["reason"], status["message"]) = (reason.into(), message.into());
    }
    let ended = terminated(pod, now, code);
    status["containerStatuses"] = containers(pod, |c| said(pod, c, &ended, false));
    let mut conditions = List::of(&status);
    let reason = if phase == "Failed" { "PodFailed" } else { "PodCompleted" };
    conditions.set_with("PodReadyToStartContainers", json!({ "status": "False" }), now);
    for kind in ["ContainersReady", "Ready"] {
        conditions.set(kind, "False", reason, "", now);
    }
    status["conditions"] = conditions.into();
    report(pod, &status, plan);
}

/// A deleted pod ends within its grace, says so, and goes.
fn stop(pod: &Pod, over: bool, (now, pace): (Time, &Pace), plan: &mut Plan) {
    let last = pod.metadata.deletion_timestamp.as_ref().map(typed::time).unwrap_or(now);
    let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
    let asked = last.plus_secs(-grace);
    let at = last.min(asked.plus_secs(span(pod, "stop", pace.stop)));
    let runs = !over && pods::phase(pod) == "Running";
    if runs && at > now {
        return plan.wake_at(at);
    }
    if !over {
        // An unstarted pod that will never run has failed (`SyncTerminatedPod`).
        let phase = if runs { "Succeeded" } else { "Failed" };
        end(pod, now, (phase, if runs { 0 } else { 137 }, None), plan);
    }
    // One that only waits for finalizers has been let go already.
    if grace > 0 || calls::finalizers(&pod.metadata).is_empty() {
        plan.call(calls::delete_now::<Pod>(&pod.metadata));
    }
}

// === the status and its parts ===

fn spec(pod: &Pod) -> &PodSpec {
    pod.spec.as_ref().expect("every stored pod has a spec")
}

/// The status so far, as of a kubelet that has seen the pod.
fn status_of(pod: &Pod, now: Time) -> Value {
    let mut status = calls::value(&pod.status);
    if status.is_null() {
        status = json!({});
    }
    if status["startTime"].is_null() {
        status["startTime"] = now.rfc3339().into();
    }
    if let Some(generation) = pod.metadata.generation {
        status["observedGeneration"] = generation.into();
    }
    status
}

fn report(pod: &Pod, new: &Value, plan: &mut Plan) {
    let call = calls::status::<Pod>(&pod.metadata, &calls::value(&pod.status), new);
    call.into_iter().for_each(|call| plan.call(call));
}

fn containers(pod: &Pod, status: impl Fn(&Container) -> Value) -> Value {
    spec(pod).containers.iter().map(status).collect()
}

/// A `ContainerStatus`.
fn said(pod: &Pod, container: &Container, state: &Value, ready: bool) -> Value {
    let id = format!("simulated://{}-{}", calls::uid(&pod.metadata), container.name);
    let old = pod.status.as_ref().and_then(|s| s.container_statuses.as_ref());
    let old = old.into_iter().flatten().find(|s| s.name == container.name);
    json!({
        "name": container.name,
        "image": container.image,
        "imageID": format!("simulated://{}", container.image.as_deref().unwrap_or_default()),
        "containerID": if state["waiting"].is_null() { id } else { String::new() },
        "ready": ready,
        "started": ready,
        "restartCount": old.map_or(0, |s| s.restart_count),
        "state": state,
        "lastState": {},
    })
}

/// Init containers have done their work; sidecars run.
fn init_containers(pod: &Pod, now: Time) -> Value {
    let done = terminated(pod, now, 0);
    let running = json!({ "running": { "startedAt": now.rfc3339() } });
    let all = spec(pod).init_containers.iter().flatten();
    all.map(|container| {
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        said(pod, container, if sidecar { &running } else { &done }, true)
    })
    .collect()
}

/// Seconds from accepting the pod to running it.
fn delay(pod: &Pod, pace: &Pace) -> i64 {
    let slow =
        pace.slow_one_in > 0 && luck(pod, "pull").is_multiple_of(u64::from(pace.slow_one_in));
    span(pod, "start", pace.start) + if slow { i64::from(pace.slow_secs) } else { 0 }
}

fn span(pod: &Pod, what: &str, (least, most): (u32, u32)) -> i64 {
    let width = u64::from(most.saturating_sub(least)) + 1;
    i64::from(least) + i64::try_from(luck(pod, what) % width).unwrap_or(0)
}

/// The same for a pod every time it is asked: FNV-1a of its uid.
fn luck(pod: &Pod, what: &str) -> u64 {
    let bytes = calls::uid(&pod.metadata).bytes().chain(what.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
