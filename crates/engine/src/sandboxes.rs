//! Pod sandboxes: the operations of `pod.rs`.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use net::Netns;
use runtime::Namespace;
use serde::{Deserialize, Serialize};

use crate::config::{Config, EndpointSettings, HostConfig, PortBinding};
use crate::containers::replace;
use crate::engine::Engine;
use crate::error::{Doing, EngineError, Result};
use crate::files::{self, Resolver};
use crate::ident::fresh_id;
use crate::networks::{Join, PublishedPort};
use crate::pod::{NamespaceMode, PodFilter, SandboxDns, SandboxNetwork, SandboxSeen, SandboxSpec};
use crate::record::{PodBinding, Record};
use crate::time::Stamp;

const FILE: &str = "sandbox.json";
/// Bytes of `/dev/shm` when nobody says.
const SHM: u64 = 64 << 20;

/// A sandbox on disk: what is seen, and what its endpoint got.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SandboxRecord {
    pub seen: SandboxSeen,
    pub endpoint: EndpointSettings,
    pub ports: Vec<PublishedPort>,
}

pub(crate) struct Sandboxes {
    root: PathBuf,
    all: RwLock<BTreeMap<String, Arc<SandboxRecord>>>,
}

impl Sandboxes {
    pub fn open(root: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&root).doing(|| format!("creating {}", root.display()))?;
        let mut all = BTreeMap::new();
        for entry in std::fs::read_dir(&root).doing(|| format!("reading {}", root.display()))? {
            let dir = entry?.path();
            let bytes = std::fs::read(dir.join(FILE)).unwrap_or_default();
            match serde_json::from_slice::<SandboxRecord>(&bytes) {
                Ok(record) => drop(all.insert(record.seen.id.clone(), Arc::new(record))),
                Err(_) => {
                    unmount(&dir.join("shm"));
                    let _ = std::fs::remove_dir_all(&dir);
                }
            }
        }
        Ok(Self { root, all: RwLock::new(all) })
    }

    pub fn list(&self) -> Vec<Arc<SandboxRecord>> {
        self.all.read().expect("no panic happens under this lock").values().cloned().collect()
    }

    /// By its id or the beginning of it.
    pub fn find(&self, wanted: &str) -> Result<Arc<SandboxRecord>> {
        let all = self.all.read().expect("no panic happens under this lock");
        let from = (Bound::Included(wanted), Bound::Unbounded);
        let hits = all.range::<str, _>(from).take_while(|(id, _)| id.starts_with(wanted));
        let mut hits = hits.map(|(_, record)| record);
        match (hits.next(), hits.next()) {
            (Some(found), None) if !wanted.is_empty() => Ok(found.clone()),
            _ => Err(EngineError::not_found(format!("no such sandbox: {wanted}"))),
        }
    }

    fn dir(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    fn save(&self, record: SandboxRecord) -> Result<()> {
        let bytes = serde_json::to_vec(&record).doing(|| "encoding a sandbox".to_owned())?;
        replace(&self.dir(&record.seen.id).join(FILE), &bytes)?;
        let mut all = self.all.write().expect("no panic happens under this lock");
        all.insert(record.seen.id.clone(), Arc::new(record));
        Ok(())
    }

    fn forget(&self, id: &str) -> Result<()> {
        let dir = self.dir(id);
        unmount(&dir.join("shm"));
        let _ = std::fs::remove_file(dir.join(FILE));
        std::fs::remove_dir_all(&dir).doing(|| format!("removing {}", dir.display()))?;
        self.all.write().expect("no panic happens under this lock").remove(id);
        Ok(())
    }
}

fn unmount(path: &Path) {
    let _ = rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH);
}

impl Engine {
    /// Namespaces, network, files and shared memory of a new sandbox.
    pub async fn run_sandbox(self: &Arc<Self>, spec: SandboxSpec) -> Result<SandboxSeen> {
        self.blocking(move |e| e.run_sandbox_now(spec)).await
    }

    fn run_sandbox_now(&self, spec: SandboxSpec) -> Result<SandboxSeen> {
        if self.sandboxes.list().iter().any(|s| s.seen.spec.name == spec.name && s.seen.ready) {
            let text = format!("sandbox name \"{}\" is in use", spec.name);
            return Err(EngineError::conflict(text));
        }
        let id = fresh_id();
        let made = self.make_sandbox(&id, spec);
        if made.is_err() {
            self.unmake_sandbox(&id);
        }
        made
    }

    fn make_sandbox(&self, id: &str, spec: SandboxSpec) -> Result<SandboxSeen> {
        let dir = self.sandboxes.dir(id);
        std::fs::create_dir_all(&dir).doing(|| format!("creating {}", dir.display()))?;
        make_shm(&dir.join("shm"), if spec.shm_size == 0 { SHM } else { spec.shm_size })?;
        let own_net = spec.network != SandboxNetwork::Host;
        let hostname = match spec.hostname.as_str() {
            "" => rustix::system::uname().nodename().to_string_lossy().into_owned(),
            name => name.to_owned(),
        };
        let seen = self.runtime.create_sandbox(&runtime::SandboxSpec {
            id: id.to_owned(),
            net: own_net,
            ipc: spec.ipc == NamespaceMode::Pod,
            uts: own_net,
            pid: spec.pid == NamespaceMode::Pod,
            hostname: hostname.clone(),
            domainname: String::new(),
            sysctls: spec.sysctls.clone(),
            labels: BTreeMap::from([("sandbox".to_owned(), spec.name.clone())]),
        })?;
        let (endpoint, ports) = self.sandbox_network(id, &hostname, &spec, seen.net.as_deref())?;
        let addresses = [&endpoint.ip_address, &endpoint.global_ipv6_address];
        let ips: Vec<String> = addresses.into_iter().filter(|a| !a.is_empty()).cloned().collect();
        self.write_sandbox_files(&dir, &hostname, &spec, &endpoint)?;
        let cgroup = match spec.cgroup_parent.as_str() {
            "" => format!("{}/pod-{id}", self.cgroup()),
            parent => parent.to_owned(),
        };
        let created = Stamp::now();
        let netns = seen.net;
        let seen =
            SandboxSeen { id: id.to_owned(), spec, created, ready: true, ips, netns, cgroup };
        self.sandboxes.save(SandboxRecord { seen: seen.clone(), endpoint, ports })?;
        Ok(seen)
    }

    fn sandbox_network(
        &self,
        id: &str,
        hostname: &str,
        spec: &SandboxSpec,
        netns: Option<&Path>,
    ) -> Result<(EndpointSettings, Vec<PublishedPort>)> {
        let (SandboxNetwork::Bridge(name), Some(path)) = (&spec.network, netns) else {
            return Ok(Default::default());
        };
        let netns = Netns::open(path)?;
        net::loopback_up(&netns)?;
        let network = self.networks.find(name)?;
        let record = sandbox_member(id, hostname, spec);
        let join =
            Join { record: &record, netns: &netns, ifname: "eth0".to_owned(), is_gateway: true };
        self.networks.join(&network, &EndpointSettings::default(), &join)
    }

    fn write_sandbox_files(
        &self,
        dir: &Path,
        hostname: &str,
        spec: &SandboxSpec,
        endpoint: &EndpointSettings,
    ) -> Result<()> {
        let resolver = match &spec.dns {
            Some(SandboxDns { servers, searches, options }) => Resolver {
                servers: servers.clone(),
                searches: searches.clone(),
                options: options.clone(),
            },
            None => Resolver::of_machine(),
        };
        let mut record = Record::default();
        hostname.clone_into(&mut record.config.hostname);
        let usual = || files::hosts(&record, [endpoint].into_iter(), "");
        let hosts = spec.hosts.clone().unwrap_or_else(usual);
        files::rewrite(&dir.join("resolv.conf"), &resolver.render())?;
        files::rewrite(&dir.join("hostname"), &format!("{hostname}\n"))?;
        files::rewrite(&dir.join("hosts"), &hosts)
    }

    fn unmake_sandbox(&self, id: &str) {
        for network in self.networks.list() {
            self.networks.leave(&network, id);
        }
        if let Err(e) = self.runtime.delete_sandbox(id) {
            eprintln!("engine: undoing sandbox {id}: {e}");
        }
        let _ = self.sandboxes.forget(id);
    }

    /// A sandbox that the keeper no longer holds is not ready; one that no record knows goes.
    pub(crate) fn recover_sandboxes(&self, node: &runtime::NodeSeen) -> Result<()> {
        let held = |id: &str| node.sandboxes.iter().any(|s| s.id == id);
        for record in self.sandboxes.list() {
            if record.seen.ready && !held(&record.seen.id) {
                let mut record = (*record).clone();
                record.seen.ready = false;
                record.endpoint.release();
                self.sandboxes.save(record)?;
            }
        }
        for seen in &node.sandboxes {
            if self.sandboxes.find(&seen.id).is_err() {
                self.runtime.delete_sandbox(&seen.id)?;
            }
        }
        Ok(())
    }

    /// Ready sandboxes with an endpoint, in the shape that networks know their members by.
    pub(crate) fn sandbox_members(&self) -> Vec<Record> {
        let member = |s: Arc<SandboxRecord>| {
            let SandboxNetwork::Bridge(network) = &s.seen.spec.network else { return None };
            if !s.seen.ready {
                return None;
            }
            let mut record = sandbox_member(&s.seen.id, &s.seen.spec.hostname, &s.seen.spec);
            record.state.phase = crate::record::Phase::Running;
            record.ports.clone_from(&s.ports);
            record.endpoints.insert(network.clone(), s.endpoint.clone());
            Some(record)
        };
        self.sandboxes.list().into_iter().filter_map(member).collect()
    }

    /// Kills its containers and gives back its network. Stopping twice is fine.
    pub async fn stop_sandbox(self: &Arc<Self>, wanted: &str) -> Result<()> {
        let record = self.sandboxes.find(wanted)?;
        let id = record.seen.id.clone();
        for container in self.containers_of(&id) {
            let kill = crate::stop::StopOptions { signal: Some("KILL".into()), timeout: Some(10) };
            if container.record().state.phase.is_running() {
                self.stop_container(&container, &kill).await?;
            }
        }
        if !record.seen.ready {
            return Ok(());
        }
        self.blocking(move |e| {
            for network in e.networks.list() {
                e.networks.leave(&network, &id);
            }
            for container in e.containers_of(&id) {
                e.runtime.delete(&container.id)?;
            }
            e.runtime.delete_sandbox(&id)?;
            let mut record = (*record).clone();
            record.seen.ready = false;
            record.endpoint.release();
            e.sandboxes.save(record)
        })
        .await
    }

    /// Stops and removes it with its containers. One that is not there is fine.
    pub async fn remove_sandbox(self: &Arc<Self>, wanted: &str) -> Result<()> {
        let Ok(record) = self.sandboxes.find(wanted) else { return Ok(()) };
        let id = record.seen.id.clone();
        self.stop_sandbox(&id).await?;
        for container in self.containers_of(&id) {
            let options = crate::remove::RemoveOptions { force: true, volumes: true };
            self.remove(&container.id, options).await?;
        }
        self.blocking(move |e| e.sandboxes.forget(&id)).await
    }

    pub fn sandbox(&self, wanted: &str) -> Result<SandboxSeen> {
        Ok(self.sandboxes.find(wanted)?.seen.clone())
    }

    pub fn list_sandboxes(&self, filter: &PodFilter) -> Vec<SandboxSeen> {
        let wanted = |s: &Arc<SandboxRecord>| {
            s.seen.id.starts_with(&filter.id)
                && filter.labels.iter().all(|(k, v)| s.seen.spec.labels.get(k) == Some(v))
        };
        self.sandboxes.list().into_iter().filter(wanted).map(|s| s.seen.clone()).collect()
    }

    pub(crate) fn containers_of(&self, sandbox: &str) -> Vec<Arc<crate::containers::Container>> {
        let ours = |c: &Arc<crate::containers::Container>| {
            c.record().pod.as_ref().is_some_and(|p| p.sandbox == sandbox)
        };
        self.containers.all().into_iter().filter(ours).collect()
    }

    pub(crate) fn pod_namespace(&self, pod: &PodBinding) -> Result<(Namespace, Option<String>)> {
        let record = self.sandboxes.find(&pod.sandbox)?;
        let sandbox = &record.seen;
        if !sandbox.ready {
            let text = format!("sandbox {} is not ready", sandbox.id);
            return Err(EngineError::conflict(text));
        }
        let net = match sandbox.spec.network {
            SandboxNetwork::Host => Namespace::Host,
            SandboxNetwork::Bridge(_) => Namespace::Sandbox,
        };
        Ok((net, Some(sandbox.id.clone())))
    }

    pub(crate) fn sandbox_files(&self, sandbox: &str) -> Result<PathBuf> {
        Ok(self.sandboxes.dir(&self.sandboxes.find(sandbox)?.seen.id))
    }

    pub(crate) fn sandbox_cgroup(&self, sandbox: &str) -> String {
        self.sandboxes.find(sandbox).map_or_else(|_| self.cgroup(), |s| s.seen.cgroup.clone())
    }

    /// The directory that becomes `/dev/shm`: a sandbox's, a shareable one, or that of another.
    pub(crate) fn shm_of(&self, record: &Record) -> Result<Option<PathBuf>> {
        if let Some(pod) = &record.pod {
            return Ok(Some(self.sandbox_files(&pod.sandbox)?.join("shm")));
        }
        if let Some(other) = record.host.ipc_mode.strip_prefix("container:") {
            let other = self.containers.find(other)?;
            let mode = &other.record().host.ipc_mode;
            return match mode.as_str() {
                "host" => Ok(Some(PathBuf::from("/dev/shm"))),
                "shareable" => Ok(Some(other.dir().join("shm"))),
                _ => Err(EngineError::invalid(format!(
                    "cannot join IPC of container {}: non-shareable IPC (hint: use IpcMode:shareable for the \
                     donor container)",
                    other.id
                ))),
            };
        }
        if record.host.ipc_mode != "shareable" {
            return Ok(None);
        }
        let dir = self.containers.dir_of(&record.id).join("shm");
        unmount(&dir);
        make_shm(&dir, u64::try_from(record.host.shm_size).unwrap_or(SHM))?;
        Ok(Some(dir))
    }

    pub(crate) fn unmount_shm(&self, dir: &Path) {
        unmount(&dir.join("shm"));
    }
}

fn make_shm(dir: &Path, size: u64) -> Result<()> {
    let what = || format!("mounting shared memory at {}", dir.display());
    std::fs::create_dir_all(dir).doing(what)?;
    let options = std::ffi::CString::new(format!("mode=1777,size={size}")).doing(what)?;
    let flags = rustix::mount::MountFlags::NOSUID
        | rustix::mount::MountFlags::NODEV
        | rustix::mount::MountFlags::NOEXEC;
    rustix::mount::mount("shm", dir, "tmpfs", flags, Some(options.as_c_str())).doing(what)
}

/// A sandbox in the shape that networks know their members by.
fn sandbox_member(id: &str, hostname: &str, spec: &SandboxSpec) -> Record {
    let mut bindings: BTreeMap<String, Option<Vec<PortBinding>>> = BTreeMap::new();
    for port in &spec.ports {
        let key = format!("{}/{}", port.container_port, port.protocol.to_ascii_lowercase());
        let binding =
            PortBinding { host_ip: port.host_ip.clone(), host_port: port.host_port.to_string() };
        bindings.entry(key).or_default().get_or_insert_default().push(binding);
    }
    Record {
        id: id.to_owned(),
        name: spec.name.clone(),
        config: Config { hostname: hostname.to_owned(), ..Config::default() },
        host: HostConfig { port_bindings: Some(bindings), ..HostConfig::default() },
        ..Record::default()
    }
}
