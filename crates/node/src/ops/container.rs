//! Starting, stopping and resizing one container.

use super::{Done, Hands, Trouble, probe, pull, volumes};
use crate::labels::{
    self, ATTEMPT, CONTAINER, CRASHES, KIND, POD_NAME, POD_NAMESPACE, POD_UID, SPEC_HASH,
};
use engine::pod::{PodContainerSpec, PodMount, PodResources, PodSecurity};
use k8s_openapi::api::core::v1::{Container, Pod};
use kubelet::{CgroupLimits, ContainerKind, Hook, Security};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// Which attempt to start.
pub(crate) struct Start<'a> {
    pub name: &'a str,
    pub kind: ContainerKind,
    pub attempt: u32,
    pub crashes: u32,
}

pub(crate) async fn start(hands: &Hands, pod: &Pod, start: &Start<'_>) -> Result<Done, Trouble> {
    let container = find(pod, start.name).ok_or_else(|| {
        Trouble::new("RunContainerError", format!("no container {:?} in the pod", start.name))
    })?;
    let field_path = field_path(start.kind, start.name);
    let about = pull::About { pod, field_path: &field_path };
    pull::ensure(hands, &about, &container).await?;
    let _turn = hands.gates.container().await;
    let mut told = Vec::new();
    let seen = crate::observe::observe(&hands.engine, &hands.config, hands.uid(pod));
    let sandbox = seen.sandboxes.last().filter(|s| s.ready);
    let sandbox =
        sandbox.ok_or_else(|| Trouble::new("RunContainerError", "the pod's sandbox is gone"))?;
    let spec = spec(hands, pod, &container, start, &sandbox.ips)?;
    if let Some(log) = &spec.log_path {
        make_parent(log)?;
    }
    let create = |e: engine::EngineError| Trouble::new("CreateContainerError", e);
    let id = hands.engine.create_in_sandbox(&sandbox.id, spec).await.map_err(create)?;
    told.push(("Created", format!("Created container: {}", start.name)));
    let run = |e: engine::EngineError| Trouble::new("RunContainerError", e);
    if let Err(trouble) = hands.engine.start_in_sandbox(&id).await.map_err(run) {
        // It is started anew as the next attempt; what could not run leaves nothing behind.
        if let Err(error) = hands.engine.remove_in_sandbox(&id).await {
            tracing::warn!(%id, %error, "a container that did not start is left behind");
        }
        return Err(trouble);
    }
    told.push(("Started", format!("Started container {}", start.name)));
    Ok(Done::Told(told))
}

/// `spec.containers{web}`, as events name it.
pub(crate) fn field_path(kind: ContainerKind, name: &str) -> String {
    let list = match kind {
        ContainerKind::Init | ContainerKind::Sidecar => "initContainers",
        ContainerKind::App => "containers",
        ContainerKind::Ephemeral => "ephemeralContainers",
    };
    format!("spec.{list}{{{name}}}")
}

/// A container of the spec; debug containers in the shape of the others.
pub(crate) fn find(pod: &Pod, name: &str) -> Option<Container> {
    let spec = pod.spec.as_ref()?;
    let mut all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    if let Some(found) = all.find(|c| c.name == name) {
        return Some(found.clone());
    }
    let debug = spec.ephemeral_containers.iter().flatten().find(|c| c.name == name)?;
    let value = serde_json::to_value(debug).ok()?;
    serde_json::from_value(value).ok()
}

/// Removes an attempt with its log and its termination message.
pub(crate) async fn remove(hands: &Hands, pod: &Pod, id: &str) -> Result<Done, Trouble> {
    let seen = hands.engine.pod_container(id).ok();
    let removed = hands.engine.remove_in_sandbox(id).await;
    removed.map_err(|e| Trouble::new("EngineError", e))?;
    let Some(seen) = seen else { return Ok(Done::Nothing) };
    let name = seen.spec.labels.get(CONTAINER).cloned().unwrap_or_default();
    let attempt = labels::number(&seen.spec.labels, ATTEMPT);
    let log = hands.config.log_path(hands.uid(pod), &name, attempt);
    let message = hands.config.termination_path(hands.uid(pod), &name, attempt);
    let aged = (1..LOG_FILES).map(|age| log.with_extension(format!("log.{age}")));
    for path in aged.chain([log.clone(), message]) {
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                tracing::debug!(path = %path.display(), %e, "a file of an old attempt stays");
            }
            _ => {}
        }
    }
    Ok(Done::Nothing)
}

/// The kubelet's defaults (`containerLogMaxSize`, `containerLogMaxFiles`).
const LOG_BYTES: u64 = 10 << 20;
const LOG_FILES: u32 = 5;

fn make_parent(path: &Path) -> Result<(), Trouble> {
    let parent = path.parent().unwrap_or(path);
    std::fs::create_dir_all(parent).map_err(|e| {
        Trouble::new("CreateContainerError", format!("make `{}`: {e}", parent.display()))
    })
}

fn spec(
    hands: &Hands,
    pod: &Pod,
    container: &Container,
    start: &Start<'_>,
    ips: &[String],
) -> Result<PodContainerSpec, Trouble> {
    let config = |message: String| Trouble::new("CreateContainerConfigError", message);
    let ips = if ips.is_empty() { hands.policy.host_ips.clone() } else { ips.to_vec() };
    let env = hands
        .with_sources(pod, &ips, |sources| kubelet::container_env(container, sources))
        .map_err(config)?;
    let (command, args) = kubelet::command_args(container, &env);
    let security = kubelet::security(pod, container);
    verify_user(hands, container, &security)?;
    let limits = kubelet::limits(pod, container, &hands.policy);
    Ok(PodContainerSpec {
        name: format!("{}-{}", start.name, start.attempt),
        image: container.image.clone().unwrap_or_default(),
        command,
        args,
        working_dir: container.working_dir.clone().filter(|dir| !dir.is_empty()),
        mounts: mounts(hands, pod, container, start, &env, &ips)?,
        env,
        labels: labels_of(hands, pod, container, start),
        log_max_bytes: LOG_BYTES,
        log_max_files: LOG_FILES,
        log_path: Some(hands.config.log_path(hands.uid(pod), start.name, start.attempt)),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        tty: container.tty == Some(true),
        resources: resources(&limits),
        security: security_of(hands, &security)?,
        ..PodContainerSpec::default()
    })
}

fn verify_user(hands: &Hands, container: &Container, security: &Security) -> Result<(), Trouble> {
    let name = container.image.as_deref().unwrap_or_default();
    let user = hands.engine.image(name).map(|i| i.config.config.user.clone()).unwrap_or_default();
    kubelet::verify_non_root(security, &user, &container.name)
        .map_err(|message| Trouble::new("CreateContainerConfigError", message))
}

fn labels_of(
    hands: &Hands,
    pod: &Pod,
    container: &Container,
    start: &Start<'_>,
) -> BTreeMap<String, String> {
    BTreeMap::from([
        (POD_UID.into(), hands.uid(pod).into()),
        (POD_NAME.into(), pod.metadata.name.clone().unwrap_or_default()),
        (POD_NAMESPACE.into(), pod.metadata.namespace.clone().unwrap_or_default()),
        (CONTAINER.into(), start.name.into()),
        (ATTEMPT.into(), start.attempt.to_string()),
        (CRASHES.into(), start.crashes.to_string()),
        (KIND.into(), labels::kind_text(start.kind).into()),
        (SPEC_HASH.into(), kubelet::spec_hash(container).to_string()),
    ])
}

fn resources(limits: &CgroupLimits) -> PodResources {
    PodResources {
        cpu_shares: limits.cpu_shares,
        cpu_quota: limits.cpu_quota,
        cpu_period: limits.cpu_period,
        memory_bytes: limits.memory_bytes,
        memory_swap_bytes: limits.memory_bytes,
        oom_score_adj: limits.oom_score_adj,
        ..PodResources::default()
    }
}

fn security_of(hands: &Hands, security: &Security) -> Result<PodSecurity, Trouble> {
    let user = security.run_as_user.map(|uid| match security.run_as_group {
        Some(gid) => format!("{uid}:{gid}"),
        None => uid.to_string(),
    });
    let seccomp = match &security.seccomp {
        kubelet::Seccomp::Unconfined => Some("unconfined".into()),
        kubelet::Seccomp::RuntimeDefault => None,
        kubelet::Seccomp::Localhost(path) => Some(profile(hands, path)?),
    };
    Ok(PodSecurity {
        user,
        supplemental_groups: security.supplemental_groups.clone(),
        privileged: security.privileged,
        capabilities_add: security.add.clone(),
        capabilities_drop: security.drop.clone(),
        no_new_privileges: security.no_new_privileges,
        readonly_rootfs: security.readonly_rootfs,
        seccomp,
        masked_paths: security.unmasked_proc.then(Vec::new),
        readonly_paths: security.unmasked_proc.then(Vec::new),
    })
}

/// A seccomp profile below the node's directory for them, as the kubelet's `<root-dir>/seccomp`.
fn profile(hands: &Hands, path: &str) -> Result<String, Trouble> {
    let sound = Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
    let file = hands.config.data_dir.join("seccomp").join(path);
    let wrong = |why: &dyn std::fmt::Display| {
        let message =
            format!("cannot load seccomp profile {:?}: {why}", file.display().to_string());
        Trouble::new("CreateContainerError", message)
    };
    if !sound || path.is_empty() {
        return Err(wrong(&"the path must stay below the seccomp directory"));
    }
    std::fs::read_to_string(&file).map_err(|e| wrong(&e))
}

// === mounts ===

fn mounts(
    hands: &Hands,
    pod: &Pod,
    container: &Container,
    start: &Start<'_>,
    env: &[(String, String)],
    ips: &[String],
) -> Result<Vec<PodMount>, Trouble> {
    let mut out = volumes::mounts(hands, pod, container, env)?;
    let uid = hands.uid(pod);
    if !out.iter().any(|m| m.target == "/etc/hosts") {
        out.push(bind(hosts_file(hands, pod, ips)?, "/etc/hosts"));
    }
    let message = hands.config.termination_path(uid, start.name, start.attempt);
    let target = container.termination_message_path.as_deref().unwrap_or("/dev/termination-log");
    if !target.is_empty() {
        make_parent(&message)?;
        volumes::write_open_file(&message)?;
        out.push(bind(message, target));
    }
    Ok(out)
}

fn bind(source: PathBuf, target: &str) -> PodMount {
    PodMount {
        source,
        target: target.into(),
        read_only: false,
        propagation: "private".into(),
        image: String::new(),
        sub_path: String::new(),
    }
}

fn hosts_file(hands: &Hands, pod: &Pod, ips: &[String]) -> Result<PathBuf, Trouble> {
    let path = hands.config.pod_dir(hands.uid(pod)).join("etc-hosts");
    let machine = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let text = kubelet::hosts_file(pod, &hands.policy, ips, &machine);
    make_parent(&path)?;
    std::fs::write(&path, text).map_err(|e| {
        Trouble::new("CreateContainerError", format!("write `{}`: {e}", path.display()))
    })?;
    Ok(path)
}

// === stop and resize ===

/// The pre-stop hook takes its time from the grace period; two seconds are left for the signal in any case
/// (kuberuntime_container.go, `killContainer`).
pub(crate) async fn stop(
    hands: &Hands,
    pod: &Pod,
    (id, name): (&str, &str),
    grace_secs: i64,
    pre_stop: bool,
) -> Result<Done, Trouble> {
    let mut left = grace_secs;
    let wants_hook = find(pod, name).and_then(|c| c.lifecycle?.pre_stop).is_some();
    if pre_stop && wants_hook && grace_secs > 0 {
        let began = Instant::now();
        let limit = Duration::from_secs(u64::try_from(grace_secs).unwrap_or(0));
        let hook = probe::hook(hands, pod, (id, name), Hook::PreStop);
        match tokio::time::timeout(limit, hook).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::debug!(container = name, %why, "pre-stop hook failed"),
            Err(_) => tracing::debug!(container = name, "pre-stop hook used up the grace period"),
        }
        left = (grace_secs - i64::try_from(began.elapsed().as_secs()).unwrap_or(0)).max(2);
    }
    let stopped = hands.engine.stop_in_sandbox(id, left).await;
    stopped.map(|()| Done::Nothing).map_err(|e| Trouble::new("FailedKillPod", e))
}

pub(crate) async fn resize(
    hands: &Hands,
    pod: &Pod,
    (id, name): (&str, &str),
) -> Result<Done, Trouble> {
    let Some(container) = find(pod, name) else { return Ok(Done::Nothing) };
    let limits = kubelet::limits(pod, &container, &hands.policy);
    let wanted = resources(&limits);
    // Cgroup v1 takes no memory limit above that of memory and swap: that one goes first, and is lowered last.
    let swap = PodResources { memory_swap_bytes: wanted.memory_bytes, ..PodResources::default() };
    if hands.engine.update_in_sandbox(id, swap).await.is_err() {
        tracing::debug!(
            container = name,
            "the limit of memory and swap is lowered after that of memory"
        );
    }
    let updated = hands.engine.update_in_sandbox(id, wanted).await;
    updated.map(|()| Done::Nothing).map_err(|e| Trouble::new("ResizeError", e))
}
