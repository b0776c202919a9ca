//! Where clients reach an Ingress: the front Service's address, in every Ingress' status.

use super::super::proxy;
use super::front::{NAME, NAMESPACE};
use api::{Call, Patch, PatchKind, Verb};
use client::Client;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use meta::Reason;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use store::View;
use typed::{Kind, Read};

/// Writes the addresses where they are not there yet.
pub(super) async fn report(client: &Client, view: &View, ours: &[Arc<Ingress>]) {
    let Some(front) = view.read::<Service>(NAMESPACE, NAME) else { return };
    let wanted: BTreeSet<String> = proxy::ingress(&front).map(|ip| ip.to_string()).collect();
    for ingress in ours.iter().filter(|i| addresses(i) != wanted) {
        let namespace = ingress.metadata.namespace.as_deref().unwrap_or_default();
        let name = ingress.metadata.name.as_deref().unwrap_or_default();
        let points: Vec<_> = wanted.iter().map(|ip| json!({ "ip": ip })).collect();
        let body = json!({ "status": { "loadBalancer": { "ingress": points } } });
        let patch = Patch { kind: PatchKind::Merge, body };
        let call = Call::new(Verb::Patch(patch), Ingress::gvr(), namespace, name).on("status");
        match client.call(&call).await {
            Err(problem) if problem.reason != Reason::NotFound => {
                tracing::warn!(%problem, ingress = name, "address not written");
            }
            _ => {}
        }
    }
}

fn addresses(ingress: &Ingress) -> BTreeSet<String> {
    let balancer = ingress.status.as_ref().and_then(|s| s.load_balancer.as_ref());
    let points = balancer.into_iter().flat_map(|lb| lb.ingress.iter().flatten());
    points.filter_map(|point| point.ip.clone()).collect()
}
