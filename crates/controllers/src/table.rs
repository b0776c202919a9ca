//! Every controller.

use crate::plan::Row;

pub static TABLE: &[&Row] = &[&crate::deployment::ROW, &crate::replicaset::ROW];
