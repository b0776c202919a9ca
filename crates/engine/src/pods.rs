//! Containers inside pod sandboxes: create, start, stop, remove, status, exec, usage.

use std::sync::Arc;

use image::Base;
use tokio::io::AsyncReadExt;

use crate::config::{Config, Device, HostConfig};
use crate::engine::Engine;
use crate::error::{Doing, EngineError, Result};
use crate::execs::ExecConfig;
use crate::ident::fresh_id;
use crate::pipe::Pipe;
use crate::pod::{
    ExecOutput, NamespaceMode, PodContainerPhase, PodContainerSeen, PodContainerSpec, PodFilter,
    PodMount, PodUsage,
};
use crate::record::{MountPoint, Phase, PodBinding, Record};
use crate::stop::StopOptions;
use crate::time::Stamp;
use crate::{check, merge};

impl Engine {
    /// Makes a container in a ready sandbox; its image must be here. Gives its id.
    pub async fn create_in_sandbox(
        self: &Arc<Self>,
        sandbox: &str,
        spec: PodContainerSpec,
    ) -> Result<String> {
        let sandbox = self.sandbox(sandbox)?;
        if !sandbox.ready {
            let text = format!("sandbox {} is not ready", sandbox.id);
            return Err(EngineError::conflict(text));
        }
        self.blocking(move |e| e.create_pod_container(&sandbox, spec)).await
    }

    fn create_pod_container(
        self: &Arc<Self>,
        sandbox: &crate::pod::SandboxSeen,
        spec: PodContainerSpec,
    ) -> Result<String> {
        let image = self.image(&spec.image)?;
        let config = merge::with_image(config_of(&spec), &image.config.config);
        let pid = match spec.pid.unwrap_or(sandbox.spec.pid) {
            NamespaceMode::Pod => "sandbox",
            NamespaceMode::Container => "",
            NamespaceMode::Node => "host",
        };
        let mut host = host_of(&spec, pid, &self.machine);
        if sandbox.spec.ipc == NamespaceMode::Node {
            "host".clone_into(&mut host.ipc_mode);
        }
        if sandbox.spec.network == crate::pod::SandboxNetwork::Host {
            "host".clone_into(&mut host.uts_mode);
        }
        check::check(
            &config,
            &HostConfig {
                ipc_mode: String::new(),
                pid_mode: String::new(),
                uts_mode: String::new(),
                ..host.clone()
            },
            &self.machine,
        )?;
        let (path, args) = merge::command_line(&config)?;
        let id = fresh_id();
        let record = Record {
            name: format!("pod-{id}"),
            id: id.clone(),
            created: Stamp::now(),
            path,
            args,
            image_id: image.id.to_string(),
            manifest: image.manifest.digest.to_string(),
            platform: image.config.os.clone(),
            mounts: spec.mounts.iter().map(mount_of).collect::<Result<_>>()?,
            config,
            host,
            pod: Some(PodBinding { sandbox: sandbox.id.clone(), spec }),
            ..Record::default()
        };
        self.containers.reserve(&record.name, &id)?;
        let dir = self.containers.dir_of(&id);
        std::fs::create_dir_all(&dir).doing(|| format!("creating {}", dir.display()))?;
        self.images.snapshots().prepare(&id, &Base::Image(image.id))?;
        self.containers.insert(record)?;
        Ok(id)
    }

    /// Starts it; starting what runs is a conflict.
    pub async fn start_in_sandbox(self: &Arc<Self>, id: &str) -> Result<()> {
        match self.start(id).await {
            Err(e) if e.kind == crate::error::Kind::NotModified => {
                Err(EngineError::conflict(format!("container {id} is running already")))
            }
            other => other,
        }
    }

    /// Sends its stop signal and kills it after `timeout` seconds. Stopping twice is fine.
    pub async fn stop_in_sandbox(self: &Arc<Self>, id: &str, timeout: i64) -> Result<()> {
        let Ok(container) = self.containers.find(id) else { return Ok(()) };
        if !container.record().state.phase.is_running() {
            return Ok(());
        }
        let options = StopOptions { signal: None, timeout: Some(timeout) };
        self.stop_container(&container, &options).await
    }

    /// Kills and removes it. One that is not there is fine. The log file stays.
    pub async fn remove_in_sandbox(self: &Arc<Self>, id: &str) -> Result<()> {
        if self.containers.find(id).is_err() {
            return Ok(());
        }
        self.remove(id, crate::remove::RemoveOptions { force: true, volumes: true }).await
    }

    pub fn pod_container(&self, id: &str) -> Result<PodContainerSeen> {
        let record = self.containers.find(id)?.record();
        let missing = || EngineError::not_found(format!("no such pod container: {id}"));
        seen(&record).ok_or_else(missing)
    }

    pub fn list_pod_containers(&self, filter: &PodFilter) -> Vec<PodContainerSeen> {
        // Looked at before anything is copied: every pod asks for its own, again and again.
        let wanted = |record: &Record| {
            record.pod.as_ref().is_some_and(|pod| {
                record.id.starts_with(&filter.id)
                    && pod.sandbox.starts_with(&filter.sandbox)
                    && filter.labels.iter().all(|(k, v)| pod.spec.labels.get(k) == Some(v))
            })
        };
        let records = self.containers.all().into_iter().map(|c| c.record());
        records.filter(|r| wanted(r)).filter_map(|r| seen(&r)).collect()
    }

    /// Wakes at every change of a pod's container: gives its newest state again and again.
    pub fn watch_pod_container(
        &self,
        id: &str,
    ) -> Result<tokio::sync::watch::Receiver<crate::containers::Seen>> {
        Ok(self.containers.find(id)?.changes())
    }

    /// Changes its limits while it runs.
    pub async fn update_in_sandbox(
        self: &Arc<Self>,
        id: &str,
        resources: crate::pod::PodResources,
    ) -> Result<()> {
        let mut changes = HostConfig::default();
        apply_resources(&mut changes, &resources);
        self.update(id, changes).await?;
        let told = |r: &mut Record| {
            if let Some(pod) = &mut r.pod {
                pod.spec.resources = resources;
            }
        };
        self.containers.find(id)?.update(told).map(drop)
    }

    /// Opens the log file by its name again, after somebody moved it.
    pub async fn reopen_pod_log(self: &Arc<Self>, id: &str) -> Result<()> {
        let id = self.containers.find(id)?.id.clone();
        self.blocking(move |e| Ok(e.runtime.reopen_log(&id)?)).await
    }

    /// Runs a command and waits for its end, at most `timeout` seconds (0: for ever).
    pub async fn exec_sync(
        self: &Arc<Self>,
        id: &str,
        cmd: Vec<String>,
        timeout: u64,
    ) -> Result<ExecOutput> {
        let config =
            ExecConfig { cmd, attach_stdout: true, attach_stderr: true, ..ExecConfig::default() };
        let exec = self.exec_create(id, config)?;
        let streams = self.exec_start(&exec, None).await?;
        let run = async {
            let (stdout, stderr) = tokio::join!(read_all(streams.stdout), read_all(streams.stderr));
            let exit_code = self.exec_wait(&exec).await?;
            Ok(ExecOutput { exit_code, stdout, stderr, timed_out: false })
        };
        if timeout == 0 {
            return run.await;
        }
        match tokio::time::timeout(std::time::Duration::from_secs(timeout), run).await {
            Ok(output) => output,
            Err(_) => {
                self.exec_kill(&exec).await?;
                let (stdout, stderr) = (Vec::new(), Vec::new());
                Ok(ExecOutput { exit_code: 137, stdout, stderr, timed_out: true })
            }
        }
    }

    /// Counters of a running container, read from its cgroup in this thread.
    pub fn pod_stats(&self, id: &str) -> Result<runtime::Stats> {
        Ok(self.runtime.stats(&self.containers.find(id)?.id)?)
    }

    pub async fn pod_usage(self: &Arc<Self>, id: &str) -> Result<PodUsage> {
        let numbers = self.stats(id).await?;
        let writable = self.inspect_sized(id).await?.size_rw.unwrap_or(0);
        Ok(PodUsage {
            at: Stamp(numbers.stats.at),
            cpu_nanos: numbers.stats.cpu.total,
            memory_bytes: numbers.stats.memory.usage,
            working_set_bytes: numbers.stats.memory.working_set,
            pids: numbers.stats.pids.current,
            writable_bytes: writable,
        })
    }
}

/// Output of a probe or a hook that is kept (the CRI's limit).
const OUTPUT: u64 = 16 << 20;

async fn read_all(pipe: Option<Pipe>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = (&mut pipe).take(OUTPUT).read_to_end(&mut bytes).await;
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
    bytes
}

fn seen(record: &Record) -> Option<PodContainerSeen> {
    let pod = record.pod.as_ref()?;
    let state = &record.state;
    let phase = match state.phase {
        Phase::Created => PodContainerPhase::Created,
        Phase::Running | Phase::Paused => PodContainerPhase::Running,
        _ => PodContainerPhase::Exited,
    };
    Some(PodContainerSeen {
        id: record.id.clone(),
        sandbox: pod.sandbox.clone(),
        spec: pod.spec.clone(),
        image_id: record.image_id.clone(),
        phase,
        created: record.created,
        started: state.started,
        finished: state.finished,
        exit_code: state.exit_code,
        oom_killed: state.oom_killed,
        error: state.error.clone(),
        pid: state.pid,
    })
}

/// The pod's words as a configuration on top of the image's.
fn config_of(spec: &PodContainerSpec) -> Config {
    let env = spec.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
    Config {
        user: spec.security.user.clone().unwrap_or_default(),
        tty: spec.tty,
        open_stdin: spec.stdin,
        stdin_once: spec.stdin_once,
        env: Some(env),
        entrypoint: spec.command.clone(),
        cmd: spec.args.clone(),
        image: spec.image.clone(),
        working_dir: spec.working_dir.clone().unwrap_or_default(),
        stop_signal: spec.stop_signal.clone().unwrap_or_default(),
        // The pod has probes of its own.
        healthcheck: None,
        labels: Some(spec.labels.clone()),
        ..Config::default()
    }
}

fn host_of(spec: &PodContainerSpec, pid: &str, machine: &check::Machine) -> HostConfig {
    let security = &spec.security;
    let mut options = Vec::new();
    if security.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    options.extend(security.seccomp.iter().map(|s| format!("seccomp={s}")));
    let device = |d: &crate::pod::PodDevice| Device {
        path_on_host: d.host_path.clone(),
        path_in_container: d.container_path.clone(),
        cgroup_permissions: d.permissions.clone(),
    };
    let mut host = HostConfig {
        network_mode: "sandbox".to_owned(),
        ipc_mode: "sandbox".to_owned(),
        uts_mode: "sandbox".to_owned(),
        pid_mode: pid.to_owned(),
        privileged: security.privileged,
        readonly_rootfs: security.readonly_rootfs,
        cap_add: Some(security.capabilities_add.clone()),
        cap_drop: Some(security.capabilities_drop.clone()),
        security_opt: Some(options),
        group_add: Some(security.supplemental_groups.iter().map(u32::to_string).collect()),
        masked_paths: security.masked_paths.clone(),
        readonly_paths: security.readonly_paths.clone(),
        devices: Some(spec.devices.iter().map(device).collect()),
        annotations: Some(spec.annotations.clone()),
        ..HostConfig::default()
    };
    apply_resources(&mut host, &spec.resources);
    check::with_defaults(host, machine)
}

fn apply_resources(host: &mut HostConfig, wanted: &crate::pod::PodResources) {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    host.cpu_shares = signed(wanted.cpu_shares);
    host.cpu_quota = wanted.cpu_quota;
    host.cpu_period = signed(wanted.cpu_period);
    host.memory = wanted.memory_bytes;
    host.memory_swap = match (wanted.memory_swap_bytes, wanted.memory_bytes) {
        // Without swap unless asked for: the limit of both together is that of memory.
        (0, memory) => memory,
        (swap, _) => swap,
    };
    host.cpuset_cpus.clone_from(&wanted.cpuset_cpus);
    host.cpuset_mems.clone_from(&wanted.cpuset_mems);
    host.pids_limit = (wanted.pids != 0).then_some(wanted.pids);
    host.oom_score_adj = wanted.oom_score_adj;
}

fn mount_of(mount: &PodMount) -> Result<MountPoint> {
    if !mount.image.is_empty() {
        return Err(EngineError::unsupported(format!(
            "image volumes are not supported by this engine yet ({} at {})",
            mount.image, mount.target
        )));
    }
    Ok(MountPoint {
        kind: "bind".to_owned(),
        source: mount.source.to_string_lossy().into_owned(),
        destination: crate::binds::clean_target(&mount.target)?,
        writable: !mount.read_only,
        propagation: mount.propagation.clone(),
        subpath: mount.sub_path.clone(),
        options: "must-exist".to_owned(),
        ..MountPoint::default()
    })
}
