//! Defaults of pod specs, for pods and for every template (upstream pkg/apis/core/v1/defaults.go).

use crate::table::{at, flag, text};
use meta::Value;
use serde_json::{Map, json};

/// Sets `key` when it is absent or null.
pub(crate) fn set(v: &mut Value, key: &str, default: impl Into<Value>) {
    let Some(object) = v.as_object_mut() else { return };
    let slot = object.entry(key).or_insert(Value::Null);
    if slot.is_null() {
        *slot = default.into();
    }
}

/// As [`set`], also over the empty string (Go's zero value).
pub(crate) fn set_text(v: &mut Value, key: &str, default: &str) {
    if v.get(key).is_none_or(|old| old.is_null() || *old == "") && v.is_object() {
        v[key] = default.into();
    }
}

pub(crate) fn each<'a>(
    v: &'a mut Value,
    key: &str,
) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    v.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

pub(crate) fn replicas(v: &mut Value) {
    if let Some(spec) = v.get_mut("spec") {
        set(spec, "replicas", 1);
    }
}

/// The pod template at `spec.template`.
pub(crate) fn spec_template(v: &mut Value) {
    if let Some(it) = v.pointer_mut("/spec/template") {
        template(it);
    }
}

pub(crate) fn template(template: &mut Value) {
    if let Some(it) = template.get_mut("spec") {
        spec(it);
    }
}

pub(crate) fn spec(v: &mut Value) {
    if !v.is_object() {
        return;
    }
    set_text(v, "dnsPolicy", "ClusterFirst");
    set_text(v, "restartPolicy", "Always");
    set(v, "securityContext", json!({}));
    set(v, "terminationGracePeriodSeconds", 30);
    set_text(v, "schedulerName", "default-scheduler");
    for (one, other) in
        [("serviceAccountName", "serviceAccount"), ("serviceAccount", "serviceAccountName")]
    {
        let given = text(v, other);
        if !given.is_empty() {
            set_text(v, one, &given);
        }
    }
    let host_network = flag(v, "hostNetwork");
    for kind in ["initContainers", "containers", "ephemeralContainers"] {
        each(v, kind).for_each(|c| container(c, host_network && kind != "ephemeralContainers"));
    }
    each(v, "volumes").for_each(volume);
}

fn container(v: &mut Value, host_network: bool) {
    let policy = if pulls_always(&text(v, "image")) { "Always" } else { "IfNotPresent" };
    set_text(v, "imagePullPolicy", policy);
    set_text(v, "terminationMessagePath", "/dev/termination-log");
    set_text(v, "terminationMessagePolicy", "File");
    set(v, "resources", json!({}));
    for port in each(v, "ports") {
        set_text(port, "protocol", "TCP");
        if host_network && port.get("hostPort").is_none_or(|p| p.is_null() || *p == 0) {
            port["hostPort"] = port["containerPort"].clone();
        }
    }
    for kind in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(it) = v.get_mut(kind).filter(|p| p.is_object()) {
            probe(it);
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(get) = v.pointer_mut(&format!("/lifecycle/{hook}/httpGet")) {
            http_get(get);
        }
    }
    for env in each(v, "env") {
        if let Some(field) = env.pointer_mut("/valueFrom/fieldRef") {
            set_text(field, "apiVersion", "v1");
        }
        if let Some(key) = env.pointer_mut("/valueFrom/fileKeyRef") {
            set(key, "optional", false);
        }
    }
}

/// `latest`, explicitly or by having neither tag nor digest (parsers.ParseImageName).
fn pulls_always(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn probe(v: &mut Value) {
    for (key, default) in [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ] {
        if v.get(key).is_none_or(|n| n.is_null() || *n == 0) {
            v[key] = default.into();
        }
    }
    if let Some(get) = v.get_mut("httpGet").filter(|g| g.is_object()) {
        http_get(get);
    }
    if let Some(grpc) = v.get_mut("grpc").filter(|g| g.is_object()) {
        set(grpc, "service", "");
    }
}

fn http_get(v: &mut Value) {
    set_text(v, "path", "/");
    set_text(v, "scheme", "HTTP");
}

/// A volume without a source is an emptyDir; sources get their modes.
fn volume(v: &mut Value) {
    if v.as_object().is_some_and(|o| o.keys().all(|k| k == "name")) {
        v["emptyDir"] = Value::Object(Map::new());
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(it) = v.get_mut(source).filter(|s| s.is_object()) {
            set(it, "defaultMode", 420);
        }
    }
    if let Some(it) = v.get_mut("downwardAPI") {
        each(it, "items").for_each(field_ref);
    }
    if let Some(it) = v.get_mut("projected") {
        each(it, "sources").for_each(projection);
    }
    if let Some(it) = v.get_mut("hostPath") {
        set(it, "type", "");
    }
    if let Some(it) = v.get_mut("iscsi") {
        set_text(it, "iscsiInterface", "default");
    }
    if let Some(it) = v.get_mut("rbd") {
        set_text(it, "pool", "rbd");
        set_text(it, "user", "admin");
        set_text(it, "keyring", "/etc/ceph/keyring");
    }
    if let Some(template) = v.pointer_mut("/ephemeral/volumeClaimTemplate/spec") {
        set_text(template, "volumeMode", "Filesystem");
    }
    image_volume(v);
}

fn image_volume(v: &mut Value) {
    let reference = text(v, "image.reference");
    if let Some(it) = v.get_mut("image").filter(|i| i.is_object()) {
        let policy = if pulls_always(&reference) { "Always" } else { "IfNotPresent" };
        set_text(it, "pullPolicy", policy);
    }
}

fn projection(v: &mut Value) {
    if let Some(token) = v.get_mut("serviceAccountToken") {
        set(token, "expirationSeconds", 3600);
    }
    if let Some(it) = v.get_mut("downwardAPI") {
        each(it, "items").for_each(field_ref);
    }
}

fn field_ref(v: &mut Value) {
    if let Some(field) = v.get_mut("fieldRef").filter(|f| f.is_object()) {
        set_text(field, "apiVersion", "v1");
    }
}

/// SetDefaults_Pod: requests fall back to limits, for pods only (templates keep what was written).
pub(crate) fn requests_from_limits(spec: &mut Value) {
    for kind in ["containers", "initContainers"] {
        for container in each(spec, kind) {
            let Some(limits) =
                at(container, "resources.limits").and_then(Value::as_object).cloned()
            else {
                continue;
            };
            if limits.is_empty() {
                continue;
            }
            set(&mut container["resources"], "requests", json!({}));
            for (resource, amount) in limits {
                set(&mut container["resources"]["requests"], &resource, amount);
            }
        }
    }
    set(spec, "enableServiceLinks", true);
}
