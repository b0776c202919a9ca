//! The cluster's own Services: `kubernetes` (the API server) and `kube-dns`.

use crate::config::NodeConfig;
use api::{Call, Patch, PatchKind, Verb};
use client::Client;
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use meta::{Problem, Reason, Value};
use serde_json::json;
use std::net::IpAddr;
use typed::{Kind, Read};

/// Creates what is missing and points it at this node.
pub(super) async fn ensure(client: &Client, config: &NodeConfig) -> Result<(), Problem> {
    let gateway = config.gateway()?;
    let port = config.api_port;
    let api_ip = first_of(&config.service_cidr);
    create::<Service>(client, "default", kubernetes(&api_ip, port)).await?;
    put::<EndpointSlice>(client, "default", kubernetes_slice(gateway, port)).await?;
    put::<Endpoints>(client, "default", kubernetes_endpoints(gateway, port)).await?;
    create::<Service>(client, "kube-system", dns_service(&config.cluster_dns)).await?;
    put::<EndpointSlice>(client, "kube-system", dns_slice(gateway)).await
}

/// The first address of the Service subnet is the API server's.
fn first_of(cidr: &str) -> String {
    let net: Option<ipnet::IpNet> = cidr.parse().ok();
    net.and_then(|n| n.hosts().next()).map(|ip| ip.to_string()).unwrap_or_default()
}

pub(super) async fn create<K: Kind>(
    client: &Client,
    namespace: &str,
    object: Value,
) -> Result<(), Problem> {
    // Looked up first: a second Service with the same address is refused for its address, not for its name.
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if client.view().read::<K>(namespace, name).is_some() {
        return Ok(());
    }
    let call = Call::new(Verb::Create(object), K::gvr(), namespace, "");
    match client.call(&call).await {
        Err(problem) if problem.reason != Reason::AlreadyExists => Err(problem),
        _ => Ok(()),
    }
}

pub(super) async fn put<K: Kind>(
    client: &Client,
    namespace: &str,
    object: Value,
) -> Result<(), Problem> {
    create::<K>(client, namespace, object.clone()).await?;
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_string();
    let patch = Patch { kind: PatchKind::Merge, body: object };
    let call = Call::new(Verb::Patch(patch), K::gvr(), namespace, &name);
    client.call(&call).await.map(drop)
}

fn kubernetes(ip: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": { "component": "apiserver", "provider": "kubernetes" },
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": ip,
            "clusterIPs": [ip],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "sessionAffinity": "None",
            "ports": [{ "name": "https", "protocol": "TCP", "port": 443, "targetPort": port }],
        },
    })
}

fn kubernetes_slice(gateway: IpAddr, port: u16) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": { "kubernetes.io/service-name": "kubernetes" },
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [gateway], "conditions": { "ready": true } }],
        "ports": [{ "name": "https", "protocol": "TCP", "port": port }],
    })
}

fn kubernetes_endpoints(gateway: IpAddr, port: u16) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" },
        },
        "subsets": [{
            "addresses": [{ "ip": gateway }],
            "ports": [{ "name": "https", "protocol": "TCP", "port": port }],
        }],
    })
}

const DNS_PORTS: [(&str, &str); 2] = [("dns", "UDP"), ("dns-tcp", "TCP")];

fn dns_service(ip: &str) -> Value {
    let ports: Vec<Value> = DNS_PORTS
        .map(|(name, protocol)| {
            json!({ "name": name, "protocol": protocol, "port": 53, "targetPort": 53 })
        })
        .into();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": { "k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS" },
        },
        "spec": { "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ports": ports },
    })
}

fn dns_slice(gateway: IpAddr) -> Value {
    let ports: Vec<Value> = DNS_PORTS
        .map(|(name, protocol)| json!({ "name": name, "protocol": protocol, "port": 53 }))
        .into();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": { "kubernetes.io/service-name": "kube-dns" },
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [gateway], "conditions": { "ready": true } }],
        "ports": ports,
    })
}
