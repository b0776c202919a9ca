//! The Node object and its heartbeat (pkg/kubelet/kubelet_node_status.go, nodelease).

use crate::config::NodeConfig;
use api::{Call, Patch, PatchKind, Verb};
use client::Client;
use engine::Engine;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use meta::{Problem, Reason, Value};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use typed::{Kind, Read};

/// What the machine has.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub cpus: usize,
    pub memory_bytes: i64,
    pub disk_bytes: i64,
    pub kernel: String,
    pub os_image: String,
    pub machine_id: String,
    pub boot_id: String,
}

impl Machine {
    pub fn of_host(data_dir: &std::path::Path) -> Self {
        let read =
            |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_string();
        let memory = read("/proc/meminfo");
        let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib = total.and_then(|t| t.trim().trim_end_matches(" kB").parse::<i64>().ok());
        let release = read("/etc/os-release");
        let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        let disk = nix::sys::statvfs::statvfs(data_dir)
            .map(|s| i64::try_from(s.blocks() * s.fragment_size()).unwrap_or(i64::MAX));
        Self {
            cpus: std::thread::available_parallelism().map_or(1, Into::into),
            memory_bytes: kib.unwrap_or(0) * 1024,
            disk_bytes: disk.unwrap_or(0),
            kernel: read("/proc/sys/kernel/osrelease"),
            os_image: pretty.map(|p| p.trim_matches('"').to_string()).unwrap_or_default(),
            machine_id: read("/etc/machine-id"),
            boot_id: read("/proc/sys/kernel/random/boot_id"),
        }
    }

    /// Kept free for the system, as minikube and kind do not but a laptop needs: nothing, so that requests fit.
    fn resources(&self, max_pods: u32) -> Value {
        json!({
            "cpu": self.cpus.to_string(),
            "memory": format!("{}Ki", self.memory_bytes / 1024),
            "ephemeral-storage": format!("{}Ki", self.disk_bytes / 1024),
            "pods": max_pods.to_string(),
            "hugepages-1Gi": "0",
            "hugepages-2Mi": "0",
        })
    }
}

/// Creates the Node when it is missing and brings its status up to date.
pub(crate) async fn register(
    client: &Client,
    config: &NodeConfig,
    machine: &Machine,
) -> Result<(), Problem> {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let labels = json!({
        "kubernetes.io/hostname": config.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": arch,
    });
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": config.name, "labels": labels },
        "spec": { "podCIDR": config.pod_cidr, "podCIDRs": [config.pod_cidr] },
    });
    let create = Call::new(Verb::Create(node), Node::gvr(), "", "");
    match client.call(&create).await {
        Err(problem) if problem.reason != Reason::AlreadyExists => return Err(problem),
        _ => {}
    }
    let status = status(client, config, machine, arch);
    patch_status(client, &config.name, status).await
}

async fn patch_status(client: &Client, name: &str, status: Value) -> Result<(), Problem> {
    let patch = Patch { kind: PatchKind::Strategic, body: json!({ "status": status }) };
    let call = Call::new(Verb::Patch(patch), Node::gvr(), "", name).on("status");
    client.call(&call).await.map(drop)
}

fn status(client: &Client, config: &NodeConfig, machine: &Machine, arch: &str) -> Value {
    let resources = machine.resources(config.max_pods);
    json!({
        "capacity": resources,
        "allocatable": resources,
        "addresses": [
            { "type": "InternalIP", "address": config.address },
            { "type": "Hostname", "address": config.name },
        ],
        "conditions": conditions(client, config),
        "daemonEndpoints": { "kubeletEndpoint": { "Port": config.kubelet_port } },
        "nodeInfo": {
            "architecture": arch,
            "bootID": machine.boot_id,
            "containerRuntimeVersion": concat!("boxship://", env!("CARGO_PKG_VERSION")),
            "kernelVersion": machine.kernel,
            "kubeProxyVersion": "",
            "kubeletVersion": "v1.35.0",
            "machineID": machine.machine_id,
            "operatingSystem": "linux",
            "osImage": machine.os_image,
            "systemUUID": machine.machine_id,
        },
    })
}

fn conditions(client: &Client, config: &NodeConfig) -> Value {
    let now = client::now().rfc3339();
    let old = client.view().read::<Node>("", &config.name);
    let since = |kind: &str, status: &str| {
        let old = old.as_ref().and_then(|n| n.status.as_ref()?.conditions.as_ref());
        let same = old.into_iter().flatten().find(|c| c.type_ == kind && c.status == status);
        let kept = same.and_then(|c| c.last_transition_time.as_ref().map(typed::time));
        kept.map_or_else(|| now.clone(), |at| at.rfc3339())
    };
    let rows = [
        (
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available",
        ),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ];
    rows.iter()
        .map(|(kind, status, reason, message)| {
            json!({
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": now,
                "lastTransitionTime": since(kind, status),
            })
        })
        .collect()
}

/// Seconds a lease is good for, and between renewals: upstream's defaults.
const LEASE_SECS: i64 = 40;
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// Renews the node's lease until the task is dropped, and says which images are here when that has changed: the node's
/// only timer.
pub(crate) async fn heartbeat(client: Client, name: String, engine: Arc<Engine>) {
    let mut told = Value::Null;
    loop {
        if let Err(problem) = renew(&client, &name).await {
            tracing::warn!(%problem, node = name, "lease not renewed");
        }
        let images = images(&engine);
        if images != told {
            match patch_status(&client, &name, json!({ "images": images })).await {
                Ok(()) => told = images,
                Err(problem) => tracing::warn!(%problem, node = name, "images not reported"),
            }
        }
        tokio::time::sleep(RENEW_EVERY).await;
    }
}

/// Upstream's bounds (`nodeStatusMaxImages`, `MaxNamesPerImageInNodeStatus`).
const IMAGES_MOST: usize = 50;
const NAMES_MOST: usize = 5;

/// `status.images`: the largest first.
fn images(engine: &Engine) -> Value {
    let mut all = engine.images.list();
    all.retain(|image| !image.tags.is_empty() || !image.digests.is_empty());
    all.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.as_str().cmp(b.id.as_str())));
    all.truncate(IMAGES_MOST);
    let one = |image: &image::Image| {
        let names = image.digests.iter().chain(&image.tags).take(NAMES_MOST);
        let names: Vec<String> = names.map(ToString::to_string).collect();
        json!({ "names": names, "sizeBytes": image.size })
    };
    all.iter().map(one).collect()
}

async fn renew(client: &Client, name: &str) -> Result<(), Problem> {
    let now = client::now().rfc3339_micro();
    let namespace = "kube-node-lease";
    if client.view().read::<Lease>(namespace, name).is_some() {
        let body = json!({ "spec": { "renewTime": now } });
        let patch = Patch { kind: PatchKind::Merge, body };
        let call = Call::new(Verb::Patch(patch), Lease::gvr(), namespace, name);
        return client.call(&call).await.map(drop);
    }
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": name, "namespace": namespace },
        "spec": { "holderIdentity": name, "leaseDurationSeconds": LEASE_SECS, "renewTime": now },
    });
    client.call(&Call::new(Verb::Create(lease), Lease::gvr(), namespace, "")).await.map(drop)
}
