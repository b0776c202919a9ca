//! Addresses of Services of type LoadBalancer: the part of a cloud controller that one machine needs.

use super::proxy::ingress;
use api::{Call, Patch, PatchKind, Verb};
use client::Client;
use ipnet::{IpNet, Ipv4Net};
use k8s_openapi::api::core::v1::Service;
use meta::Problem;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;
use store::View;
use typed::{Kind, Read};

/// The subnet that addresses come from.
pub(super) struct Addresses(pub Ipv4Net);

impl Addresses {
    pub fn pool(&self) -> Ipv4Net {
        self.0
    }
}

fn wants(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.is_some_and(|s| {
        s.type_.as_deref() == Some("LoadBalancer") && s.load_balancer_class.is_none()
    })
}

/// Gives every Service that wants an address one, and takes it from those that no longer do.
pub(super) async fn assign(client: &Client, view: &View, addresses: &Addresses) {
    let pool = IpNet::V4(addresses.pool());
    let services: Vec<_> = view.read_all::<Service>(None).collect();
    let mut used: BTreeSet<IpAddr> = BTreeSet::new();
    for service in services.iter().filter(|s| wants(s)) {
        used.extend(ingress(service).filter(|ip| pool.contains(ip)));
    }
    for service in services {
        let mut own = ingress(&service).filter(|ip| pool.contains(ip));
        let (has, wanted) = (own.next().is_some(), wants(&service));
        let ingress = match (has, wanted) {
            (false, true) => {
                let spec = service.spec.as_ref();
                let asked = spec.and_then(|s| s.load_balancer_ip.as_ref()?.parse().ok());
                match netplan::lb::allocate(addresses.pool(), &used, asked) {
                    Ok(ip) => {
                        used.insert(ip);
                        json!([{ "ip": ip, "ipMode": "VIP" }])
                    }
                    Err(why) => {
                        let name = service.metadata.name.as_deref().unwrap_or_default();
                        tracing::warn!(?why, service = name, "no load balancer address");
                        continue;
                    }
                }
            }
            (true, false) => Value::Null,
            _ => continue,
        };
        if let Err(problem) = write(client, &service, ingress).await {
            tracing::warn!(%problem, "load balancer address not written");
        }
    }
}

async fn write(client: &Client, service: &Service, ingress: Value) -> Result<(), Problem> {
    let body = json!({ "status": { "loadBalancer": { "ingress": ingress } } });
    let patch = Patch { kind: PatchKind::Merge, body };
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let call = Call::new(Verb::Patch(patch), Service::gvr(), namespace, name).on("status");
    client.call(&call).await.map(drop)
}
