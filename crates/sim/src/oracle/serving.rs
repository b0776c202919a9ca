//! Rules of Services and of disruption budgets.

use crate::mirror::Mirror;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use std::sync::Arc;
use store::Change;

pub(super) fn ready_only(mirror: &Mirror, change: &Change) -> Result<(), String> {
    if change.deletion {
        return Ok(());
    }
    let slice: Arc<EndpointSlice> = typed::parse(&change.after);
    let before: Option<Arc<EndpointSlice>> = change.before.as_ref().map(|b| typed::parse(b));
    if before.is_some_and(|b| b.endpoints == slice.endpoints) {
        return Ok(());
    }
    let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
    for endpoint in &slice.endpoints {
        let ready = endpoint.conditions.as_ref().and_then(|c| c.ready) != Some(false);
        let target = endpoint.target_ref.as_ref().filter(|t| t.kind.as_deref() == Some("Pod"));
        let (true, Some(name)) = (ready, target.and_then(|t| t.name.as_deref())) else { continue };
        let Some(pod) = mirror.read::<Pod>(namespace, name) else {
            return Err(format!("lists {name}, which is gone"));
        };
        let mut conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
        if !conditions.any(|c| c.type_ == "Ready" && c.status == "True") {
            return Err(format!("lists {name}, which is not ready"));
        }
        if pod.metadata.deletion_timestamp.is_some() {
            return Err(format!("lists {name} as ready, which is on its way out"));
        }
        let address = pod.status.as_ref().and_then(|s| s.pod_ip.clone());
        if !endpoint.addresses.iter().any(|a| Some(a) == address.as_ref()) {
            return Err(format!("lists {name} at {:?}, it is at {address:?}", endpoint.addresses));
        }
    }
    Ok(())
}

/// An eviction takes one disruption, and only where one is left.
pub(super) fn budget(_: &Mirror, change: &Change) -> Result<(), String> {
    let Some(before) = change.before.as_ref().filter(|_| !change.deletion) else { return Ok(()) };
    let parse = |object: &store::Object| typed::parse::<PodDisruptionBudget>(object);
    let (old, new) = (parse(before).status.clone(), parse(&change.after).status.clone());
    let (Some(old), Some(new)) = (old, new) else { return Ok(()) };
    let count = |s: &k8s_openapi::api::policy::v1::PodDisruptionBudgetStatus| {
        s.disrupted_pods.as_ref().map_or(0, |pods| pods.len())
    };
    if new.disruptions_allowed < 0 {
        return Err(format!("{} disruptions allowed", new.disruptions_allowed));
    }
    if count(&new) > count(&old) && old.disruptions_allowed < 1 {
        return Err("evicted with no disruption allowed".into());
    }
    Ok(())
}
