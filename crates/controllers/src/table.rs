//! Every controller.

use crate::plan::Row;

pub static TABLE: &[&Row] = &[
    &crate::cronjob::ROW,
    &crate::daemonset::ROW,
    &crate::deployment::ROW,
    &crate::endpoints::ROW,
    &crate::endpointslice::ROW,
    &crate::endpointslice_mirroring::ROW,
    &crate::garbage::ROW,
    &crate::job::ROW,
    &crate::namespace::ROW,
    &crate::replicaset::ROW,
    &crate::replication::ROW,
    &crate::root_ca::ROW,
    &crate::service_account::ROW,
    &crate::statefulset::ROW,
    &crate::ttl_after_finished::ROW,
];
