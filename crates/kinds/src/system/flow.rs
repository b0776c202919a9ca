//! The flow schemas and priority levels every cluster has (apiserver `pkg/apis/flowcontrol/bootstrap/default.go`).

use meta::{Gvr, Value};
use serde_json::{Map, json};

const GROUP: &str = "flowcontrol.apiserver.k8s.io";

/// `(name, shares, lendable percent, queues, hand size)`; no queues: refuse at once.
const LEVELS: &[(&str, u32, u32, u32, u32)] = &[
    ("catch-all", 5, 0, 0, 0),
    ("global-default", 20, 50, 128, 6),
    ("leader-election", 10, 0, 16, 4),
    ("node-high", 40, 25, 64, 6),
    ("system", 30, 33, 64, 6),
    ("workload-high", 40, 50, 128, 6),
    ("workload-low", 100, 90, 128, 6),
];

/// `(name, level, precedence, distinguisher, subjects, rules)`. Subjects: `g:` group, `u:` user, `s:` service account of
/// kube-system. Rules: `verbs groups resources namespaces`, where namespaces may be `cluster`; or `verbs /paths`; `core`
/// is the group `""`.
type Schema = (
    &'static str,
    &'static str,
    u32,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const EVERYTHING: &[&str] = &["* * * *,cluster", "* *"];
const EVERYBODY: &[&str] = &["g:system:unauthenticated", "g:system:authenticated"];
const MANAGER: &str = "u:system:kube-controller-manager";

const SCHEMAS: &[Schema] = &[
    ("exempt", "exempt", 1, "", &["g:system:masters"], EVERYTHING),
    ("probes", "exempt", 2, "", EVERYBODY, &["get /healthz,/readyz,/livez"]),
    (
        "system-leader-election",
        "leader-election",
        100,
        "ByUser",
        &[MANAGER, "u:system:kube-scheduler"],
        &["get,create,update coordination.k8s.io leases kube-system"],
    ),
    (
        "endpoint-controller",
        "workload-high",
        150,
        "ByUser",
        &[MANAGER, "s:endpoint-controller", "s:endpointslicemirroring-controller"],
        &["get,create,update core endpoints *"],
    ),
    (
        "workload-leader-election",
        "leader-election",
        200,
        "ByUser",
        &["s:*"],
        &["get,create,update coordination.k8s.io leases *"],
    ),
    (
        "system-node-high",
        "node-high",
        400,
        "ByUser",
        &["g:system:nodes"],
        &["* core nodes,nodes/status *,cluster", "* coordination.k8s.io leases *"],
    ),
    ("system-nodes", "system", 500, "ByUser", &["g:system:nodes"], EVERYTHING),
    ("kube-controller-manager", "workload-high", 800, "ByNamespace", &[MANAGER], EVERYTHING),
    (
        "kube-scheduler",
        "workload-high",
        800,
        "ByNamespace",
        &["u:system:kube-scheduler"],
        EVERYTHING,
    ),
    ("kube-system-service-accounts", "workload-high", 900, "ByNamespace", &["s:*"], EVERYTHING),
    ("service-accounts", "workload-low", 9000, "ByUser", &["g:system:serviceaccounts"], EVERYTHING),
    ("global-default", "global-default", 9900, "ByUser", EVERYBODY, EVERYTHING),
    ("catch-all", "catch-all", 10_000, "ByUser", EVERYBODY, EVERYTHING),
];

pub(super) fn objects() -> impl Iterator<Item = (Gvr, Value)> {
    let exempt = json!({
        "type": "Exempt",
        "exempt": { "nominalConcurrencyShares": 0, "lendablePercent": 0 },
    });
    let levels = LEVELS.iter().map(|level| (level.0, limited(level)));
    let levels = std::iter::once(("exempt", exempt)).chain(levels).map(|(name, spec)| {
        named("PriorityLevelConfiguration", "prioritylevelconfigurations", name, spec)
    });
    levels.chain(SCHEMAS.iter().map(|s| named("FlowSchema", "flowschemas", s.0, schema(s))))
}

fn named(kind: &str, plural: &str, name: &str, spec: Value) -> (Gvr, Value) {
    let object = json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": kind,
        "metadata": { "name": name, "annotations": { "apf.kubernetes.io/autoupdate-spec": "true" } },
        "spec": spec,
    });
    (Gvr::new(GROUP, "v1", plural), object)
}

fn limited((_, shares, lendable, queues, hand): &(&str, u32, u32, u32, u32)) -> Value {
    let response = match queues {
        0 => json!({ "type": "Reject" }),
        queues => json!({
            "type": "Queue",
            "queuing": { "queues": queues, "handSize": hand, "queueLengthLimit": 50 },
        }),
    };
    json!({
        "type": "Limited",
        "limited": {
            "nominalConcurrencyShares": shares,
            "lendablePercent": lendable,
            "limitResponse": response,
        },
    })
}

fn schema((_, level, precedence, method, subjects, rules): &Schema) -> Value {
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    for rule in *rules {
        match rule.split(' ').collect::<Vec<_>>()[..] {
            [verbs, urls] => {
                paths.push(json!({ "verbs": words(verbs), "nonResourceURLs": words(urls) }));
            }
            [verbs, groups, kinds, spaces] => {
                resources.push(resource(verbs, groups, kinds, spaces))
            }
            _ => unreachable!("a row of the table above has two or four parts"),
        }
    }
    let mut part = Map::new();
    part.insert("subjects".into(), subjects.iter().map(|s| subject(s)).collect());
    for (key, list) in [("resourceRules", resources), ("nonResourceRules", paths)] {
        if !list.is_empty() {
            part.insert(key.into(), list.into());
        }
    }
    let mut spec = json!({
        "priorityLevelConfiguration": { "name": level },
        "matchingPrecedence": precedence,
        "rules": [part],
    });
    if !method.is_empty() {
        spec["distinguisherMethod"] = json!({ "type": method });
    }
    spec
}

fn words(list: &str) -> Vec<&str> {
    list.split(',').map(|word| if word == "core" { "" } else { word }).collect()
}

fn resource(verbs: &str, groups: &str, kinds: &str, spaces: &str) -> Value {
    let spaces = words(spaces);
    let mut out = json!({
        "verbs": words(verbs),
        "apiGroups": words(groups),
        "resources": words(kinds),
        "namespaces": spaces.iter().filter(|s| **s != "cluster").collect::<Vec<_>>(),
    });
    if spaces.contains(&"cluster") {
        out["clusterScope"] = true.into();
    }
    out
}

fn subject(text: &str) -> Value {
    match text.split_at(2) {
        ("g:", name) => json!({ "kind": "Group", "group": { "name": name } }),
        ("u:", name) => json!({ "kind": "User", "user": { "name": name } }),
        (_, name) => json!({
            "kind": "ServiceAccount",
            "serviceAccount": { "name": name, "namespace": "kube-system" },
        }),
    }
}
