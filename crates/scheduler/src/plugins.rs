//! One file per plugin.

pub(crate) mod fit;
pub(crate) mod image;
pub(crate) mod interpod;
pub(crate) mod node_affinity;
pub(crate) mod node_name;
pub(crate) mod node_ports;
pub(crate) mod spread;
pub(crate) mod taints;
pub(crate) mod unschedulable;
pub(crate) mod volumes;

use crate::decide::Rejection;
use std::borrow::Cow;

/// One reason; removing pods from the node can help.
pub(crate) fn reject(plugin: &'static str, reason: impl Into<Cow<'static, str>>) -> Vec<Rejection> {
    vec![Rejection { plugin, reason: reason.into(), resolvable: true }]
}

/// One reason that no removal of pods changes.
pub(crate) fn reject_for_good(
    plugin: &'static str,
    reason: impl Into<Cow<'static, str>>,
) -> Vec<Rejection> {
    vec![Rejection { plugin, reason: reason.into(), resolvable: false }]
}
