//! What a pod is called and whom it asks for names: hostname, `/etc/hosts`, `resolv.conf`
//! (pkg/kubelet/kubelet_pods.go `GeneratePodHostNameAndDomain`, `managedHostsFileContent`;
//! pkg/kubelet/network/dns/dns.go).

use crate::types::NodePolicy;
use k8s_openapi::api::core::v1::{HostAlias, Pod, PodSpec};

/// The machine's own resolver configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolver {
    pub servers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

/// What resolvers take (pkg/apis/core/validation, `MaxDNSNameservers` and `MaxDNSSearchPaths`).
const SERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;

/// Names are cut to what the kernel takes.
const HOSTNAME_MAX: usize = 63;

pub fn hostname(pod: &Pod, policy: &NodePolicy) -> String {
    let spec = pod.spec.as_ref();
    if spec.and_then(|s| s.host_network) == Some(true) {
        return policy.node_name.clone();
    }
    let own = spec.and_then(|s| s.hostname.as_deref()).filter(|name| !name.is_empty());
    let name = own.or(pod.metadata.name.as_deref()).unwrap_or_default();
    let cut = &name[..name.len().min(HOSTNAME_MAX)];
    cut.trim_end_matches(['-', '.']).to_string()
}

/// `web-0.web.default.svc.cluster.local` for pods with a subdomain, `""` for others.
pub fn fqdn(pod: &Pod, policy: &NodePolicy) -> String {
    let subdomain = pod.spec.as_ref().and_then(|s| s.subdomain.as_deref()).unwrap_or_default();
    if subdomain.is_empty() {
        return String::new();
    }
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    format!("{}.{subdomain}.{namespace}.svc.{}", hostname(pod, policy), policy.cluster_domain)
}

/// What `gethostname` gives inside: the short name, or the whole one for `setHostnameAsFQDN`.
///
/// # Errors
/// When the whole name is longer than the kernel takes.
pub fn kernel_hostname(pod: &Pod, policy: &NodePolicy) -> Result<String, String> {
    const MOST: usize = 64;
    let whole = fqdn(pod, policy);
    let wanted = pod.spec.as_ref().and_then(|s| s.set_hostname_as_fqdn) == Some(true);
    match whole.len() {
        _ if !wanted || whole.is_empty() => Ok(hostname(pod, policy)),
        0..=MOST => Ok(whole),
        long => Err(format!(
            "failed to construct FQDN from pod hostname and cluster domain, FQDN {whole} is too long ({MOST} characters is the max, {long} characters requested)"
        )),
    }
}

/// The content of `/etc/hosts`. `machine` is the machine's own file, for pods on the host network.
pub fn hosts_file(pod: &Pod, policy: &NodePolicy, pod_ips: &[String], machine: &str) -> String {
    let spec = pod.spec.as_ref();
    let mut out = if spec.and_then(|s| s.host_network) == Some(true) {
        format!("# Kubernetes-managed hosts file (host network).\n{machine}")
    } else {
        own_hosts(&hostname(pod, policy), &fqdn(pod, policy), pod_ips)
    };
    aliases(spec.and_then(|s| s.host_aliases.as_deref()).unwrap_or_default(), &mut out);
    out
}

fn own_hosts(hostname: &str, fqdn: &str, pod_ips: &[String]) -> String {
    let mut out = String::from("# Kubernetes-managed hosts file.\n");
    for line in [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ] {
        out.push_str(line);
        out.push('\n');
    }
    for ip in pod_ips {
        let names = if fqdn.is_empty() { hostname.into() } else { format!("{fqdn}\t{hostname}") };
        out.push_str(&format!("{ip}\t{names}\n"));
    }
    out
}

fn aliases(aliases: &[HostAlias], out: &mut String) {
    if aliases.is_empty() {
        return;
    }
    out.push_str("\n# Entries added by HostAliases.\n");
    for alias in aliases {
        let names = alias.hostnames.clone().unwrap_or_default().join("\t");
        out.push_str(&format!("{}\t{names}\n", alias.ip));
    }
}

/// Whom the pod asks, by its DNS policy and configuration.
pub fn resolver(pod: &Pod, policy: &NodePolicy, machine: &Resolver) -> Resolver {
    let default = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&default);
    let host_network = spec.host_network == Some(true);
    let mut out = match spec.dns_policy.as_deref().unwrap_or("ClusterFirst") {
        "None" => Resolver::default(),
        "Default" => machine.clone(),
        "ClusterFirst" if host_network => machine.clone(),
        _ => cluster(pod, policy, machine),
    };
    let Some(config) = &spec.dns_config else { return out };
    out.servers.extend(config.nameservers.clone().unwrap_or_default());
    out.searches.extend(config.searches.clone().unwrap_or_default());
    for option in config.options.iter().flatten() {
        let name = option.name.as_deref().unwrap_or_default();
        let text = match option.value.as_deref() {
            Some(value) if !value.is_empty() => format!("{name}:{value}"),
            _ => name.into(),
        };
        out.options.retain(|had| had.split(':').next() != Some(name));
        out.options.push(text);
    }
    dedup(&mut out.servers);
    dedup(&mut out.searches);
    out.servers.truncate(SERVERS_MAX);
    out.searches.truncate(SEARCHES_MAX);
    out
}

fn cluster(pod: &Pod, policy: &NodePolicy, machine: &Resolver) -> Resolver {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let domain = &policy.cluster_domain;
    let mut searches =
        vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
    searches.extend(machine.searches.clone());
    dedup(&mut searches);
    Resolver { servers: policy.cluster_dns.clone(), searches, options: vec!["ndots:5".into()] }
}

fn dedup(list: &mut Vec<String>) {
    let mut seen = Vec::new();
    list.retain(|item| {
        let fresh = !seen.contains(item);
        seen.push(item.clone());
        fresh
    });
}
