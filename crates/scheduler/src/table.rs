//! Every plugin, in upstream's order and with upstream's weights
//! (pkg/scheduler/apis/config/v1/default_plugins.go).

use crate::decide::{Cycle, Rejection};
use crate::node::NodeView;
use crate::plugins::{
    fit, image, interpod, node_affinity, node_name, node_ports, spread, taints, unschedulable,
    volumes,
};

/// One plugin: filters nodes, scores them, or both.
pub struct Plugin {
    pub name: &'static str,
    /// Why the node will not do; empty when it will.
    pub filter: Option<fn(&Cycle<'_>, &NodeView) -> Vec<Rejection>>,
    pub score: Option<Score>,
    pub weight: i64,
    /// What may make a pod that this plugin rejected schedulable.
    pub wakes: &'static [Wake],
}

#[derive(Clone, Copy)]
pub struct Score {
    /// Whether this pod makes the plugin score at all.
    pub applies: fn(&Cycle<'_>) -> bool,
    pub raw: fn(&Cycle<'_>, &NodeView) -> i64,
    pub normalise: Normalise,
}

/// How raw scores become 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalise {
    Not,
    ByMost,
    ByMostReversed,
    Span,
    Spread,
}

impl Normalise {
    /// The raw score of a node that scores nothing, whatever the others have (`Spread` only).
    pub const IGNORED: i64 = -1;
}

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// A node appeared or changed.
    Node,
    /// A placed pod went away or shrank.
    PodGone,
    /// A pod was placed or changed its labels.
    PodCame,
    /// A volume, claim or class changed.
    Volume,
}

pub static PLUGINS: &[&Plugin] = &[
    &unschedulable::PLUGIN,
    &node_name::PLUGIN,
    &taints::PLUGIN,
    &node_affinity::PLUGIN,
    &node_ports::PLUGIN,
    &fit::PLUGIN,
    &volumes::PLUGIN,
    &spread::PLUGIN,
    &interpod::PLUGIN,
    &fit::BALANCED,
    &image::PLUGIN,
];
