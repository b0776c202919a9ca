//! Volumes (core `validation.go`: ValidateVolumes, validateVolumeSource).

use super::container::{back_step, field_ref, sub_path};
use super::names::config_key;
use super::{Faults, Node, unique};
use meta::Fault;
use meta::names::{dns_label, dns_subdomain};

/// A volume source: its member and what is asked of it.
type Source = (&'static str, fn(&Node<'_>, &mut Faults));

/// In the order in which the second one is told that it is one too many.
const SOURCES: &[Source] = &[
    ("emptyDir", empty_dir),
    ("hostPath", host_path),
    ("gitRepo", |v, f| v.at("repository").need(f)),
    ("gcePersistentDisk", |v, f| v.at("pdName").need(f)),
    ("awsElasticBlockStore", |v, f| v.at("volumeID").need(f)),
    ("secret", |v, f| {
        v.at("secretName").require(f);
        files(v, f);
    }),
    ("nfs", nfs),
    ("iscsi", |v, f| v.at("targetPortal").need(f)),
    ("glusterfs", |v, f| v.at("endpoints").need(f)),
    ("persistentVolumeClaim", |v, f| {
        if v.at("claimName").require(f) {
            v.at("claimName").obey(dns_subdomain, f);
        }
    }),
    ("rbd", |v, f| v.at("image").need(f)),
    ("cinder", |v, f| v.at("volumeID").need(f)),
    ("cephfs", |v, f| v.at("monitors").need(f)),
    ("flocker", |_, _| {}),
    ("downwardAPI", downward),
    ("fc", |_, _| {}),
    ("azureFile", |v, f| v.at("shareName").need(f)),
    ("configMap", |v, f| {
        v.at("name").require(f);
        files(v, f);
    }),
    ("vsphereVolume", |v, f| v.at("volumePath").need(f)),
    ("quobyte", |v, f| v.at("registry").need(f)),
    ("azureDisk", |v, f| v.at("diskName").need(f)),
    ("photonPersistentDisk", |v, f| v.at("pdID").need(f)),
    ("projected", projected),
    ("portworxVolume", |v, f| v.at("volumeID").need(f)),
    ("scaleIO", |v, f| v.at("gateway").need(f)),
    ("storageos", |_, _| {}),
    ("csi", |v, f| v.at("driver").need(f)),
    ("ephemeral", |v, f| v.at("volumeClaimTemplate").need(f)),
    ("image", |v, f| v.at("reference").need(f)),
];

pub(crate) fn all(list: &Node<'_>, faults: &mut Faults) {
    for volume in list.items() {
        source(&volume, SOURCES, faults);
        if volume.at("name").require(faults) {
            volume.at("name").obey(dns_label, faults);
        }
    }
    unique(list.items().map(|v| v.at("name")), faults);
}

/// Exactly one of `sources`.
pub(crate) fn source(volume: &Node<'_>, sources: &[Source], faults: &mut Faults) {
    let mut given = 0;
    for (key, check) in sources {
        let node = volume.at(key);
        if !node.is_set() {
            continue;
        }
        if given > 0 {
            node.forbid("may not specify more than 1 volume type", faults);
        } else {
            check(&node, faults);
        }
        given += 1;
    }
    if given == 0 {
        faults.push(Fault::required(&volume.path, "must specify a volume type"));
    }
}

fn empty_dir(node: &Node<'_>, faults: &mut Faults) {
    let limit = node.at("sizeLimit");
    if limit.is_set() && super::resources::parse(limit.value).is_none_or(|q| q.as_f64() < 0.0) {
        limit.forbid("SizeLimit field must be a valid resource quantity", faults);
    }
}

const PATH_TYPES: &[&str] = &[
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

pub(crate) fn host_path(node: &Node<'_>, faults: &mut Faults) {
    if node.at("path").require(faults) {
        back_step(&node.at("path"), faults);
    }
    node.at("type").one_of(PATH_TYPES, faults);
}

pub(crate) fn nfs(node: &Node<'_>, faults: &mut Faults) {
    node.at("server").require(faults);
    if node.at("path").require(faults) && !node.at("path").str().starts_with('/') {
        node.at("path").invalid("must be an absolute path", faults);
    }
}

fn mode(node: &Node<'_>, faults: &mut Faults) {
    if node.is_set() && !(0..=0o777).contains(&node.int()) {
        node.invalid("must be a number between 0 and 0777 (octal), both inclusive", faults);
    }
}

/// `items` and `defaultMode` of what becomes files.
fn files(node: &Node<'_>, faults: &mut Faults) {
    mode(&node.at("defaultMode"), faults);
    for item in node.at("items").items() {
        if item.at("key").require(faults) {
            item.at("key").obey(config_key, faults);
        }
        inside(&item.at("path"), faults);
        mode(&item.at("mode"), faults);
    }
}

/// validateLocalNonReservedPath
fn inside(path: &Node<'_>, faults: &mut Faults) {
    if !path.require(faults) {
        return;
    }
    sub_path(path, faults);
    if path.str().starts_with("..") && !path.str().starts_with("../") && path.str() != ".." {
        path.invalid("must not start with '..'", faults);
    }
}

const DOWNWARD: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];

fn downward(node: &Node<'_>, faults: &mut Faults) {
    mode(&node.at("defaultMode"), faults);
    for item in node.at("items").items() {
        inside(&item.at("path"), faults);
        mode(&item.at("mode"), faults);
        let (field, resource) = (item.at("fieldRef"), item.at("resourceFieldRef"));
        match (field.is_set(), resource.is_set()) {
            (true, true) => {
                let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
                item.invalid(why, faults);
            }
            (true, false) => field_ref(&field, DOWNWARD, faults),
            (false, true) => {
                resource.at("containerName").require(faults);
                resource.at("resource").require(faults);
            }
            (false, false) => {
                let why = "one of fieldRef and resourceFieldRef is required";
                faults.push(Fault::required(&item.path, why));
            }
        }
    }
}

const PROJECTIONS: &[Source] = &[
    ("secret", |v, f| {
        v.at("name").require(f);
        files(v, f);
    }),
    ("configMap", |v, f| {
        v.at("name").require(f);
        files(v, f);
    }),
    ("downwardAPI", downward),
    ("serviceAccountToken", |v, f| {
        v.at("path").require(f);
        let age = v.at("expirationSeconds");
        if age.is_set() && age.int() < 600 {
            age.invalid("may not specify a duration less than 10 minutes", f);
        }
    }),
    ("clusterTrustBundle", |v, f| v.at("path").need(f)),
    ("podCertificate", |v, f| v.at("signerName").need(f)),
];

fn projected(node: &Node<'_>, faults: &mut Faults) {
    mode(&node.at("defaultMode"), faults);
    node.at("sources").items().for_each(|item| source(&item, PROJECTIONS, faults));
}
