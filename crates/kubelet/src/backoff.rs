//! When what failed is tried again.

use crate::types::{Failure, PodOp};
use meta::Time;

/// Crash loops and image pulls: 10 s doubling to 5 min (`MaxContainerBackOff`).
const FIRST_SECS: i64 = 10;
const MOST_SECS: i64 = 300;
/// A container that ran this long starts over without a wait.
const HEALED_SECS: i64 = 600;

/// Seconds to wait after `count` failures in a row.
pub(crate) fn delay_secs(count: u32) -> i64 {
    match count {
        0 => 0,
        n => (FIRST_SECS << (n - 1).min(10)).min(MOST_SECS),
    }
}

/// Crashes in a row after one more: none when it had run long enough.
pub(crate) fn crashes_after(before: u32, ran_secs: i64) -> u32 {
    if ran_secs >= HEALED_SECS { 0 } else { before }
}

/// When a failed operation may be tried again. Pulling and starting wait as crash loops do; volumes and sandboxes
/// fail for passing reasons and are tried sooner.
pub(crate) fn retry_at(op: &PodOp, failure: &Failure) -> Time {
    match op {
        PodOp::StartContainer { .. } => failure.at.plus_secs(delay_secs(failure.count)),
        _ => failure.at.plus_ms((500 << (failure.count.saturating_sub(1)).min(8)).min(122_000)),
    }
}

/// Until then a failed pull is shown as the failure it was, from then on as the wait that follows it: about when
/// upstream looks at the pod again.
pub(crate) fn told_at(failure: &Failure) -> Time {
    if failure.reason == "ErrImagePull" { failure.at.plus_secs(1) } else { failure.at }
}
