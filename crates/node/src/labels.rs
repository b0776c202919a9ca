//! What sandboxes and containers carry so that a new round recognises them.

use kubelet::ContainerKind;
use std::collections::BTreeMap;

pub(crate) const POD_UID: &str = "io.kubernetes.pod.uid";
pub(crate) const POD_NAME: &str = "io.kubernetes.pod.name";
pub(crate) const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
pub(crate) const CONTAINER: &str = "io.kubernetes.container.name";
pub(crate) const ATTEMPT: &str = "io.boxship.attempt";
pub(crate) const CRASHES: &str = "io.boxship.crashes";
pub(crate) const SPEC_HASH: &str = "io.boxship.spec-hash";
pub(crate) const KIND: &str = "io.boxship.kind";

pub(crate) type Labels = BTreeMap<String, String>;

pub(crate) fn number<T: std::str::FromStr + Default>(labels: &Labels, key: &str) -> T {
    labels.get(key).and_then(|text| text.parse().ok()).unwrap_or_default()
}

pub(crate) const fn kind_text(kind: ContainerKind) -> &'static str {
    match kind {
        ContainerKind::Init => "init",
        ContainerKind::Sidecar => "sidecar",
        ContainerKind::App => "app",
        ContainerKind::Ephemeral => "ephemeral",
    }
}
