//! Objects every cluster has besides its namespaces and RBAC policy, as data.
//!
//! Upstream: `pkg/registry/scheduling/rest/storage_scheduling.go`,
//! `pkg/controlplane/controller/defaultservicecidr`.

mod flow;

use meta::{Gvr, Value};
use serde_json::json;

/// What to create when it is missing. All of them are cluster-scoped.
pub fn system_objects() -> Vec<(Gvr, Value)> {
    let class = |name: &str, value: i64, description: &str| {
        let object = json!({
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": { "name": name },
            "value": value,
            "description": description,
        });
        (Gvr::new("scheduling.k8s.io", "v1", "priorityclasses"), object)
    };
    let range = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": { "name": "kubernetes" },
        "spec": { "cidrs": [crate::allocate::DEFAULT_RANGE] },
    });
    let mut all = vec![
        class(
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
        class(
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
        (Gvr::new("networking.k8s.io", "v1", "servicecidrs"), range),
    ];
    all.extend(flow::objects());
    all
}
