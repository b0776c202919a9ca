//! Which volume suits a claim best (persistentvolume/index.go, component-helpers/storage/volume).

use crate::calls;
use crate::pods::Selector;
use k8s_openapi::api::core::v1::{
    PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeSpec,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;
use meta::Quantity;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::View;
use typed::Read;

/// The older spelling of `storageClassName`.
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// `None` when the claim leaves the class open.
pub(super) fn class_of(claim: &PersistentVolumeClaim) -> Option<&str> {
    calls::annotation(&claim.metadata, CLASS)
        .or_else(|| claim.spec.as_ref().and_then(|s| s.storage_class_name.as_deref()))
}

fn class_of_volume(volume: &PersistentVolume) -> &str {
    calls::annotation(&volume.metadata, CLASS)
        .or_else(|| volume.spec.as_ref().and_then(|s| s.storage_class_name.as_deref()))
        .unwrap_or_default()
}

fn storage(map: Option<&BTreeMap<String, Written>>) -> Quantity {
    let text = map.and_then(|m| m.get("storage")).map_or("0", |q| q.0.as_str());
    Quantity::parse(text).unwrap_or_default()
}

pub(super) fn asked(claim: &PersistentVolumeClaimSpec) -> Quantity {
    storage(claim.resources.as_ref().and_then(|r| r.requests.as_ref()))
}

pub(super) fn capacity(volume: &PersistentVolumeSpec) -> Quantity {
    storage(volume.capacity.as_ref())
}

/// Whether the volume is meant for exactly this claim.
pub(super) fn is_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let Some(reference) = volume.spec.as_ref().and_then(|s| s.claim_ref.as_ref()) else {
        return false;
    };
    reference.name == claim.metadata.name
        && reference.namespace == claim.metadata.namespace
        && reference.uid.as_ref().is_none_or(|uid| Some(uid) == claim.metadata.uid.as_ref())
}

/// One meant for the claim, else the smallest free one that suits; `taken` are about to be bound.
pub(super) fn best(
    view: &View,
    claim: &PersistentVolumeClaim,
    taken: &[String],
) -> Option<Arc<PersistentVolume>> {
    let spec = claim.spec.as_ref()?;
    let free =
        |volume: &PersistentVolume| !taken.iter().any(|n| *n == calls::name(&volume.metadata));
    let volumes: Vec<_> = view
        .read_all::<PersistentVolume>(None)
        .filter(|v| !calls::is_deleting(&v.metadata) && free(v))
        .collect();
    if let Some(meant) = volumes.iter().find(|v| is_for(v, claim)) {
        return Some(meant.clone());
    }
    let mut suiting: Vec<_> = volumes.into_iter().filter(|v| suits(v, claim, spec)).collect();
    suiting.sort_by(|a, b| {
        let of = |v: &PersistentVolume| v.spec.as_ref().map(capacity).unwrap_or_default();
        of(a).partial_cmp(&of(b)).unwrap_or(std::cmp::Ordering::Equal)
    });
    suiting.into_iter().next()
}

fn suits(
    volume: &PersistentVolume,
    claim: &PersistentVolumeClaim,
    wanted: &PersistentVolumeClaimSpec,
) -> bool {
    let Some(spec) = &volume.spec else { return false };
    let phase = volume.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or("Available");
    let modes = wanted.access_modes.as_deref().unwrap_or_default();
    let offered = spec.access_modes.as_deref().unwrap_or_default();
    let mode = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "Filesystem".into());
    let selected = wanted
        .selector
        .as_ref()
        .is_none_or(|s| Selector::of_all(s).matches(volume.metadata.labels.as_ref()));
    let class = class_of(claim).unwrap_or_default();
    spec.claim_ref.is_none()
        && matches!(phase, "Available" | "Pending" | "")
        && modes.iter().all(|mode| offered.contains(mode))
        && mode(&wanted.volume_mode) == mode(&spec.volume_mode)
        && class == class_of_volume(volume)
        && selected
        && wanted.volume_attributes_class_name == spec.volume_attributes_class_name
        && capacity(spec) >= asked(wanted)
}
