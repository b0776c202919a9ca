//! networking.k8s.io/v1 and discovery.k8s.io/v1.

use crate::core::pod_defaults::{each, set, set_text};
use crate::row::KindRow;
use crate::rows::{STATUS, version};
use crate::table::{AGE, NAME, age, at, col, list, name, plain, selector, text, text_or};
use meta::Value;
use serde_json::json;

macro_rules! v1 {
    ($kind:literal) => {
        &[version("v1", concat!("io.k8s.api.networking.v1.", $kind))]
    };
}

const GROUP: &str = "networking.k8s.io";

pub static INGRESS: KindRow =
    KindRow::namespaced(GROUP, "Ingress", "ingresses", "ingress", v1!("Ingress"))
        .short(&["ing"])
        .subresources(&[STATUS])
        .counted()
        .table(
            &[
                NAME,
                col("Class", "string", "The name of the IngressClass resource that should be used for additional configuration"),
                col("Hosts", "string", "Hosts that incoming requests are matched against before the ingress rule"),
                col("Address", "string", "Address is a list containing ingress points for the load-balancer"),
                col("Ports", "string", "Ports of TLS configurations that open"),
                AGE,
            ],
            |v, now| {
                let ports = if list(v, "spec.tls").is_empty() { "80" } else { "80, 443" };
                vec![
                    name(v),
                    text_or(v, "spec.ingressClassName", "<none>").into(),
                    hosts(v).into(),
                    addresses(v).into(),
                    ports.into(),
                    age(v, now),
                ]
            },
        )
        .check(crate::check::ingress::check)
        .sample(concat!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: sample}\n",
            "spec: {defaultBackend: {service: {name: s, port: {number: 80}}}}\n"
        ));

/// formatHosts
fn hosts(v: &Value) -> String {
    let all: Vec<_> =
        list(v, "spec.rules").iter().map(|r| text(r, "host")).filter(|h| !h.is_empty()).collect();
    match all.len() {
        0 => "*".into(),
        1..=3 => all.join(","),
        n => format!("{} + {} more...", all[..3].join(","), n - 3),
    }
}

fn addresses(v: &Value) -> String {
    let all = list(v, "status.loadBalancer.ingress").iter();
    all.map(|i| text_or(i, "ip", &text(i, "hostname"))).collect::<Vec<_>>().join(",")
}

pub static INGRESS_CLASS: KindRow =
    KindRow::cluster(GROUP, "IngressClass", "ingressclasses", "ingressclass", v1!("IngressClass"))
        .counted()
        .defaults(|v| {
            if let Some(parameters) = v.pointer_mut("/spec/parameters") {
                set_text(parameters, "scope", "Cluster");
            }
        })
        .table(
            &[
                NAME,
                col(
                    "Controller",
                    "string",
                    "Controller that is responsible for handling this class",
                ),
                col("Parameters", "string", "A reference to a resource with additional parameters"),
                AGE,
            ],
            |v, now| {
                vec![name(v), text(v, "spec.controller").into(), parameters(v).into(), age(v, now)]
            },
        )
        .check(crate::check::ingress::class)
        .sample(concat!(
            "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: sample}\n",
            "spec: {controller: example.com/c}\n"
        ));

fn parameters(v: &Value) -> String {
    let Some(it) = at(v, "spec.parameters") else { return "<none>".into() };
    match text(it, "apiGroup") {
        group if group.is_empty() => format!("{}/{}", text(it, "kind"), text(it, "name")),
        group => format!("{}.{group}/{}", text(it, "kind"), text(it, "name")),
    }
}

pub static NETWORK_POLICY: KindRow = KindRow::namespaced(
    GROUP,
    "NetworkPolicy",
    "networkpolicies",
    "networkpolicy",
    v1!("NetworkPolicy"),
)
.short(&["netpol"])
.counted()
.defaults(default_policy)
.table(&[NAME, col("Pod-Selector", "string", ""), AGE], |v, now| {
    vec![name(v), selector(v, "spec.podSelector"), age(v, now)]
})
.check(crate::check::network::policy)
.sample(concat!(
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: sample}\n",
    "spec: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}\n"
));

/// SetDefaults_NetworkPolicy.
fn default_policy(v: &mut Value) {
    let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
    for way in ["ingress", "egress"] {
        for rule in each(spec, way) {
            each(rule, "ports").for_each(|p| set_text(p, "protocol", "TCP"));
        }
    }
    if list(spec, "policyTypes").is_empty() {
        let egress = !list(spec, "egress").is_empty();
        spec["policyTypes"] =
            if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    }
}

pub static IP_ADDRESS: KindRow =
    KindRow::cluster(GROUP, "IPAddress", "ipaddresses", "ipaddress", v1!("IPAddress"))
        .short(&["ip"])
        .named(ip_name)
        .counted()
        .table(&[NAME, col("ParentRef", "string", "")], |v, _| vec![name(v), parent(v).into()])
        .sample(concat!(
            "apiVersion: networking.k8s.io/v1\nkind: IPAddress\nmetadata: {name: sample}\n",
            "spec: {parentRef: {resource: services, namespace: default, name: s}}\n"
        ));

fn ip_name(name: &str) -> Vec<String> {
    meta::names::path_segment(name)
}

/// `services/default/web`
fn parent(v: &Value) -> String {
    let Some(it) = at(v, "spec.parentRef") else { return "<none>".into() };
    let resource = match text(it, "group") {
        group if group.is_empty() => text(it, "resource"),
        group => format!("{}.{group}", text(it, "resource")),
    };
    let parts = [resource, text(it, "namespace"), text(it, "name")];
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("/")
}

pub static SERVICE_CIDR: KindRow =
    KindRow::cluster(GROUP, "ServiceCIDR", "servicecidrs", "servicecidr", v1!("ServiceCIDR"))
        .subresources(&[STATUS])
        .counted()
        .table(&[NAME, col("CIDRs", "string", ""), AGE], |v, now| {
            let cidrs: Vec<_> = list(v, "spec.cidrs").iter().map(plain).collect();
            vec![name(v), cidrs.join(",").into(), age(v, now)]
        })
        .check(crate::check::network::service_cidr)
        .sample(concat!(
            "apiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {name: sample}\n",
            "spec: {cidrs: [10.97.0.0/16]}\n"
        ));

pub static ENDPOINT_SLICE: KindRow = KindRow::namespaced(
    "discovery.k8s.io",
    "EndpointSlice",
    "endpointslices",
    "endpointslice",
    &[version("v1", "io.k8s.api.discovery.v1.EndpointSlice")],
)
.counted()
.defaults(|v| {
    for port in each(v, "ports") {
        set(port, "name", "");
        set_text(port, "protocol", "TCP");
    }
})
.table(
    &[
        NAME,
        col("AddressType", "string", ""),
        col("Ports", "string", ""),
        col("Endpoints", "string", ""),
        AGE,
    ],
    |v, now| {
        vec![
            name(v),
            text(v, "addressType").into(),
            ports(v).into(),
            endpoints(v).into(),
            age(v, now),
        ]
    },
)
.check(crate::check::network::slice)
.sample(concat!(
    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: sample}\n",
    "addressType: IPv4\nports: [{name: http, port: 80}]\nendpoints: [{addresses: [10.0.0.1]}]\n"
));

fn ports(v: &Value) -> String {
    let shown = |p: &Value| at(p, "port").or_else(|| at(p, "name")).map_or("*".into(), plain);
    some(list(v, "ports").iter().map(shown).collect())
}

fn endpoints(v: &Value) -> String {
    some(list(v, "endpoints").iter().flat_map(|e| list(e, "addresses")).map(plain).collect())
}

/// listWithMoreString
fn some(all: Vec<String>) -> String {
    match all.len() {
        0 => "<unset>".into(),
        1..=3 => all.join(","),
        n => format!("{} + {} more...", all[..3].join(","), n - 3),
    }
}
