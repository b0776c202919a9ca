//! Probes and lifecycle handlers (core `validation.go`: validateProbe, validateHandler, validateLifecycle).

use super::names::port_or_name;
use super::{Faults, Node};

const HANDLERS: &[&str] = &["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// The probes and handlers of one container.
pub(crate) fn container(node: &Node<'_>, faults: &mut Faults) {
    for hook in ["postStart", "preStop"] {
        let hook = node.at("lifecycle").at(hook);
        if hook.is_set() {
            handler(&hook, faults);
        }
    }
    for kind in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = node.at(kind);
        if probe.is_set() {
            check(&probe, kind, faults);
        }
    }
}

fn check(probe: &Node<'_>, kind: &str, faults: &mut Faults) {
    handler(probe, faults);
    let times = [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ];
    times.iter().for_each(|key| probe.at(key).not_negative(faults));
    let grace = probe.at("terminationGracePeriodSeconds");
    grace.positive(faults);
    if kind == "readinessProbe" {
        if grace.is_set() {
            grace.invalid("must not be set for readinessProbes", faults);
        }
    } else if !matches!(probe.at("successThreshold").int(), 0 | 1) {
        probe.at("successThreshold").invalid("must be 1", faults);
    }
}

fn handler(node: &Node<'_>, faults: &mut Faults) {
    let given: Vec<_> =
        HANDLERS.iter().map(|key| (*key, node.at(key))).filter(|(_, h)| h.is_set()).collect();
    for (i, (key, handler)) in given.iter().enumerate() {
        if i > 0 {
            handler.forbid("may not specify more than 1 handler type", faults);
            continue;
        }
        match *key {
            "exec" => handler.at("command").need(faults),
            "httpGet" => http(handler, faults),
            "tcpSocket" => port_or_name(&handler.at("port"), faults),
            "grpc" => super::names::port_number(&handler.at("port"), faults),
            _ => handler.at("seconds").not_negative(faults),
        }
    }
    if given.is_empty() {
        faults.push(meta::Fault::required(&node.path, "must specify a handler type"));
    }
}

fn http(node: &Node<'_>, faults: &mut Faults) {
    node.at("path").require(faults);
    port_or_name(&node.at("port"), faults);
    node.at("scheme").one_of(&["HTTP", "HTTPS"], faults);
}
