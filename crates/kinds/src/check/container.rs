//! Containers (core `validation.go`: validateContainers, validateInitContainers, validateContainerCommon).

use super::names::{PROTOCOLS, config_key, env_name, port_name, port_number};
use super::{Faults, Node, probe, resources, unique};
use meta::Fault;
use meta::names::{dns_label, dns_subdomain};
use std::collections::BTreeSet;

const RESTARTS: &[&str] = &["Always", "Never", "OnFailure"];

/// Every container list of a pod spec.
pub(crate) fn all(spec: &Node<'_>, faults: &mut Faults) {
    let containers = spec.at("containers");
    containers.require(faults);
    for node in containers.items() {
        common(&node, spec, faults);
        probe::container(&node, faults);
        node.at("restartPolicy").one_of(RESTARTS, faults);
    }
    let mut names: BTreeSet<&str> = BTreeSet::new();
    named_once(&containers, &mut names, faults);
    for node in spec.at("initContainers").items() {
        common(&node, spec, faults);
        init(&node, faults);
    }
    named_once(&spec.at("initContainers"), &mut names, faults);
    for node in spec.at("ephemeralContainers").items() {
        common(&node, spec, faults);
        ephemeral(&node, spec, faults);
    }
    named_once(&spec.at("ephemeralContainers"), &mut names, faults);
    host_ports(&containers, faults);
    if spec.at("hostNetwork").flag() {
        containers.items().for_each(|c| on_host(&c, faults));
    }
}

fn named_once<'a>(list: &Node<'a>, names: &mut BTreeSet<&'a str>, faults: &mut Faults) {
    for node in list.items().map(|c| c.at("name")).filter(|n| !n.is_empty()) {
        if !names.insert(node.str()) {
            node.duplicate(faults);
        }
    }
}

fn common(node: &Node<'_>, spec: &Node<'_>, faults: &mut Faults) {
    if node.at("name").require(faults) {
        node.at("name").obey(dns_label, faults);
    }
    let image = node.at("image");
    if image.require(faults) && image.str().trim() != image.str() {
        image.invalid("must not have leading or trailing whitespace", faults);
    }
    let policies = ["FallbackToLogsOnError", "File"];
    node.at("terminationMessagePolicy").must_be(&policies, faults);
    ports(&node.at("ports"), faults);
    node.at("env").items().for_each(|e| env(&e, faults));
    node.at("envFrom").items().for_each(|e| env_from(&e, faults));
    mounts(node, spec, faults);
    node.at("imagePullPolicy").must_be(&["Always", "IfNotPresent", "Never"], faults);
    resources::container(&node.at("resources"), faults);
    security(&node.at("securityContext"), faults);
}

fn ports(list: &Node<'_>, faults: &mut Faults) {
    for port in list.items() {
        port.at("name").obey(port_name, faults);
        if port.at("containerPort").int() == 0 {
            faults.push(Fault::required(port.at("containerPort").path, ""));
        } else {
            port_number(&port.at("containerPort"), faults);
        }
        if port.at("hostPort").int() != 0 {
            port_number(&port.at("hostPort"), faults);
        }
        port.at("protocol").must_be(PROTOCOLS, faults);
    }
    unique(list.items().map(|p| p.at("name")), faults);
}

/// checkHostPortConflicts
fn host_ports(containers: &Node<'_>, faults: &mut Faults) {
    let mut taken = BTreeSet::new();
    for port in containers.items().flat_map(|c| c.at("ports").items()) {
        let number = port.at("hostPort").int();
        let what = format!("{}/{}/{number}", port.at("protocol").str(), port.at("hostIP").str());
        if number != 0 && !taken.insert(what.clone()) {
            faults.push(Fault::duplicate(port.at("hostPort").path, what));
        }
    }
}

/// validateHostNetwork
fn on_host(container: &Node<'_>, faults: &mut Faults) {
    for port in container.at("ports").items() {
        if port.at("hostPort").int() != port.at("containerPort").int() {
            let why = "must match `hostPort` when `hostNetwork` is true";
            port.at("containerPort").invalid(why, faults);
        }
    }
}

const SOURCES: &[&str] =
    &["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
const FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

fn env(node: &Node<'_>, faults: &mut Faults) {
    if node.at("name").require(faults) {
        node.at("name").obey(env_name, faults);
    }
    let from = node.at("valueFrom");
    if !from.is_set() {
        return;
    }
    let given: Vec<_> = SOURCES.iter().map(|k| from.at(k)).filter(Node::is_set).collect();
    let whole = |why: &str| Fault::invalid(&from.path, "", why);
    if given.is_empty() {
        faults.push(whole("must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"));
    } else if !node.at("value").is_empty() {
        faults.push(whole("may not be specified when `value` is not empty"));
    } else if given.len() > 1 {
        faults.push(whole("may not have more than one field specified at a time"));
    }
    field_ref(&from.at("fieldRef"), FIELDS, faults);
    for key in ["configMapKeyRef", "secretKeyRef"] {
        let source = from.at(key);
        if source.is_set() && source.at("key").require(faults) {
            source.at("key").obey(config_key, faults);
        }
    }
    let resource = from.at("resourceFieldRef");
    if resource.is_set() {
        resource.at("resource").require(faults);
    }
}

/// validateObjectFieldSelector
pub(crate) fn field_ref(node: &Node<'_>, known: &[&str], faults: &mut Faults) {
    if !node.is_set() {
        return;
    }
    let path = node.at("fieldPath");
    if !node.at("apiVersion").require(faults) || !path.require(faults) {
        return;
    }
    let text = path.str();
    let keyed = ["metadata.labels[", "metadata.annotations["];
    let subscript = keyed.iter().any(|start| text.starts_with(start) && text.ends_with("']"));
    let plural = ["metadata.labels", "metadata.annotations"].contains(&text);
    if subscript || known.contains(&text) {
        return;
    }
    if FIELDS.contains(&text) || plural {
        path.one_of(known, faults);
    } else {
        let why = format!("error converting fieldPath: field label not supported: {text}");
        path.invalid(why, faults);
    }
}

fn env_from(node: &Node<'_>, faults: &mut Faults) {
    node.at("prefix").obey(env_name, faults);
    let given: Vec<_> =
        ["configMapRef", "secretRef"].iter().map(|k| node.at(k)).filter(Node::is_set).collect();
    for source in &given {
        if source.at("name").require(faults) {
            source.at("name").obey(dns_subdomain, faults);
        }
    }
    let whole = |why: &str| Fault::invalid(&node.path, "", why);
    match given.len() {
        0 => faults.push(whole("must specify one of: `configMapRef` or `secretRef`")),
        1 => {}
        _ => faults.push(whole("may not have more than one field specified at a time")),
    }
}

/// ValidateVolumeMounts and ValidateVolumeDevices
fn mounts(node: &Node<'_>, spec: &Node<'_>, faults: &mut Faults) {
    let volumes: BTreeSet<&str> = spec.at("volumes").items().map(|v| v.at("name").str()).collect();
    let mut paths = BTreeSet::new();
    for (list, target) in [("volumeMounts", "mountPath"), ("volumeDevices", "devicePath")] {
        for mount in node.at(list).items() {
            let (name, at) = (mount.at("name"), mount.at(target));
            if name.require(faults) && !volumes.contains(name.str()) {
                name.not_found(faults);
            }
            if at.require(faults) && !paths.insert(at.str()) {
                at.invalid("must be unique", faults);
            }
            sub_path(&mount.at("subPath"), faults);
            sub_path(&mount.at("subPathExpr"), faults);
            if !mount.at("subPath").is_empty() && !mount.at("subPathExpr").is_empty() {
                mount
                    .at("subPathExpr")
                    .invalid("subPathExpr and subPath are mutually exclusive", faults);
            }
            let modes = ["Bidirectional", "HostToContainer", "None"];
            mount.at("mountPropagation").one_of(&modes, faults);
        }
    }
}

/// validateLocalDescendingPath
pub(crate) fn sub_path(node: &Node<'_>, faults: &mut Faults) {
    if node.str().starts_with('/') {
        node.invalid("must be a relative path", faults);
    }
    back_step(node, faults);
}

/// validatePathNoBacksteps
pub(crate) fn back_step(node: &Node<'_>, faults: &mut Faults) {
    if node.str().split('/').any(|part| part == "..") {
        node.invalid("must not contain '..'", faults);
    }
}

/// Probes and handlers are for init containers that keep running.
fn init(node: &Node<'_>, faults: &mut Faults) {
    node.at("restartPolicy").one_of(RESTARTS, faults);
    if node.at("restartPolicy").str() == "Always" {
        probe::container(node, faults);
        return;
    }
    for key in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
        if node.at(key).is_set() {
            node.at(key)
                .forbid("may not be set for init containers without restartPolicy=Always", faults);
        }
    }
}

fn ephemeral(node: &Node<'_>, spec: &Node<'_>, faults: &mut Faults) {
    let why = "cannot be set for an Ephemeral Container";
    let banned =
        ["ports", "lifecycle", "livenessProbe", "readinessProbe", "startupProbe", "resources"];
    for key in banned.into_iter().filter(|key| !node.at(key).is_empty()) {
        node.at(key).forbid(why, faults);
    }
    let target = node.at("targetContainerName");
    let mut known = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| spec.at(list).items())
        .map(|c| c.at("name").str());
    if !target.is_empty() && !known.any(|name| name == target.str()) {
        target.not_found(faults);
    }
}

/// ValidateSecurityContext
fn security(node: &Node<'_>, faults: &mut Faults) {
    identity(node, faults);
    let escalates = node.at("allowPrivilegeEscalation");
    let refused = escalates.value == &serde_json::json!(false);
    if refused && node.at("privileged").flag() {
        let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        node.invalid(why, faults);
    }
    let added = node.at("capabilities.add");
    if refused && added.items().any(|c| matches!(c.str(), "CAP_SYS_ADMIN" | "SYS_ADMIN")) {
        let why =
            "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
        node.invalid(why, faults);
    }
    node.at("procMount").one_of(&["Default", "Unmasked"], faults);
}

/// The members pods and containers share: ids and profiles.
pub(crate) fn identity(node: &Node<'_>, faults: &mut Faults) {
    for key in ["runAsUser", "runAsGroup", "fsGroup"] {
        node.at(key).within(0, i64::from(i32::MAX), faults);
    }
    let profile = node.at("seccompProfile");
    if profile.is_set() {
        let kinds = ["Localhost", "RuntimeDefault", "Unconfined"];
        let file = profile.at("localhostProfile");
        match profile.at("type").str() {
            "" => {
                profile.at("type").need_why("type is required when seccompProfile is set", faults)
            }
            "Localhost" => file.need_why("must be set when seccomp type is Localhost", faults),
            _ if file.is_set() => {
                file.invalid("can only be set when seccomp type is Localhost", faults)
            }
            _ => profile.at("type").one_of(&kinds, faults),
        }
    }
}
