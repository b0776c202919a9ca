//! Volumes, claims and classes (core `validation.go`: ValidatePersistentVolume, ValidatePersistentVolumeClaim;
//! `pkg/apis/storage/validation/validation.go`).

use super::resources::{parse, quantity};
use super::volume::{host_path, nfs};
use super::{Faults, Node, same};
use meta::{Fault, Value};

const MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

fn access(node: &Node<'_>, why: &str, faults: &mut Faults) {
    node.require_why(why, faults);
    node.items().for_each(|mode| mode.one_of(MODES, faults));
    let exclusive = node.items().any(|m| m.str() == "ReadWriteOncePod");
    if exclusive && node.len() > 1 {
        let why = "may not use ReadWriteOncePod with other access modes";
        node.forbid(why, faults);
    }
}

const SOURCES: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

pub(crate) fn volume(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let spec = Node::root(new).at("spec");
    access(&spec.at("accessModes"), "", faults);
    let capacity = spec.at("capacity");
    capacity.require(faults);
    if !capacity.is_empty() && (!capacity.key("storage").is_set() || capacity.len() > 1) {
        let value = capacity.value.clone();
        faults.push(Fault::not_supported(&capacity.path, value, &["storage"]));
    }
    for (name, node) in capacity.entries() {
        quantity(name, &node, faults);
        if parse(node.value).is_some_and(|q| q.as_f64() == 0.0) {
            node.invalid("must be greater than zero", faults);
        }
    }
    spec.at("persistentVolumeReclaimPolicy").one_of(&["Delete", "Recycle", "Retain"], faults);
    source(&spec, faults);
    spec.at("volumeMode").one_of(&["Block", "Filesystem"], faults);
    let nodes = spec.at("nodeAffinity.required");
    if nodes.is_set() {
        super::schedule::node_selector(&nodes, faults);
    }
    if let Some(old) = old {
        let old = Node::root(old).at("spec");
        if SOURCES.iter().any(|key| !same(spec.at(key).value, old.at(key).value)) {
            let why = "spec.persistentvolumesource is immutable after creation";
            spec.at("persistentvolumesource").forbid(why, faults);
        }
        spec.at("volumeMode").immutable(&old.at("volumeMode"), faults);
    }
}

fn source(spec: &Node<'_>, faults: &mut Faults) {
    let given: Vec<_> =
        SOURCES.iter().map(|key| (*key, spec.at(key))).filter(|(_, n)| n.is_set()).collect();
    if given.is_empty() {
        faults.push(Fault::required(&spec.path, "must specify a volume type"));
    }
    for (i, (key, node)) in given.iter().enumerate() {
        match *key {
            _ if i > 0 => node.forbid("may not specify more than 1 volume type", faults),
            "hostPath" => host_path(node, faults),
            "nfs" => nfs(node, faults),
            "local" => {
                node.at("path").require(faults);
                if !spec.at("nodeAffinity").is_set() {
                    let why = "Local volume requires node affinity";
                    faults.push(Fault::required(spec.at("nodeAffinity").path, why));
                }
            }
            "csi" => {
                node.at("driver").require(faults);
                node.at("volumeHandle").require(faults);
            }
            _ => {}
        }
    }
}

pub(crate) fn claim(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let root = Node::root(new);
    let spec = root.at("spec");
    access(&spec.at("accessModes"), "at least 1 access mode is required", faults);
    super::selector::selector(&spec.at("selector"), faults);
    let storage = spec.at("resources").key("requests");
    let wanted = storage.key("storage");
    match wanted.is_set() {
        false => faults.push(Fault::required("spec.resources[storage]", "")),
        true => {
            let shown = Node::new(wanted.value, "spec.resources[storage]");
            quantity("storage", &shown, faults);
            if parse(wanted.value).is_some_and(|q| q.as_f64() == 0.0) {
                shown.invalid("must be greater than zero", faults);
            }
        }
    }
    spec.at("volumeMode").one_of(&["Block", "Filesystem"], faults);
    spec.at("storageClassName").obey(meta::names::dns_subdomain, faults);
    if let Some(old) = old {
        claim_update(&spec, &Node::root(old), faults);
    }
}

const CLAIM_FROZEN: &str = "spec is immutable after creation except resources.requests and volumeAttributesClassName \
for bound claims";

/// ValidatePersistentVolumeClaimUpdate
fn claim_update(spec: &Node<'_>, old: &Node<'_>, faults: &mut Faults) {
    let bound = old.at("status.phase").str() == "Bound";
    let before = old.at("spec");
    let mut munged = spec.value.clone();
    if before.at("volumeName").is_empty() {
        munged["volumeName"] = before.at("volumeName").value.clone();
    }
    if bound {
        munged["resources"]["requests"] = before.at("resources.requests").value.clone();
        munged["volumeAttributesClassName"] = before.at("volumeAttributesClassName").value.clone();
    }
    if !before.at("storageClassName").is_set() {
        munged["storageClassName"] = Value::Null;
    }
    if !same(&munged, before.value) {
        spec.forbid(CLAIM_FROZEN, faults);
    }
    let size = |s: &Node<'_>| parse(s.at("resources.requests.storage").value);
    if let (Some(now), Some(was)) = (size(spec), size(&before))
        && now < was
    {
        let why = "field can not be less than status.capacity";
        spec.at("resources.requests.storage").forbid(why, faults);
    }
}

/// ValidateStorageClass: everything but metadata is for ever.
pub(crate) fn class(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let root = Node::root(new);
    root.at("provisioner").require(faults);
    root.at("reclaimPolicy").one_of(&["Delete", "Retain"], faults);
    root.at("volumeBindingMode").must_be(&["Immediate", "WaitForFirstConsumer"], faults);
    let Some(old) = old.map(Node::root) else { return };
    for key in ["parameters", "provisioner"] {
        if !same(root.at(key).value, old.at(key).value) {
            root.at(key)
                .forbid("updates to parameters are forbidden.".replace("parameters", key), faults);
        }
    }
    for key in ["reclaimPolicy", "volumeBindingMode"] {
        root.at(key).immutable(&old.at(key), faults);
    }
}
