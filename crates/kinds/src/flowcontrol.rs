//! flowcontrol.apiserver.k8s.io/v1.

use crate::core::pod_defaults::set;
use crate::row::KindRow;
use crate::rows::{STATUS, version};
use crate::table::{AGE, NAME, age, at, col, list, name, number, plain, text, text_or};
use meta::Value;
use serde_json::json;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";

macro_rules! v1 {
    ($kind:literal) => {
        &[version("v1", concat!("io.k8s.api.flowcontrol.v1.", $kind))]
    };
}

pub static FLOW_SCHEMA: KindRow = KindRow::cluster(
    GROUP,
    "FlowSchema",
    "flowschemas",
    "flowschema",
    v1!("FlowSchema"),
)
.subresources(&[STATUS])
.counted()
.check(crate::check::cluster::flow_schema)
.defaults(|v| {
    if let Some(spec) = v.get_mut("spec") {
        // Go's zero value counts as absent.
        if at(spec, "matchingPrecedence").is_none_or(|p| *p == 0) {
            spec["matchingPrecedence"] = 1000.into();
        }
    }
})
.table(
    &[
        NAME,
        col("PriorityLevel", "string", ""),
        col("MatchingPrecedence", "string", ""),
        col("DistinguisherMethod", "string", ""),
        AGE,
        col("MissingPL", "string", ""),
    ],
    |v, now| {
        let dangling = list(v, "status.conditions").iter().find(|c| c["type"] == "Dangling");
        vec![
            name(v),
            text(v, "spec.priorityLevelConfiguration.name").into(),
            number(v, "spec.matchingPrecedence"),
            text_or(v, "spec.distinguisherMethod.type", "<none>").into(),
            age(v, now),
            dangling.map_or("?".into(), |c| text(c, "status")).into(),
        ]
    },
)
.sample(concat!(
    "apiVersion: flowcontrol.apiserver.k8s.io/v1\nkind: FlowSchema\nmetadata: {name: sample}\n",
    "spec: {priorityLevelConfiguration: {name: exempt}}\n"
));

pub static PRIORITY_LEVEL_CONFIGURATION: KindRow = KindRow::cluster(
    GROUP,
    "PriorityLevelConfiguration",
    "prioritylevelconfigurations",
    "prioritylevelconfiguration",
    v1!("PriorityLevelConfiguration"),
)
.subresources(&[STATUS])
.counted()
.check(crate::check::cluster::priority_level)
.defaults(default_level)
.table(
    &[
        NAME,
        col("Type", "string", ""),
        col("NominalConcurrencyShares", "string", ""),
        col("Queues", "string", ""),
        col("HandSize", "string", ""),
        col("QueueLengthLimit", "string", ""),
        AGE,
    ],
    |v, now| {
        let cell = |path: &str| Value::from(at(v, path).map_or("<none>".into(), plain));
        let queue = |key: &str| cell(&format!("spec.limited.limitResponse.queuing.{key}"));
        let shares = match at(v, "spec.exempt") {
            Some(_) => cell("spec.exempt.nominalConcurrencyShares"),
            None => cell("spec.limited.nominalConcurrencyShares"),
        };
        vec![
            name(v),
            text(v, "spec.type").into(),
            shares,
            queue("queues"),
            queue("handSize"),
            queue("queueLengthLimit"),
            age(v, now),
        ]
    },
)
.sample(concat!(
    "apiVersion: flowcontrol.apiserver.k8s.io/v1\nkind: PriorityLevelConfiguration\nmetadata: {name: sample}\n",
    "spec: {type: Limited, limited: {limitResponse: {type: Reject}}}\n"
));

/// SetDefaults of LimitedPriorityLevelConfiguration, ExemptPriorityLevelConfiguration and QueuingConfiguration.
fn default_level(v: &mut Value) {
    if let Some(limited) = v.pointer_mut("/spec/limited").filter(|l| l.is_object()) {
        set(limited, "nominalConcurrencyShares", 30);
        set(limited, "lendablePercent", 0);
        if let Some(queue) = limited.pointer_mut("/limitResponse/queuing") {
            for (key, default) in [("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)] {
                set(queue, key, default);
            }
        }
    }
    if text(v, "spec.type") == "Exempt" {
        set(&mut v["spec"], "exempt", json!({}));
        set(&mut v["spec"]["exempt"], "nominalConcurrencyShares", 0);
        set(&mut v["spec"]["exempt"], "lendablePercent", 0);
    }
}
