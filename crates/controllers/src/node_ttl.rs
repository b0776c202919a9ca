//! How long a kubelet may keep Secrets and ConfigMaps it has read, by the size of the cluster
//! (pkg/controller/ttl/ttl_controller.go).

use crate::calls;
use crate::plan::{Plan, Row, Wake};
use k8s_openapi::api::core::v1::Node;
use meta::Time;
use serde_json::json;
use store::{Change, Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "ttl-controller",
    wakes: &[Wake { resource: ("", "nodes"), keys: wake }],
    plan,
    refused: None,
    made: None,
};

const ANNOTATION: &str = "node.alpha.kubernetes.io/ttl";

/// From how many nodes on which seconds are right. Upstream keeps a value until the count is a tenth below its bound.
const STEPS: &[(usize, u32)] = &[(0, 0), (101, 15), (501, 30), (1001, 60), (2001, 300)];

/// The node, and all others when their number has just passed a bound.
fn wake(view: &View, change: &Change) -> Vec<Key> {
    let nodes = view.count(&Node::resource());
    let came = change.before.is_none() && STEPS.iter().any(|(from, _)| *from == nodes);
    let went = change.deletion && STEPS.iter().any(|(from, _)| lower(*from) == nodes);
    if came || went {
        return view.list(&Node::resource(), None).map(|object| object.key.clone()).collect();
    }
    if change.deletion || change.before.is_some() {
        Vec::new()
    } else {
        vec![change.after.key.clone()]
    }
}

/// Below this count the bound is left again.
fn lower(from: usize) -> usize {
    from.saturating_sub(1) * 9 / 10
}

fn plan(view: &View, key: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(node) = view.read::<Node>("", &key.name) else { return plan };
    let has = calls::annotation(&node.metadata, ANNOTATION).and_then(|text| text.parse().ok());
    let want = seconds(view.count(&Node::resource()), has);
    if has != Some(want) {
        let annotations = json!({ ANNOTATION: want.to_string() });
        plan.call(calls::merge::<Node>(
            &node.metadata,
            json!({ "metadata": { "annotations": annotations } }),
        ));
    }
    plan
}

fn seconds(nodes: usize, has: Option<u32>) -> u32 {
    let fits = STEPS.iter().rev().find(|(from, _)| nodes >= *from).map_or(0, |(_, secs)| *secs);
    let kept = STEPS.iter().find(|(from, secs)| has == Some(*secs) && nodes > lower(*from));
    kept.map_or(fits, |(_, secs)| fits.max(*secs))
}
