#![allow(clippy::unwrap_used)]

use super::{escalation, limit_ranger, quota, small};
use crate::access::{AllowAll, Attributes, Authorizer, Decision, NoTokens};
use crate::admission::{Admit, AlsoChange, Extras, Operation};
use meta::{Gvk, Identity, Resource, Time, Value};
use serde_json::json;
use store::{Draft, Expect, Head, Heads, Key, Op, Options, Store, Txn, View, Volatile};

/// Holds nothing.
struct Nobody;

impl Authorizer for Nobody {
    fn decide(&self, _: &Attributes, _: &Identity, _: &View) -> Decision {
        Decision::Deny { reason: String::new() }
    }

    fn rules(&self, _: &Identity, _: &str, _: &View) -> Value {
        Value::Null
    }

    fn may_grant(&self, _: &Identity, rules: &[Value], _: &str, _: &View) -> Result<(), String> {
        if rules.is_empty() { Ok(()) } else { Err("not currently held".into()) }
    }
}

fn view(objects: &[(&str, Value)]) -> View {
    let heads = Heads { version: 1, parse: |_, _| Head::default() };
    let store = Store::inline(Box::new(Volatile), Options::new(heads)).unwrap();
    for (resource, value) in objects {
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        let part = |key: &str| value["metadata"][key].as_str().unwrap_or_default();
        let key = Key::new(&Resource::new(group, plural), part("namespace"), part("name"));
        let draft = Draft::new(key, Head::default(), value.clone());
        store.commit(Txn { ops: vec![Op::Put { draft, expect: Expect::Absent }] }).unwrap();
    }
    store.view()
}

type Plugin = fn(&Value, &Admit<'_>, &mut Extras) -> Result<(), meta::Problem>;
type Changes = fn(&mut Value, &Admit<'_>, &mut Extras) -> Result<(), meta::Problem>;

fn creating<T>(
    resource: &str,
    view: &View,
    authorizer: &dyn Authorizer,
    f: impl FnOnce(&Admit<'_>) -> T,
) -> T {
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    f(&Admit {
        operation: Operation::Create,
        gvk: &Gvk::new(group, "v1", "Any"),
        resource: &Resource::new(group, plural),
        subresource: "",
        namespace: "default",
        name: "o",
        old: None,
        identity: &Identity { name: "jane".into(), ..Identity::default() },
        now: Time::parse("2026-01-02T03:04:05Z").unwrap(),
        view,
        tokens: &NoTokens,
        authorizer,
    })
}

fn says(plugin: Plugin, resource: &str, objects: &[(&str, Value)], v: &Value) -> String {
    let view = view(objects);
    creating(resource, &view, &Nobody, |admit| {
        plugin(v, admit, &mut Extras::default()).map_or_else(|p| p.message, |()| String::new())
    })
}

fn made(plugin: Changes, resource: &str, objects: &[(&str, Value)], mut v: Value) -> Value {
    let view = view(objects);
    creating(resource, &view, &AllowAll, |admit| {
        plugin(&mut v, admit, &mut Extras::default()).unwrap();
    });
    v
}

fn range() -> (&'static str, Value) {
    let limits = json!([{
        "type": "Container",
        "default": { "cpu": "500m" },
        "defaultRequest": { "cpu": "100m" },
        "max": { "cpu": "1" },
    }]);
    (
        "limitranges",
        json!({ "metadata": { "name": "l", "namespace": "default" }, "spec": { "limits": limits } }),
    )
}

fn pod(resources: Value) -> Value {
    json!({ "metadata": { "name": "o" }, "spec": { "containers": [{ "name": "c", "resources": resources }] } })
}

#[test]
fn limits_are_filled_in_and_kept() {
    let filled = made(limit_ranger::mutate, "pods", &[range()], pod(json!({})));
    let want = json!({ "limits": { "cpu": "500m" }, "requests": { "cpu": "100m" } });
    assert_eq!(filled["spec"]["containers"][0]["resources"], want);
    assert_eq!(
        filled["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    );
    let big = pod(json!({ "limits": { "cpu": "2" }, "requests": { "cpu": "1" } }));
    assert_eq!(
        says(limit_ranger::validate, "pods", &[range()], &big),
        "pods \"o\" is forbidden: maximum cpu usage per Container is 1, but limit is 2"
    );
}

fn budget(used: &str) -> (&'static str, Value) {
    let hard = json!({ "pods": "2", "requests.cpu": "1" });
    let status = json!({ "hard": hard, "used": { "pods": used, "requests.cpu": "0" } });
    (
        "resourcequotas",
        json!({ "metadata": { "name": "q", "namespace": "default" }, "status": status }),
    )
}

#[test]
fn quotas_are_charged_in_the_same_transaction() {
    let one = pod(json!({ "requests": { "cpu": "300m" } }));
    let view = view(&[budget("1")]);
    let charged = creating("pods", &view, &AllowAll, |admit| {
        let mut extras = Extras::default();
        quota::validate(&one, admit, &mut extras).unwrap();
        extras.also.remove(0).change
    });
    let AlsoChange::Replace(quota) = charged else { panic!("the quota is replaced") };
    assert_eq!(quota["status"]["used"], json!({ "pods": "2", "requests.cpu": "300m" }));
    assert_eq!(
        says(quota::validate, "pods", &[budget("2")], &one),
        "pods \"o\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"
    );
    assert_eq!(
        says(quota::validate, "pods", &[budget("0")], &pod(json!({}))),
        "pods \"o\" is forbidden: failed quota: q: must specify requests.cpu for: c"
    );
}

#[test]
fn nobody_grants_what_they_lack() {
    let rules = json!([{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }]);
    let role = json!({ "metadata": { "name": "o" }, "rules": rules });
    let roles = "clusterroles.rbac.authorization.k8s.io";
    let want = "clusterroles.rbac.authorization.k8s.io \"o\" is forbidden: not currently held";
    assert_eq!(says(escalation::check, roles, &[], &role), want);
    let binding =
        json!({ "metadata": { "name": "b" }, "roleRef": { "kind": "ClusterRole", "name": "o" } });
    let bindings = "clusterrolebindings.rbac.authorization.k8s.io";
    let want =
        "clusterrolebindings.rbac.authorization.k8s.io \"b\" is forbidden: not currently held";
    assert_eq!(says(escalation::check, bindings, &[(roles, role)], &binding), want);
    let want = "clusterroles.rbac.authorization.k8s.io \"o\" not found";
    assert_eq!(says(escalation::check, bindings, &[], &binding), want);
}

#[test]
fn small_plugins() {
    let node = made(small::taint, "nodes", &[], json!({ "spec": {} }));
    assert_eq!(node["spec"]["taints"][0]["key"], "node.kubernetes.io/not-ready");
    let claim = made(small::protect, "persistentvolumeclaims", &[], json!({ "metadata": {} }));
    assert_eq!(claim["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    let annotations = json!({ "ingressclass.kubernetes.io/is-default-class": "true" });
    let class = json!({ "metadata": { "name": "nginx", "annotations": annotations } });
    let classes = [("ingressclasses.networking.k8s.io", class)];
    let made_for =
        made(small::ingress_class, "ingresses.networking.k8s.io", &classes, json!({ "spec": {} }));
    assert_eq!(made_for["spec"]["ingressClassName"], "nginx");
    let class = json!({ "metadata": { "name": "vm" }, "overhead": { "podFixed": { "cpu": "1" } } });
    let mut wanted = pod(json!({}));
    wanted["spec"]["runtimeClassName"] = "vm".into();
    let got = made(small::runtime_class, "pods", &[("runtimeclasses.node.k8s.io", class)], wanted);
    assert_eq!(got["spec"]["overhead"], json!({ "cpu": "1" }));
}
