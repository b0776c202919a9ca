//! Pod specs and templates (core `validation.go`: ValidatePodSpec, ValidatePodTemplateSpec).

use super::selector::labels;
use super::{Faults, Node, container, pod_update, schedule, volume};
use meta::names::{dns_label, dns_subdomain, qualified_name};
use meta::{Fault, Value};

/// The hook of pods.
pub(crate) fn check(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    spec(&Node::root(new).at("spec"), faults);
    if let Some(old) = old {
        pod_update::check(&Node::root(new), &Node::root(old), faults);
    }
}

/// The hook of `pods/ephemeralcontainers` and `pods/resize`, which may change what an update may not.
pub(crate) fn check_part(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    spec(&Node::root(new).at("spec"), faults);
}

/// `template`, of a workload or a PodTemplate.
pub(crate) fn template(node: &Node<'_>, faults: &mut Faults) {
    labels(&node.at("metadata.labels").renamed(node, "labels"), faults);
    for (key, _) in node.at("metadata.annotations").entries() {
        for why in qualified_name(&key.to_lowercase()) {
            faults.push(Fault::invalid(node.at("annotations").path, key, why));
        }
    }
    spec(&node.at("spec"), faults);
}

impl Node<'_> {
    /// Upstream reports a template's labels without the `metadata` in between.
    fn renamed(self, parent: &Node<'_>, key: &str) -> Self {
        Self { path: parent.at(key).path, ..self }
    }
}

const DNS: &[&str] = &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];

pub(crate) fn spec(node: &Node<'_>, faults: &mut Faults) {
    volume::all(&node.at("volumes"), faults);
    container::all(node, faults);
    node.at("restartPolicy").must_be(&["Always", "Never", "OnFailure"], faults);
    node.at("dnsPolicy").must_be(DNS, faults);
    context(node, faults);
    for secret in node.at("imagePullSecrets").items() {
        secret.at("name").require(faults);
    }
    schedule::all(node, faults);
    dns_config(node, faults);
    gates(node, faults);
    for key in ["serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"] {
        node.at(key).obey(dns_subdomain, faults);
    }
    node.at("activeDeadlineSeconds").within(1, i64::from(i32::MAX), faults);
    node.at("hostname").obey(dns_label, faults);
    node.at("subdomain").obey(dns_label, faults);
    for alias in node.at("hostAliases").items() {
        alias.at("ip").obey(super::names::ip, faults);
        for name in alias.at("hostnames").items() {
            name.obey(dns_subdomain, faults);
        }
    }
    node.at("preemptionPolicy").one_of(&["Never", "PreemptLowerPriority"], faults);
    if node.at("os").is_set() {
        node.at("os.name").must_be(&["linux", "windows"], faults);
    }
}

/// ValidatePodSecurityContext
fn context(spec: &Node<'_>, faults: &mut Faults) {
    let node = spec.at("securityContext");
    container::identity(&node, faults);
    for group in node.at("supplementalGroups").items() {
        group.within(0, i64::from(i32::MAX), faults);
    }
    if spec.at("shareProcessNamespace").flag() && spec.at("hostPID").flag() {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        spec.at("shareProcessNamespace").invalid(why, faults);
    }
    node.at("fsGroupChangePolicy").one_of(&["Always", "OnRootMismatch"], faults);
    for sysctl in node.at("sysctls").items() {
        sysctl.at("name").require(faults);
    }
    super::unique(node.at("sysctls").items().map(|s| s.at("name")), faults);
}

fn dns_config(spec: &Node<'_>, faults: &mut Faults) {
    let servers = spec.at("dnsConfig.nameservers");
    if spec.at("dnsPolicy").str() == "None" && servers.is_empty() {
        let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        match spec.at("dnsConfig").is_set() {
            true => faults.push(Fault::required(servers.path.clone(), why)),
            false => faults.push(Fault::required(
                spec.at("dnsConfig").path,
                "must provide `dnsConfig` when `dnsPolicy` is None",
            )),
        }
    }
    if servers.len() > 3 {
        servers.invalid("must not have more than 3 nameservers", faults);
    }
    servers.items().for_each(|s| s.obey(super::names::ip, faults));
    let searches = spec.at("dnsConfig.searches");
    if searches.len() > 32 {
        searches.invalid("must not have more than 32 search paths", faults);
    }
    for option in spec.at("dnsConfig.options").items() {
        option.at("name").require_why("must not be empty", faults);
    }
}

fn gates(spec: &Node<'_>, faults: &mut Faults) {
    for gate in spec.at("readinessGates").items() {
        gate.at("conditionType").obey(qualified_name, faults);
    }
    let names = || spec.at("schedulingGates").items().map(|g| g.at("name"));
    names().for_each(|name| super::selector::label_key(&name, faults));
    super::unique(names(), faults);
    if !spec.at("schedulingGates").is_empty() && !spec.at("nodeName").is_empty() {
        let why = "cannot be set until all schedulingGates have been cleared";
        spec.at("nodeName").forbid(why, faults);
    }
}
