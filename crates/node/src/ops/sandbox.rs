//! A pod's sandbox on the engine.

use super::{Hands, Trouble};
use crate::labels::{POD_NAME, POD_NAMESPACE, POD_UID};
use engine::pod::{
    NamespaceMode, PodResources, SandboxDns, SandboxNetwork, SandboxPort, SandboxSpec,
};
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kubelet::Resolver;
use std::collections::BTreeMap;

pub(crate) async fn run(hands: &Hands, pod: &Pod) -> Result<(), Trouble> {
    let spec = pod.spec.clone().unwrap_or_default();
    let mut wanted = sandbox_spec(hands, pod, &spec);
    wanted.hostname = kubelet::kernel_hostname(pod, &hands.policy)
        .map_err(|why| Trouble::new("FailedCreatePodSandBox", why))?;
    let made = hands.engine.run_sandbox(wanted).await;
    made.map(drop).map_err(|e| Trouble::new("FailedCreatePodSandBox", e))
}

fn sandbox_spec(hands: &Hands, pod: &Pod, spec: &PodSpec) -> SandboxSpec {
    let uid = hands.uid(pod).to_string();
    let name = pod.metadata.name.clone().unwrap_or_default();
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let host_network = spec.host_network == Some(true);
    let resolver = kubelet::resolver(pod, &hands.policy, &machine_resolver());
    SandboxSpec {
        name: format!("{name}_{namespace}_{uid}"),
        labels: BTreeMap::from([
            (POD_UID.into(), uid.clone()),
            (POD_NAME.into(), name),
            (POD_NAMESPACE.into(), namespace),
        ]),
        annotations: BTreeMap::new(),
        hostname: String::new(),
        dns: Some(SandboxDns {
            servers: resolver.servers,
            searches: resolver.searches,
            options: resolver.options,
        }),
        // Each container mounts the pod's own file, which knows the address.
        hosts: None,
        network: if host_network {
            SandboxNetwork::Host
        } else {
            SandboxNetwork::Bridge(hands.config.network.clone())
        },
        pid: if spec.host_pid == Some(true) {
            NamespaceMode::Node
        } else if spec.share_process_namespace == Some(true) {
            NamespaceMode::Pod
        } else {
            NamespaceMode::Container
        },
        ipc: if spec.host_ipc == Some(true) { NamespaceMode::Node } else { NamespaceMode::Pod },
        ports: if host_network { Vec::new() } else { ports(spec) },
        sysctls: sysctls(spec),
        cgroup_parent: String::new(),
        resources: PodResources::default(),
        shm_size: 0,
    }
}

fn ports(spec: &PodSpec) -> Vec<SandboxPort> {
    let all = spec.containers.iter().flat_map(|c| c.ports.iter().flatten());
    all.filter_map(|port| {
        let host_port = u16::try_from(port.host_port?).ok().filter(|p| *p > 0)?;
        Some(SandboxPort {
            protocol: port.protocol.as_deref().unwrap_or("TCP").to_lowercase(),
            container_port: u16::try_from(port.container_port).ok()?,
            host_port,
            host_ip: port.host_ip.clone().unwrap_or_default(),
        })
    })
    .collect()
}

fn sysctls(spec: &PodSpec) -> BTreeMap<String, String> {
    let context = spec.security_context.as_ref();
    let all = context.and_then(|c| c.sysctls.as_ref()).into_iter().flatten();
    all.map(|s| (s.name.clone(), s.value.clone())).collect()
}

/// `/etc/resolv.conf` of the machine.
pub(crate) fn machine_resolver() -> Resolver {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut out = Resolver::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => out.servers.extend(words.next().map(Into::into)),
            Some("search") => out.searches = words.map(Into::into).collect(),
            Some("options") => out.options = words.map(Into::into).collect(),
            _ => {}
        }
    }
    out
}
