//! ConfigMaps, Secrets, LimitRanges, ResourceQuotas (core `validation.go`).

use super::names::config_key;
use super::resources::{parse, quantity};
use super::{Faults, Node};
use meta::{Fault, FaultRule, Value};

/// Largest total of values: one mebibyte.
const MOST: usize = 1 << 20;

pub(crate) fn config_map(new: &Value, faults: &mut Faults) {
    let root = Node::root(new);
    let (data, binary) = (root.at("data"), root.at("binaryData"));
    for (key, node) in data.entries() {
        keyed(key, &node, faults);
        if binary.key(key).is_set() {
            let why = "duplicate of key present in binaryData";
            faults.push(Fault::invalid(&node.path, key, why));
        }
    }
    binary.entries().for_each(|(key, node)| keyed(key, &node, faults));
    let text: usize = data.entries().map(|(_, v)| v.str().len()).sum();
    size(text + decoded(&binary), "", faults);
}

fn keyed(key: &str, node: &Node<'_>, faults: &mut Faults) {
    for why in config_key(key) {
        faults.push(Fault::invalid(&node.path, key, why));
    }
}

/// Bytes behind base64.
fn decoded(map: &Node<'_>) -> usize {
    map.entries().map(|(_, v)| v.str().trim_end_matches('=').len() * 3 / 4).sum()
}

fn size(total: usize, path: &str, faults: &mut Faults) {
    if total > MOST {
        let why = format!("may not be more than {MOST} bytes");
        faults.push(Fault::new(FaultRule::TooLong, path, None, why));
    }
}

/// ValidateSecret
pub(crate) fn secret(new: &Value, faults: &mut Faults) {
    let root = Node::root(new);
    let data = root.at("data");
    data.entries().for_each(|(key, node)| keyed(key, &node, faults));
    size(decoded(&data), "data", faults);
    let need = |key: &str, faults: &mut Faults| {
        if !data.key(key).is_set() {
            faults.push(Fault::required(data.key(key).path, ""));
        }
    };
    match root.at("type").str() {
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            root.at("metadata.annotations").key(key).require(faults);
        }
        "kubernetes.io/dockercfg" => json_key(&data, ".dockercfg", faults),
        "kubernetes.io/dockerconfigjson" => json_key(&data, ".dockerconfigjson", faults),
        "kubernetes.io/basic-auth"
            if !data.key("username").is_set() && !data.key("password").is_set() =>
        {
            need("username", faults);
            need("password", faults);
        }
        "kubernetes.io/ssh-auth" => data.key("ssh-privatekey").need(faults),
        "kubernetes.io/tls" => {
            need("tls.crt", faults);
            need("tls.key", faults);
        }
        _ => {}
    }
}

fn json_key(data: &Node<'_>, key: &str, faults: &mut Faults) {
    use base64::Engine;
    let node = data.key(key);
    if !node.is_set() {
        faults.push(Fault::required(&node.path, ""));
        return;
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(node.str()).unwrap_or_default();
    if let Err(why) = serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes) {
        let hidden = "<secret contents redacted>";
        faults.push(Fault::invalid(&node.path, hidden, why.to_string()));
    }
}

pub(crate) fn service_account(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    for secret in Node::root(new).at("imagePullSecrets").items() {
        secret.at("name").require(faults);
    }
}

/// ValidateResourceQuota
pub(crate) fn quota(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let root = Node::root(new);
    for (name, node) in root.at("spec.hard").entries() {
        for why in meta::names::qualified_name(name) {
            faults.push(Fault::invalid(&node.path, name, why));
        }
        quantity(name, &node, faults);
    }
    let known = [
        "BestEffort",
        "CrossNamespacePodAffinity",
        "NotBestEffort",
        "NotTerminating",
        "PriorityClass",
        "Terminating",
        "VolumeAttributesClass",
    ];
    let scopes = root.at("spec.scopes");
    if scopes.items().any(|s| !known.contains(&s.str())) {
        scopes.invalid("unsupported scope", faults);
    }
    if let Some(old) = old {
        scopes.immutable(&Node::root(old).at("spec.scopes"), faults);
    }
}

/// ValidateLimitRange
pub(crate) fn limits(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    let list = Node::root(new).at("spec.limits");
    for item in list.items() {
        for part in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
            item.at(part).entries().for_each(|(name, node)| quantity(name, &node, faults));
        }
        if item.at("type").str() == "Pod" {
            for key in ["default", "defaultRequest"].into_iter().filter(|k| !item.at(k).is_empty())
            {
                item.at(key).forbid("may not be specified when `type` is 'Pod'", faults);
            }
        }
        ordered(&item, faults);
    }
    super::unique(list.items().map(|i| i.at("type")), faults);
}

/// Pairs of which the first may not exceed the second: what is reported, and at which of the two.
const ORDER: &[(&str, &str, &str)] = &[
    ("min", "max", "min"),
    ("min", "defaultRequest", "min"),
    ("defaultRequest", "max", "defaultRequest"),
    ("defaultRequest", "default", "defaultRequest"),
    ("min", "default", "min"),
    ("default", "max", "default"),
];

fn words(part: &str) -> &str {
    match part {
        "defaultRequest" => "default request",
        other => other,
    }
}

fn ordered(item: &Node<'_>, faults: &mut Faults) {
    for (low, high, at) in ORDER {
        for (name, node) in item.at(low).entries() {
            let limit = item.at(high).key(name);
            let (Some(a), Some(b)) = (parse(node.value), parse(limit.value)) else { continue };
            if a > b {
                let (a, b) = (crate::table::plain(node.value), crate::table::plain(limit.value));
                let why =
                    format!("{} value {a} is greater than {} value {b}", words(low), words(high));
                faults.push(Fault::invalid(item.at(at).key(name).path, a, why));
            }
        }
    }
}
