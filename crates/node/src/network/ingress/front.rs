//! The class and the Service that clients of all Ingresses come through.

use super::super::system::{create, put};
use super::{CLASS, CONTROLLER};
use crate::ops::Hands;
use client::Client;
use ingress::Sockets;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::IngressClass;
use meta::{Problem, Value};
use serde_json::json;
use std::net::IpAddr;
use typed::Read;

pub(super) const NAMESPACE: &str = "kube-system";
pub(super) const NAME: &str = "ingress";
const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

/// Makes the built-in class; one that was there, or is no longer default, stays as it is.
pub(super) async fn ensure_class(client: &Client) -> Result<(), Problem> {
    let view = client.view();
    let is_default = |class: &IngressClass| {
        let annotations = class.metadata.annotations.as_ref();
        annotations.and_then(|a| a.get(DEFAULT)).is_some_and(|value| value == "true")
    };
    let taken = view.read_all::<IngressClass>(None).any(|class| is_default(&class));
    let annotations = if taken { json!({}) } else { json!({ DEFAULT: "true" }) };
    let class = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": { "name": CLASS, "annotations": annotations },
        "spec": { "controller": CONTROLLER },
    });
    create::<IngressClass>(client, "", class).await
}

/// Binds the proxy's ports on the pods' gateway and leads the front Service there.
pub(super) async fn open(hands: &Hands) -> Result<Sockets, Problem> {
    let failed = |e: std::io::Error| Problem::internal(format!("ingress: listening: {e}"));
    let gateway = hands.config.gateway()?;
    let sockets = Sockets::bind(gateway).await.map_err(failed)?;
    let (http, https) = sockets.ports().map_err(failed)?;
    create::<Service>(&hands.client, NAMESPACE, service()).await?;
    put::<EndpointSlice>(&hands.client, NAMESPACE, slice(gateway, http, https)).await?;
    Ok(sockets)
}

fn service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": NAME, "namespace": NAMESPACE },
        "spec": {
            "type": "LoadBalancer",
            "ports": [
                { "name": "http", "protocol": "TCP", "port": 80 },
                { "name": "https", "protocol": "TCP", "port": 443 },
            ],
        },
    })
}

fn slice(gateway: IpAddr, http: u16, https: u16) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": { "kubernetes.io/service-name": NAME },
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [gateway], "conditions": { "ready": true } }],
        "ports": [
            { "name": "http", "protocol": "TCP", "port": http },
            { "name": "https", "protocol": "TCP", "port": https },
        ],
    })
}
