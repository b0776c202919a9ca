//! Ingresses and IngressClasses (upstream `pkg/apis/networking/validation/validation.go`).

use super::names::{host, port_name, port_number};
use super::{Faults, Node};
use meta::names::{dns_label_1035, dns_subdomain};
use meta::{Fault, Value};

pub(crate) fn check(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let root = Node::root(new);
    let spec = root.at("spec");
    let (backend, rules) = (spec.at("defaultBackend"), spec.at("rules"));
    if rules.is_empty() && !backend.is_set() {
        let why = "either `defaultBackend` or `rules` must be specified";
        faults.push(Fault::invalid(&spec.path, serde_json::json!([]), why));
    }
    if backend.is_set() {
        check_backend(&backend, faults);
    }
    rules.items().for_each(|r| rule(&r, faults));
    for tls in spec.at("tls").items() {
        tls.at("hosts").items().for_each(|h| h.obey(host, faults));
        tls.at("secretName").obey(dns_subdomain, faults);
    }
    let class = spec.at("ingressClassName");
    class.obey(dns_subdomain, faults);
    let annotation = root.at("metadata.annotations").key("kubernetes.io/ingress.class");
    if old.is_none() && annotation.is_set() && class.is_set() && annotation.value != class.value {
        let path = "annotations.kubernetes.io/ingress.class";
        let why = "must match `ingressClassName` when both are specified";
        faults.push(Fault::invalid(path, annotation.str(), why));
    }
}

fn rule(node: &Node<'_>, faults: &mut Faults) {
    let name = node.at("host");
    if name.str().parse::<std::net::IpAddr>().is_ok() {
        name.invalid("must be a DNS name, not an IP address", faults);
    }
    name.obey(host, faults);
    let http = node.at("http");
    if !http.is_set() {
        return;
    }
    http.at("paths").require(faults);
    for path in http.at("paths").items() {
        match path.at("pathType").str() {
            "" => {
                let why = "pathType must be specified";
                faults.push(Fault::required(path.at("pathType").path, why));
            }
            "Exact" | "Prefix" => absolute(&path.at("path"), faults),
            "ImplementationSpecific" => {
                let text = path.at("path");
                if !text.is_empty() && !text.str().starts_with('/') {
                    text.invalid("must be an absolute path", faults);
                }
            }
            _ => path.at("pathType").one_of(&["Exact", "ImplementationSpecific", "Prefix"], faults),
        }
        check_backend(&path.at("backend"), faults);
    }
}

fn absolute(path: &Node<'_>, faults: &mut Faults) {
    if !path.str().starts_with('/') {
        faults.push(Fault::invalid(&path.path, path.str(), "must be an absolute path"));
    }
    for bad in ["//", "/./", "/../", "%2f", "%2F"].into_iter().filter(|b| path.str().contains(b)) {
        path.invalid(format!("must not contain '{bad}'"), faults);
    }
    for bad in ["/..", "/."].into_iter().filter(|b| path.str().ends_with(b)) {
        path.invalid(format!("cannot end with '{bad}'"), faults);
    }
}

/// validateIngressBackend
fn check_backend(node: &Node<'_>, faults: &mut Faults) {
    let (service, resource) = (node.at("service"), node.at("resource"));
    let whole = |why: &str| Fault::invalid(&node.path, "", why);
    match (resource.is_set(), service.is_set()) {
        (true, true) => faults.push(whole("cannot set both resource and service backends")),
        (true, false) => {
            resource.at("kind").require(faults);
            resource.at("name").require(faults);
        }
        (false, true) => backend_service(node, &service, faults),
        (false, false) => faults.push(whole("resource or service backend is required")),
    }
}

fn backend_service(node: &Node<'_>, service: &Node<'_>, faults: &mut Faults) {
    if service.at("name").require(faults) {
        service.at("name").obey(dns_label_1035, faults);
    }
    let (name, number) = (service.at("port.name"), service.at("port.number"));
    match (!name.is_empty(), number.int() != 0) {
        (true, true) => {
            faults.push(Fault::invalid(&node.path, "", "cannot set both port name & port number"));
        }
        (true, false) => name.obey(port_name, faults),
        (false, true) => port_number(&number, faults),
        (false, false) => {
            faults.push(Fault::required(&node.path, "port name or number is required"));
        }
    }
}

/// ValidateIngressClass: the controller is for ever.
pub(crate) fn class(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let spec = Node::root(new).at("spec");
    let controller = spec.at("controller");
    if controller.str().len() > 250 {
        let why = "may not be more than 250 bytes";
        faults.push(Fault::new(meta::FaultRule::TooLong, &controller.path, None, why));
    }
    controller.require(faults);
    let parameters = spec.at("parameters");
    if parameters.is_set() {
        parameters.at("kind").require(faults);
        parameters.at("name").require(faults);
        parameters.at("scope").must_be(&["Cluster", "Namespace"], faults);
        if parameters.at("scope").str() == "Namespace" {
            let why = "`parameters.scope` is set to 'Namespace'";
            parameters.at("namespace").require_why(why, faults);
        }
    }
    if let Some(old) = old {
        controller.immutable(&Node::root(old).at("spec.controller"), faults);
    }
}
