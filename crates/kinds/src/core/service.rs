//! Services. Cluster IPs and node ports are allocated by admission, not here.

use super::pod_defaults::{each, set, set_text};
use crate::row::{Hooks, KindRow, SubAction, SubRow};
use crate::rows::{STATUS, field, version};
use crate::table::{AGE, NAME, age, col, int, list, name, pairs, text, text_or, wide};
use meta::{Time, Value};

pub static SERVICE: KindRow = KindRow::namespaced(
    "",
    "Service",
    "services",
    "service",
    &[version("v1", "io.k8s.api.core.v1.Service")],
)
.short(&["svc"])
.returns_deleted()
.put_creates()
.named(meta::names::dns_label_1035)
.categories(&["all"])
.subresources(&[
    SubRow {
        name: "proxy",
        verbs: &["create", "delete", "get", "patch", "update"],
        kind: Some(("", "v1", "ServiceProxyOptions", "")),
        action: SubAction::Connect,
    },
    STATUS,
])
.table(
    &[
        NAME,
        col("Type", "string", ""),
        col("Cluster-IP", "string", ""),
        col("External-IP", "string", ""),
        col("Port(s)", "string", ""),
        AGE,
        wide("Selector", "string", ""),
    ],
    cells,
)
.fields(&[field!("spec.clusterIP"), field!("spec.type")])
.hooks(Hooks { default: Some(default), release: Some(crate::allocate::release), ..Hooks::NONE })
.check(crate::check::service::check)
.sample(concat!(
    "apiVersion: v1\nkind: Service\nmetadata: {name: sample}\n",
    "spec: {selector: {app: s}, ports: [{port: 80}]}\n"
));

/// SetDefaults_Service.
fn default(v: &mut Value) {
    let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
    set_text(spec, "sessionAffinity", "None");
    if text(spec, "sessionAffinity") == "None"
        && let Some(spec) = spec.as_object_mut()
    {
        spec.remove("sessionAffinityConfig");
    }
    if text(spec, "sessionAffinity") == "ClientIP" {
        set(spec, "sessionAffinityConfig", serde_json::json!({ "clientIP": {} }));
        if let Some(client) = spec.pointer_mut("/sessionAffinityConfig/clientIP") {
            set(client, "timeoutSeconds", 10_800);
        }
    }
    set_text(spec, "type", "ClusterIP");
    for port in each(spec, "ports") {
        set_text(port, "protocol", "TCP");
        let number = port["port"].clone();
        if port.get("targetPort").is_none_or(|t| t.is_null() || *t == 0 || *t == "") {
            port["targetPort"] = number;
        }
    }
    let kind = text(spec, "type");
    let external = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
    if external || (kind == "ClusterIP" && !list(spec, "externalIPs").is_empty()) {
        set_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind != "ExternalName" {
        set_text(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", true);
    }
    if let Some(status) = v.pointer_mut("/status/loadBalancer") {
        each(status, "ingress").filter(|i| !text(i, "ip").is_empty()).for_each(|i| {
            set_text(i, "ipMode", "VIP");
        });
    }
}

fn cells(v: &Value, now: Time) -> Vec<Value> {
    vec![
        name(v),
        text(v, "spec.type").into(),
        cluster_ip(v).into(),
        external_ip(v).into(),
        ports(v).into(),
        age(v, now),
        pairs(v, "spec.selector"),
    ]
}

fn cluster_ip(v: &Value) -> String {
    let first = list(v, "spec.clusterIPs").first().map(crate::table::plain);
    match first.unwrap_or_else(|| text(v, "spec.clusterIP")) {
        ip if ip.is_empty() => "<none>".into(),
        ip => ip,
    }
}

/// getServiceExternalIP
fn external_ip(v: &Value) -> String {
    let mut ips: Vec<_> = list(v, "spec.externalIPs").iter().map(crate::table::plain).collect();
    match text(v, "spec.type").as_str() {
        "ExternalName" => text(v, "spec.externalName"),
        "LoadBalancer" => {
            let balancer = list(v, "status.loadBalancer.ingress");
            let mut all: Vec<_> =
                balancer.iter().map(|i| text_or(i, "ip", &text(i, "hostname"))).collect();
            all.append(&mut ips);
            if all.is_empty() { "<pending>".into() } else { all.join(",") }
        }
        _ if ips.is_empty() => "<none>".into(),
        _ => ips.join(","),
    }
}

/// makePortString
fn ports(v: &Value) -> String {
    let each = list(v, "spec.ports").iter().map(|p| {
        let protocol = text_or(p, "protocol", "TCP");
        match int(p, "nodePort") {
            0 => format!("{}/{protocol}", int(p, "port")),
            node => format!("{}:{node}/{protocol}", int(p, "port")),
        }
    });
    let all = each.collect::<Vec<_>>().join(",");
    if all.is_empty() { "<none>".into() } else { all }
}
