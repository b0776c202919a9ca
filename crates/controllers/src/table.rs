//! Every controller.

use crate::plan::Row;

pub static TABLE: &[&Row] = &[&crate::replicaset::ROW];
