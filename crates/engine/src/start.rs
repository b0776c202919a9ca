//! Starting: files, runtime, network, process. One hand for clients, restarts and recovery.

use std::path::Path;
use std::sync::Arc;

use net::Netns;
use runtime::{Namespace, Rootfs};

use crate::config::EndpointSettings;
use crate::containers::Container;
use crate::engine::Engine;
use crate::error::{Doing, EngineError, Kind, Result};
use crate::files::{self, Naming, Resolver};
use crate::launch::{self, Ground};
use crate::networks::{Join, PublishedPort};
use crate::record::{Health, Phase, Record};
use crate::time::Stamp;

/// Where the files of `files.rs` lie in a container's directory.
const FILES: &str = "files";

impl Engine {
    pub async fn start(self: &Arc<Self>, wanted: &str) -> Result<()> {
        let container = self.containers.find(wanted)?;
        let _turn = container.turn.lock().await;
        match container.record().state.phase {
            Phase::Running => return Err(EngineError::new(Kind::NotModified, "")),
            Phase::Paused => {
                return Err(EngineError::conflict(
                    "cannot start a paused container, try unpause instead",
                ));
            }
            Phase::Removing | Phase::Dead => {
                return Err(EngineError::conflict(
                    "container is marked for removal and cannot be started",
                ));
            }
            Phase::Created | Phase::Exited | Phase::Restarting => {}
        }
        container.update(|r| {
            r.state.stopped_by_user = false;
            r.state.restart_count = 0;
            r.state.backoff = 0;
        })?;
        self.launch(&container).await
    }

    /// Brings the process up. The caller holds the turn.
    pub(crate) async fn launch(self: &Arc<Self>, container: &Arc<Container>) -> Result<()> {
        let hands = container.clone();
        let launched = self.blocking(move |e| e.launch_now(&hands)).await;
        match launched {
            Ok(()) => {
                self.tell(&container.record(), "start", &[]);
                crate::health::watch(self, container);
                Ok(())
            }
            Err(e) => {
                self.free(container).await;
                container.forget_attaching();
                let code = start_code(&e.message);
                let record = container.update(|r| {
                    r.state.error.clone_from(&e.message);
                    r.state.exit_code = code;
                    r.endpoints.values_mut().for_each(EndpointSettings::release);
                })?;
                if record.host.auto_remove && record.state.started.is_never() {
                    // The CLI waits for the removal of what it asked to start.
                    self.dispose(container).await?;
                }
                Err(e)
            }
        }
    }

    fn launch_now(self: &Arc<Self>, container: &Arc<Container>) -> Result<()> {
        let record = container.record();
        // What an earlier run left with the keeper is no longer needed.
        self.runtime.delete(&record.id)?;
        let ground = self.ground(container, &record)?;
        let spec = launch::spec(&record, ground)?;
        let seen = self.runtime.create(&spec).map_err(create_failed)?;
        for warning in &seen.warnings {
            eprintln!("engine: container {}: {warning}", record.name);
        }
        let (endpoints, ports) = self.connect_all(container, &record, seen.pid)?;
        container.serve_attaching(&*self.runtime);
        // On disk before it runs: a crash in between finds a container to adopt or to bury.
        container.update(|r| {
            let state = &mut r.state;
            state.phase = Phase::Running;
            state.pid = seen.pid;
            state.started = Stamp::now();
            state.exit_code = 0;
            state.error.clear();
            state.oom_killed = false;
            state.health = r.config.healthcheck.is_some().then(Health::default);
            r.endpoints = endpoints;
            r.ports = ports;
            if !r.probes_health() {
                r.state.health = None;
            }
        })?;
        let started = self.runtime.start(&record.id).map_err(create_failed);
        if let Err(e) = started {
            container.update(|r| {
                r.state.phase = record.state.phase;
                r.state.started = record.state.started;
                r.state.pid = 0;
            })?;
            return Err(e);
        }
        Ok(())
    }

    /// Gathers what the specification needs from the machine.
    fn ground(&self, container: &Container, record: &Record) -> Result<Ground> {
        let spec = self.images.snapshots().get(&record.id)?;
        let rootfs = match (spec.upper.clone(), spec.work.clone()) {
            (Some(upper), Some(work)) => Rootfs::Overlay { lower: spec.lower.clone(), upper, work },
            _ => return Err(EngineError::system("the container's snapshot is not writable")),
        };
        make_bind_sources(record)?;
        self.mount_volumes(record)?;
        self.mount_images(record)?;
        let (user, home) = self.look_up_user(record, &spec)?;
        let (devices, mut rules) = crate::devices::resolve(&record.host)?;
        let mut device_rules = launch::default_device_rules();
        device_rules.append(&mut rules);
        let (net, sandbox) = self.network_namespace(record)?;
        let log_path = match record.pod.as_ref().and_then(|p| p.spec.log_path.clone()) {
            Some(path) => path,
            None => crate::logs::path(container.dir(), &record.id),
        };
        Ok(Ground {
            rootfs,
            user,
            home,
            files: Some(self.write_files(container, record)?),
            net,
            shm: self.shm_of(record)?,
            sandbox,
            devices,
            device_rules,
            cgroup_parent: self.cgroup_of(record),
            log_path,
        })
    }

    fn network_namespace(&self, record: &Record) -> Result<(Namespace, Option<String>)> {
        if let Some(pod) = &record.pod {
            return self.pod_namespace(pod);
        }
        let mode = record.host.network_mode.as_str();
        if let Some(other) = mode.strip_prefix("container:") {
            let other = self.containers.find(other)?.record();
            if !other.state.phase.is_live() {
                return Err(EngineError::conflict(format!(
                    "cannot join network namespace of a non running container: {}",
                    other.id
                )));
            }
            return Ok((Namespace::Container(other.id.clone()), None));
        }
        Ok((if mode == "host" { Namespace::Host } else { Namespace::New }, None))
    }

    /// The container's hosts, hostname and resolv.conf, before its addresses are known.
    fn write_files(&self, container: &Container, record: &Record) -> Result<std::path::PathBuf> {
        if let Some(pod) = &record.pod {
            return self.sandbox_files(&pod.sandbox);
        }
        if let Some(other) = record.host.network_mode.strip_prefix("container:") {
            return Ok(self.containers.dir_of(other).join(FILES));
        }
        let dir = container.dir().join(FILES);
        std::fs::create_dir_all(&dir).doing(|| format!("creating {}", dir.display()))?;
        let naming = self.naming(record);
        let machine = Resolver::of_machine();
        files::rewrite(&dir.join("resolv.conf"), &files::resolv_conf(record, &machine, naming))?;
        files::rewrite(&dir.join("hostname"), &format!("{}\n", record.config.hostname))?;
        self.write_hosts(&dir, record)?;
        Ok(dir)
    }

    pub(crate) fn write_hosts(&self, dir: &Path, record: &Record) -> Result<()> {
        let gateway = self.networks.find("bridge").ok().and_then(|n| {
            crate::config::items(&n.record.ipam.config).first().map(|c| c.gateway.clone())
        });
        let text =
            files::hosts(record, record.endpoints.values(), gateway.as_deref().unwrap_or(""));
        if record.host.network_mode == "host"
            && crate::config::items(&record.host.extra_hosts).is_empty()
        {
            let machine = std::fs::read_to_string("/etc/hosts").unwrap_or(text);
            return files::rewrite(&dir.join("hosts"), &machine);
        }
        files::rewrite(&dir.join("hosts"), &text)
    }

    fn naming(&self, record: &Record) -> Naming {
        let user_defined = |name: &String| !crate::networks::PREDEFINED.contains(&name.as_str());
        match record.endpoints.keys().any(user_defined) {
            true => Naming::Embedded,
            false => Naming::Machine,
        }
    }

    /// Joins every network of the record; the first in Docker's order is the gateway.
    fn connect_all(
        &self,
        container: &Container,
        record: &Record,
        pid: i32,
    ) -> Result<(std::collections::BTreeMap<String, EndpointSettings>, Vec<PublishedPort>)> {
        let mut endpoints = record.endpoints.clone();
        let mut ports = Vec::new();
        let shares = record.host.network_mode.starts_with("container:") || record.pod.is_some();
        if record.host.network_mode == "host" || shares {
            for (name, endpoint) in &mut endpoints {
                self.fill_plain(name, endpoint);
            }
            return Ok((endpoints, ports));
        }
        let pid = u32::try_from(pid).doing(|| "the container's process".to_owned())?;
        let netns = Netns::of_process(pid)?;
        net::loopback_up(&netns)?;
        for (i, name) in self.join_order(record).into_iter().enumerate() {
            let network = self.networks.find(&name)?;
            let wanted = endpoints.get(&name).cloned().unwrap_or_default();
            if network.record.driver != "bridge" {
                let mut endpoint = wanted;
                self.fill_plain(&name, &mut endpoint);
                endpoints.insert(name, endpoint);
                continue;
            }
            let join =
                Join { record, netns: &netns, ifname: format!("eth{i}"), is_gateway: i == 0 };
            let (settings, mut published) = self.networks.join(&network, &wanted, &join)?;
            ports.append(&mut published);
            self.tell_network("connect", &network.record, &record.id);
            endpoints.insert(name, settings);
        }
        self.networks.serve_names(record, &netns)?;
        let with_addresses = Record { endpoints: endpoints.clone(), ..record.clone() };
        self.write_hosts(&container.dir().join(FILES), &with_addresses)?;
        Ok((endpoints, ports))
    }

    /// Rewrites the hosts file of a running container after its networks changed.
    pub(crate) fn refresh_files(&self, container: &Container) -> Result<()> {
        let record = container.record();
        let dir = container.dir().join(FILES);
        let machine = Resolver::of_machine();
        let text = files::resolv_conf(&record, &machine, self.naming(&record));
        files::rewrite(&dir.join("resolv.conf"), &text)?;
        self.write_hosts(&dir, &record)
    }

    /// host and none have no addresses, but an id to show.
    fn fill_plain(&self, name: &str, endpoint: &mut EndpointSettings) {
        if let Ok(network) = self.networks.find(name) {
            endpoint.network_id.clone_from(&network.record.id);
            endpoint.endpoint_id = crate::ident::fresh_id();
        }
    }

    /// Highest gateway priority first, then by name (moby `daemon/container_operations.go`), but
    /// internal networks last: they cannot be the gateway.
    fn join_order(&self, record: &Record) -> Vec<String> {
        let mut names: Vec<&String> = record.endpoints.keys().collect();
        let internal = |n: &String| self.networks.find(n).is_ok_and(|n| n.record.internal);
        names.sort_by_key(|n| {
            let priority = record.endpoints.get(*n).map_or(0, |e| e.gw_priority);
            (internal(n), std::cmp::Reverse(priority), (*n).clone())
        });
        names.into_iter().cloned().collect()
    }

    /// Gives back what a process held: its endpoints and the keeper's record of it.
    pub(crate) async fn free(self: &Arc<Self>, container: &Arc<Container>) {
        let hands = container.clone();
        let freed = self.blocking(move |e| {
            let record = hands.record();
            for network in e.networks.list() {
                if network.lock().members.contains_key(&record.id) {
                    e.networks.leave(&network, &record.id);
                    e.tell_network("disconnect", &network.record, &record.id);
                }
            }
            e.runtime.delete(&record.id)?;
            e.unmount_all(&record);
            Ok(())
        });
        if let Err(e) = freed.await {
            eprintln!("engine: freeing what {} held: {e}", container.id);
        }
    }

    /// Takes off what was mounted on the machine for the container to find.
    pub(crate) fn unmount_all(&self, record: &Record) {
        self.unmount_shm(&self.containers.dir_of(&record.id));
        self.unmount_images(record);
        self.unmount_volumes(record);
    }

    fn cgroup_of(&self, record: &Record) -> String {
        match &record.pod {
            Some(pod) => self.sandbox_cgroup(&pod.sandbox),
            None => self.cgroup(),
        }
    }
}

impl From<net::Error> for EngineError {
    fn from(e: net::Error) -> Self {
        Self::system(e.to_string())
    }
}

/// Docker's words around a program that cannot be executed.
fn create_failed(e: runtime::Error) -> EngineError {
    let e = EngineError::from(e);
    e.context(
        "failed to create task for container: failed to create shim task: OCI runtime create failed",
    )
}

/// moby `daemon/start.go`, `translateContainerdStartErr`.
fn start_code(message: &str) -> i32 {
    let has = |text: &str| message.contains(text);
    match () {
        () if has("executable file not found") || has("no such file or directory") => 127,
        () if has("permission denied") || has("is a directory") || has("exec format error") => 126,
        () => 128,
    }
}

/// Missing sources of `-v` become directories, as dockerd makes them.
fn make_bind_sources(record: &Record) -> Result<()> {
    for mount in record.mounts.iter().filter(|m| m.kind == "bind") {
        let source = Path::new(&mount.source);
        if source.exists() {
            continue;
        }
        if mount.options == "must-exist" {
            return Err(EngineError::invalid(format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                mount.source
            )));
        }
        std::fs::create_dir_all(source)
            .doing(|| format!("error while creating mount source path '{}'", mount.source))?;
    }
    Ok(())
}
