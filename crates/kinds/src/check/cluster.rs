//! Nodes, namespaces, certificate requests, flow control, events (upstream
//! `pkg/apis/{core,certificates,flowcontrol}/validation/validation.go`, `pkg/apis/core/validation/events.go`).

use super::{Faults, Node, same, unique};
use meta::{Fault, Value, names};

// === nodes ===

const EFFECTS: &[&str] = &["NoExecute", "NoSchedule", "PreferNoSchedule"];

pub(crate) fn node(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let spec = Node::root(new).at("spec");
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for taint in spec.at("taints").items() {
        let (key, effect) = (taint.at("key"), taint.at("effect"));
        key.need(faults);
        key.obey(names::qualified_name, faults);
        taint.at("value").obey(names::label_value, faults);
        effect.must_be(EFFECTS, faults);
        if seen.contains(&(key.str(), effect.str())) {
            taint.duplicate(faults);
        }
        seen.push((key.str(), effect.str()));
    }
    if spec.at("podCIDRs").len() > 2 {
        let why = "may specify no more than one CIDR for each IP family";
        spec.at("podCIDRs").invalid(why, faults);
    }
    spec.at("podCIDRs").items().for_each(|cidr| cidr.obey(super::names::cidr, faults));
    let Some(before) = old.map(|old| Node::root(old).at("spec")) else { return };
    for (key, fixed) in [("podCIDRs", "podCIDR"), ("providerID", "providerID")] {
        if !before.at(key).is_empty() && !same(spec.at(key).value, before.at(key).value) {
            let why = format!("node updates may not change {fixed} except from \"\" to valid");
            spec.at(key).forbid(why, faults);
        }
    }
}

// === namespaces ===

pub(crate) fn namespace(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    for finalizer in Node::root(new).at("spec.finalizers").items() {
        finalizer.obey(names::qualified_name, faults);
        if !finalizer.str().contains('/') && finalizer.str() != "kubernetes" {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            finalizer.invalid(why, faults);
        }
    }
}

// === certificate requests ===

const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

pub(crate) fn request(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    // The spec never changes after the create.
    if old.is_some() {
        return;
    }
    let spec = Node::root(new).at("spec");
    let request = spec.at("request");
    if crate::admit::organizations(request.str()).is_none() {
        request.invalid("PEM block type must be CERTIFICATE REQUEST", faults);
    }
    let usages = spec.at("usages");
    usages.need_why("usages must be provided", faults);
    usages.items().for_each(|usage| usage.one_of(USAGES, faults));
    unique(usages.items(), faults);
    signer(&spec.at("signerName"), faults);
    let lifetime = spec.at("expirationSeconds");
    if lifetime.is_set() && lifetime.int() < 600 {
        lifetime.invalid("may not specify a duration less than 600 seconds (10 minutes)", faults);
    }
}

fn signer(name: &Node<'_>, faults: &mut Faults) {
    if !name.require(faults) {
        return;
    }
    if name.str() == "kubernetes.io/legacy-unknown" {
        name.invalid("the legacy signerName is not allowed via this API version", faults);
    }
    let Some((domain, path)) = name.str().split_once('/') else {
        let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        name.invalid(why, faults);
        return;
    };
    for why in names::dns_subdomain(domain) {
        name.invalid(format!("validating label {domain:?}: {why}"), faults);
    }
    for label in path.split('.') {
        for why in names::dns_label(label) {
            name.invalid(format!("validating label {label:?}: {why}"), faults);
        }
    }
    if domain.split('.').count() < 2 {
        let why = format!(
            "validating label {domain:?}: should be a domain with at least two segments separated by dots"
        );
        name.invalid(why, faults);
    }
}

// === flow control ===

pub(crate) fn flow_schema(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    let root = Node::root(new);
    let spec = root.at("spec");
    let (precedence, name) = (spec.at("matchingPrecedence"), root.at("metadata.name").str());
    if precedence.int() <= 0 {
        precedence.invalid("must be a positive value", faults);
    }
    if precedence.int() > 10_000 {
        precedence.invalid("must not be greater than 10000", faults);
    }
    if precedence.int() == 1 && name != "exempt" {
        let why = "only the schema named 'exempt' may have matchingPrecedence 1";
        precedence.invalid(why, faults);
    }
    spec.at("distinguisherMethod.type").one_of(&["ByNamespace", "ByUser"], faults);
    let level = spec.at("priorityLevelConfiguration.name");
    level.need_why("must reference a priority level", faults);
    level.obey(names::dns_subdomain, faults);
    for rule in spec.at("rules").items() {
        rule.at("subjects").need_why("subjects must contain at least one value", faults);
        for subject in rule.at("subjects").items() {
            subject.at("kind").must_be(&["Group", "ServiceAccount", "User"], faults);
        }
        if rule.at("resourceRules").is_empty() && rule.at("nonResourceRules").is_empty() {
            let why = "at least one of resourceRules and nonResourceRules has to be non-empty";
            faults.push(Fault::required(&rule.path, why));
        }
    }
}

pub(crate) fn priority_level(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    let spec = Node::root(new).at("spec");
    let (limited, exempt) = (spec.at("limited"), spec.at("exempt"));
    spec.at("type").must_be(&["Exempt", "Limited"], faults);
    match spec.at("type").str() {
        "Exempt" if limited.is_set() => {
            limited.forbid("must be nil if the type is not Limited", faults);
        }
        "Limited" => {
            if exempt.is_set() {
                exempt.forbid("must be nil if the type is Limited", faults);
            }
            match limited.is_set() {
                true => limits(&limited, faults),
                false => {
                    let why = "must not be empty when type is Limited";
                    faults.push(Fault::required(&limited.path, why));
                }
            }
        }
        _ => {}
    }
    for part in [limited, exempt] {
        let (shares, lent) = (part.at("nominalConcurrencyShares"), part.at("lendablePercent"));
        if shares.int() < 0 {
            shares.invalid("must be a non-negative integer", faults);
        }
        if !(0..=100).contains(&lent.int()) {
            lent.invalid("must be between 0 and 100, inclusive", faults);
        }
    }
}

fn limits(limited: &Node<'_>, faults: &mut Faults) {
    let response = limited.at("limitResponse");
    let queuing = response.at("queuing");
    response.at("type").must_be(&["Queue", "Reject"], faults);
    match response.at("type").str() {
        "Reject" if queuing.is_set() => {
            queuing.forbid("must be nil if limited.limitResponse.type is not Limited", faults);
        }
        "Queue" if !queuing.is_set() => {
            let why = "must not be empty if limited.limitResponse.type is Limited";
            faults.push(Fault::required(&queuing.path, why));
        }
        _ => {}
    }
    if !queuing.is_set() {
        return;
    }
    for key in ["queueLengthLimit", "queues", "handSize"] {
        if queuing.at(key).int() <= 0 {
            queuing.at(key).invalid("must be positive", faults);
        }
    }
    let (queues, hand) = (queuing.at("queues").int(), queuing.at("handSize"));
    if hand.int() > queues {
        hand.invalid(format!("should not be greater than queues ({queues})"), faults);
    }
}

// === events ===

/// legacyValidateEvent: an event stands in the namespace of what it is about.
pub(crate) fn event(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    let root = Node::root(new);
    let own = root.at("metadata.namespace").str();
    for key in ["involvedObject", "regarding"] {
        let space = root.at(key).at("namespace");
        if !space.is_empty() && space.str() != own {
            space.invalid("does not match event.namespace", faults);
        }
    }
}
