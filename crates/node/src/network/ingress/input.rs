//! Ingresses, Services and EndpointSlices as the route compiler's input.

use super::super::proxy::{self, Slices};
use super::CONTROLLER;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, Ingress, IngressBackend, IngressClass, ServiceBackendPort,
};
use netplan::ingress::{Backend, BackendProtocol, IngressInput, IngressRule, PathRule};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use store::View;
use typed::Read;

/// How classes were named before there was a field for it.
const LEGACY: &str = "kubernetes.io/ingress.class";

/// The Ingresses of a class that is served here, oldest first.
pub(super) fn ours(view: &View) -> Vec<Arc<Ingress>> {
    let classes: BTreeSet<String> = view
        .read_all::<IngressClass>(None)
        .filter(|class| {
            class.spec.as_ref().is_some_and(|s| s.controller.as_deref() == Some(CONTROLLER))
        })
        .filter_map(|class| class.metadata.name.clone())
        .collect();
    let mut ours: Vec<_> = view
        .read_all::<Ingress>(None)
        .filter(|i| class_of(i).is_some_and(|class| classes.contains(class)))
        .collect();
    ours.sort_by_key(|i| i.metadata.creation_timestamp.clone());
    ours
}

fn class_of(ingress: &Ingress) -> Option<&str> {
    let named = ingress.spec.as_ref().and_then(|s| s.ingress_class_name.as_deref());
    let annotations = ingress.metadata.annotations.as_ref();
    named.or_else(|| annotations?.get(LEGACY).map(String::as_str))
}

pub(super) fn input(view: &View, ours: &[Arc<Ingress>]) -> IngressInput {
    let mut input = IngressInput::default();
    if ours.is_empty() {
        return input;
    }
    let slices = proxy::slices(view);
    for ingress in ours {
        let Some(spec) = &ingress.spec else { continue };
        let namespace = ingress.metadata.namespace.as_deref().unwrap_or_default();
        let resolve = |wanted: &IngressBackend| Arc::new(backend(view, &slices, namespace, wanted));
        input.defaults.extend(spec.default_backend.iter().map(resolve));
        for rule in spec.rules.iter().flatten() {
            let host = rule.host.as_deref().unwrap_or_default().to_ascii_lowercase();
            // A rule without paths sends its whole host to the default backend.
            let whole = spec.default_backend.iter().filter(|_| rule.http.is_none());
            input.rules.extend(whole.map(|default| IngressRule {
                host: host.clone(),
                path: PathRule::Prefix("/".into()),
                backend: resolve(default),
            }));
            let paths = rule.http.iter().flat_map(|http| &http.paths);
            input.rules.extend(paths.map(|path| IngressRule {
                host: host.clone(),
                path: path_rule(path),
                backend: resolve(&path.backend),
            }));
        }
    }
    input
}

fn path_rule(path: &HTTPIngressPath) -> PathRule {
    let text = path.path.clone().unwrap_or_else(|| "/".into());
    if path.path_type == "Exact" { PathRule::Exact(text) } else { PathRule::Prefix(text) }
}

fn backend(view: &View, slices: &Slices, namespace: &str, wanted: &IngressBackend) -> Backend {
    let Some(service) = &wanted.service else {
        return dead(format!("in {namespace}"), "backends that are resources are not served");
    };
    let port = service.port.as_ref();
    let name = format!("{namespace}/{}:{}", service.name, port.map(shown).unwrap_or_default());
    let Some(object) = view.read::<Service>(namespace, &service.name) else {
        return dead(name, "it does not exist");
    };
    let Some(spec) = &object.spec else { return dead(name, "it has no spec") };
    if spec.type_.as_deref() == Some("ExternalName") {
        return dead(name, "it is of type ExternalName, which the ingress proxy does not serve");
    }
    let asked = |p: &&ServicePort| port.is_some_and(|wanted| is_meant(wanted, p));
    let Some(port) = spec.ports.iter().flatten().find(asked) else {
        return dead(name, "it has no such port");
    };
    let protocol = match port.app_protocol.as_deref() {
        Some("kubernetes.io/h2c") => BackendProtocol::H2c,
        _ => BackendProtocol::Http1,
    };
    let key = (namespace.to_string(), service.name.clone());
    Backend { name, protocol, endpoints: Ok(endpoints(slices, &key, port)) }
}

fn dead(name: String, why: &'static str) -> Backend {
    Backend { name, protocol: BackendProtocol::Http1, endpoints: Err(why) }
}

fn shown(port: &ServiceBackendPort) -> String {
    port.name.clone().or_else(|| port.number.map(|n| n.to_string())).unwrap_or_default()
}

fn is_meant(wanted: &ServiceBackendPort, port: &ServicePort) -> bool {
    match &wanted.name {
        Some(name) => port.name.as_ref() == Some(name),
        None => wanted.number == Some(port.port),
    }
}

/// Ready endpoints of one port, in order.
fn endpoints(slices: &Slices, key: &(String, String), port: &ServicePort) -> Vec<SocketAddr> {
    let mut out = BTreeSet::new();
    let name = port.name.as_deref().unwrap_or_default();
    for slice in slices.get(key).into_iter().flatten() {
        let ports = slice.ports.iter().flatten();
        let mut same = ports.filter(|p| p.name.as_deref().unwrap_or_default() == name);
        let number = same.find_map(|p| p.port).and_then(|p| u16::try_from(p).ok());
        let Some(number) = number else { continue };
        let ready = slice
            .endpoints
            .iter()
            .filter(|e| e.conditions.as_ref().and_then(|c| c.ready) != Some(false));
        let addresses = ready.filter_map(|e| e.addresses.first()?.parse().ok());
        out.extend(addresses.map(|ip| SocketAddr::new(ip, number)));
    }
    out.into_iter().collect()
}
