//! Webhook configurations and admission policies (upstream `pkg/apis/admissionregistration/validation/validation.go`,
//! apiserver `pkg/util/webhook/validation.go`). Does not compile CEL expressions.

use super::selector::selector;
use super::{Faults, Node, unique};
use meta::{Fault, Value, names};

pub(crate) fn webhooks(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    let hooks = Node::root(new).at("webhooks");
    hooks.items().for_each(|hook| webhook(&hook, faults));
    unique(hooks.items().map(|hook| hook.at("name")), faults);
}

fn webhook(hook: &Node<'_>, faults: &mut Faults) {
    let name = hook.at("name");
    if name.require(faults) {
        name.obey(names::dns_subdomain, faults);
        if name.str().split('.').count() < 3 {
            let why = "should be a domain with at least three segments separated by dots";
            name.invalid(why, faults);
        }
    }
    hook.at("rules").items().for_each(|r| rule(&r, faults));
    hook.at("failurePolicy").one_of(&["Fail", "Ignore"], faults);
    hook.at("matchPolicy").one_of(&["Equivalent", "Exact"], faults);
    hook.at("reinvocationPolicy").one_of(&["IfNeeded", "Never"], faults);
    let effects = hook.at("sideEffects");
    effects.need_why("must specify one of None, NoneOnDryRun", faults);
    effects.one_of(&["None", "NoneOnDryRun"], faults);
    let timeout = hook.at("timeoutSeconds");
    if timeout.is_set() && !(1..=30).contains(&timeout.int()) {
        timeout.invalid("the timeout value must be between 1 and 30 seconds", faults);
    }
    for key in ["namespaceSelector", "objectSelector"] {
        selector(&hook.at(key), faults);
    }
    client(&hook.at("clientConfig"), faults);
    versions(&hook.at("admissionReviewVersions"), faults);
    conditions(&hook.at("matchConditions"), faults);
}

fn versions(node: &Node<'_>, faults: &mut Faults) {
    const KNOWN: [&str; 2] = ["v1", "v1beta1"];
    if !node.require_why("must specify one of v1, v1beta1", faults) {
        return;
    }
    if !node.items().any(|version| KNOWN.contains(&version.str())) {
        node.invalid("must include at least one of v1, v1beta1", faults);
    }
    node.items().for_each(|version| version.obey(names::dns_label_1035, faults));
    unique(node.items(), faults);
}

/// Named expressions.
fn conditions(node: &Node<'_>, faults: &mut Faults) {
    if node.len() > 64 {
        faults.push(Fault::new(
            meta::FaultRule::TooMany,
            &node.path,
            None,
            "must have at most 64 items",
        ));
    }
    for condition in node.items() {
        condition.at("expression").need(faults);
        let name = condition.at("name");
        name.need(faults);
        name.obey(names::qualified_name, faults);
    }
    unique(node.items().map(|condition| condition.at("name")), faults);
}

fn client(node: &Node<'_>, faults: &mut Faults) {
    let (url, service) = (node.at("url"), node.at("service"));
    if url.is_set() == service.is_set() {
        faults.push(Fault::required(&node.path, "exactly one of url or service is required"));
    } else if url.is_set() {
        address(&url, faults);
    } else {
        service.at("name").need_why("service name is required", faults);
        service.at("namespace").need_why("service namespace is required", faults);
        let port = service.at("port");
        if port.is_set() && !(1..=65535).contains(&port.int()) {
            port.invalid("port is not valid: must be between 1 and 65535, inclusive", faults);
        }
        let path = service.at("path");
        if !path.is_empty() && !path.str().starts_with('/') {
            path.invalid("must start with a '/'", faults);
        }
    }
}

fn address(url: &Node<'_>, faults: &mut Faults) {
    const FORM: &str = "; desired format: https://host[:port]/path";
    let Some(rest) = url.str().strip_prefix("https://") else {
        url.invalid(format!("'https' is the only allowed URL scheme{FORM}"), faults);
        return;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() {
        url.invalid(format!("host must be specified{FORM}"), faults);
    }
    if host.contains('@') {
        url.invalid("user information is not permitted in the URL", faults);
    }
    for (sign, what) in [('#', "fragments are"), ('?', "query parameters are")] {
        if rest.contains(sign) {
            url.invalid(format!("{what} not permitted in the URL"), faults);
        }
    }
}

const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];

fn rule(node: &Node<'_>, faults: &mut Faults) {
    let operations = node.at("operations");
    operations.need(faults);
    alone(&operations, "*", "operations", faults);
    operations.items().for_each(|operation| operation.must_be(OPERATIONS, faults));
    for (key, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let list = node.at(key);
        list.need(faults);
        alone(&list, "*", what, faults);
    }
    node.at("apiVersions").items().for_each(|version| version.need(faults));
    let resources = node.at("resources");
    resources.need(faults);
    resources.items().for_each(|resource| resource.need(faults));
    alone(&resources, "*/*", "resources", faults);
    node.at("scope").one_of(&["*", "Cluster", "Namespaced"], faults);
}

/// A wildcard stands for everything, so nothing stands beside it.
fn alone(node: &Node<'_>, wildcard: &str, what: &str, faults: &mut Faults) {
    if node.len() > 1 && node.items().any(|item| item.str() == wildcard) {
        let why = format!("if '{wildcard}' is present, must not specify other {what}");
        node.invalid(why, faults);
    }
}

pub(crate) fn policy(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    let spec = Node::root(new).at("spec");
    spec.at("failurePolicy").one_of(&["Fail", "Ignore"], faults);
    let kind = spec.at("paramKind");
    if kind.is_set() {
        kind.at("apiVersion").need(faults);
        kind.at("kind").need(faults);
    }
    let constraints = spec.at("matchConstraints");
    if !constraints.is_set() {
        faults.push(Fault::required(&constraints.path, ""));
    } else {
        constraints.at("resourceRules").need(faults);
        matching(&constraints, faults);
    }
    conditions(&spec.at("matchConditions"), faults);
    let (validations, notes) = (spec.at("validations"), spec.at("auditAnnotations"));
    if validations.is_empty() && notes.is_empty() {
        for node in [&validations, &notes] {
            let why = "validations or auditAnnotations must contain at least one item";
            faults.push(Fault::required(&node.path, why));
        }
    }
    for validation in validations.items() {
        validation.at("expression").need_why("expression is not specified", faults);
    }
    for note in notes.items() {
        note.at("key").need(faults);
        note.at("valueExpression").need_why("valueExpression is not specified", faults);
    }
    for variable in spec.at("variables").items() {
        variable.at("name").need_why("name is not specified", faults);
        variable.at("expression").need_why("expression is not specified", faults);
    }
}

fn matching(node: &Node<'_>, faults: &mut Faults) {
    node.at("matchPolicy").one_of(&["Equivalent", "Exact"], faults);
    for key in ["namespaceSelector", "objectSelector"] {
        selector(&node.at(key), faults);
    }
    for key in ["resourceRules", "excludeResourceRules"] {
        node.at(key).items().for_each(|r| rule(&r, faults));
    }
}

pub(crate) fn binding(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    let spec = Node::root(new).at("spec");
    if spec.at("policyName").require(faults) {
        spec.at("policyName").obey(names::dns_subdomain, faults);
    }
    let parameter = spec.at("paramRef");
    if parameter.is_set() {
        let (name, chosen) = (parameter.at("name"), parameter.at("selector"));
        match (name.is_empty(), chosen.is_set()) {
            (false, true) => name.forbid("name and selector are mutually exclusive", faults),
            (true, false) => {
                let why = "one of name or selector must be specified";
                faults.push(Fault::required(&parameter.path, why));
            }
            _ => {}
        }
        parameter.at("parameterNotFoundAction").must_be(&["Allow", "Deny"], faults);
    }
    if spec.at("matchResources").is_set() {
        matching(&spec.at("matchResources"), faults);
    }
    actions(&spec.at("validationActions"), faults);
}

fn actions(node: &Node<'_>, faults: &mut Faults) {
    node.need_why("at least one validation action is required", faults);
    node.items().for_each(|action| action.one_of(&["Audit", "Deny", "Warn"], faults));
    unique(node.items(), faults);
    let has = |wanted: &str| node.items().any(|action| action.str() == wanted);
    if has("Deny") && has("Warn") {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information \
                   in the API response and headers serves no purpose)";
        node.invalid(why, faults);
    }
}
