//! VolumeBinding's and VolumeZone's word on claims (plugins/volumebinding/).
//!
//! Claims that wait for their first consumer are left to whoever provisions on the chosen node; this plugin makes
//! sure that what is bound already can be reached from there.

use super::reject_for_good;
use crate::decide::{Cycle, Rejection};
use crate::node::NodeView;
use crate::table::{Plugin, Wake};
use crate::terms::NodeTerm;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use std::borrow::Cow;
use std::sync::Arc;
use typed::Read;

const NAME: &str = "VolumeBinding";

pub(crate) static PLUGIN: Plugin = Plugin {
    name: NAME,
    filter: Some(filter),
    score: None,
    weight: 0,
    wakes: &[Wake::Node, Wake::Volume],
};

/// What is wrong with the pod's claims whatever the node (upstream's `PreFilter`).
pub(crate) fn refused(cycle: &Cycle<'_>) -> Option<Rejection> {
    let wrong = |name: &String| -> Option<Cow<'static, str>> {
        let namespace = &cycle.pod.key.namespace;
        let Some(claim) = cycle.view.read::<PersistentVolumeClaim>(namespace, name) else {
            return Some(format!("persistentvolumeclaim {name:?} not found").into());
        };
        if claim.metadata.deletion_timestamp.is_some() {
            return Some(format!("persistentvolumeclaim {name:?} is being deleted").into());
        }
        let unbound = volume(cycle, &claim).is_none() && !waits(cycle, &claim);
        unbound.then(|| "pod has unbound immediate PersistentVolumeClaims".into())
    };
    let reason = cycle.pod.claims.iter().find_map(wrong)?;
    Some(Rejection { plugin: NAME, reason, resolvable: false })
}

fn filter(cycle: &Cycle<'_>, node: &NodeView) -> Vec<Rejection> {
    for name in &cycle.pod.claims {
        let claim = cycle.view.read::<PersistentVolumeClaim>(&cycle.pod.key.namespace, name);
        let volume = claim.and_then(|claim| volume(cycle, &claim));
        if volume.is_some_and(|volume| !is_reachable(&volume, node)) {
            return reject_for_good(NAME, "node(s) had volume node affinity conflict");
        }
    }
    Vec::new()
}

fn volume(cycle: &Cycle<'_>, claim: &PersistentVolumeClaim) -> Option<Arc<PersistentVolume>> {
    let name = claim.spec.as_ref()?.volume_name.as_deref().filter(|name| !name.is_empty())?;
    cycle.view.read::<PersistentVolume>("", name)
}

/// `WaitForFirstConsumer`: the claim is bound after the pod has a node.
fn waits(cycle: &Cycle<'_>, claim: &PersistentVolumeClaim) -> bool {
    let class = claim.spec.as_ref().and_then(|s| s.storage_class_name.as_deref());
    let class = class.and_then(|name| cycle.view.read::<StorageClass>("", name));
    class.is_some_and(|c| c.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"))
}

fn is_reachable(volume: &PersistentVolume, node: &NodeView) -> bool {
    let affinity = volume.spec.as_ref().and_then(|s| s.node_affinity.as_ref());
    let Some(required) = affinity.and_then(|a| a.required.as_ref()) else { return true };
    let mut terms = required.node_selector_terms.iter().map(NodeTerm::of);
    terms.any(|term| term.matches(&node.name, &node.labels))
}
