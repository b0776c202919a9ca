//! Replacing pods of older templates (update.go `rollingUpdate`).

use super::{Place, Set, hash};
use crate::deployment::{Round, scaled};
use crate::plan::Plan;
use crate::{calls, pods};
use k8s_openapi::api::apps::v1::RollingUpdateDaemonSet;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

fn strategy<'a>(set: &'a Set<'_>) -> Option<&'a RollingUpdateDaemonSet> {
    set.spec.update_strategy.as_ref()?.rolling_update.as_ref()
}

fn desired(set: &Set<'_>) -> i32 {
    i32::try_from(set.places.iter().filter(|p| p.runs).count()).unwrap_or(i32::MAX)
}

/// How many nodes may have a second, newer pod for a while.
pub(super) fn surge(set: &Set<'_>) -> i32 {
    scaled(strategy(set).and_then(|r| r.max_surge.as_ref()), desired(set), Round::Up)
}

fn unavailable(set: &Set<'_>) -> i32 {
    match strategy(set).and_then(|r| r.max_unavailable.as_ref()) {
        None => 1,
        some => scaled(some, desired(set), Round::Up),
    }
}

pub(super) fn roll(set: &Set<'_>, plan: &mut Plan) {
    match surge(set) {
        0 => replace(set, unavailable(set).max(1), plan),
        surge => overlap(set, surge, plan),
    }
}

/// The up-to-date and the outdated pod of a node; `None` when there are too many for either.
fn pair(set: &Set<'_>, place: &Place) -> Option<(Option<Arc<Pod>>, Option<Arc<Pod>>)> {
    let alive = place.pods.iter().filter(|p| pods::is_active(p)).cloned();
    let (new, old): (Vec<_>, Vec<_>) = alive.partition(|pod| hash(pod) == set.history.hash);
    (new.len() <= 1 && old.len() <= 1).then(|| (new.into_iter().next(), old.into_iter().next()))
}

/// Old pods go while enough others serve; those that do not serve anyway go at once.
fn replace(set: &Set<'_>, most: i32, plan: &mut Plan) {
    let (mut out, mut candidates) = (0, Vec::new());
    for place in set.places.iter().filter(|p| p.runs) {
        match pair(set, place) {
            Some((Some(new), None)) => {
                if !set.is_available(&new) {
                    out += 1;
                    wake_when_available(set, &new, plan);
                }
            }
            Some((None, Some(old))) if set.is_available(&old) => candidates.push(old),
            Some((None, Some(old))) => {
                out += 1;
                plan.call(calls::delete::<Pod>(&old.metadata));
            }
            _ => out += 1,
        }
    }
    let budget = usize::try_from(most - out).unwrap_or(0);
    for pod in candidates.into_iter().take(budget) {
        plan.call(calls::delete::<Pod>(&pod.metadata));
    }
}

/// New pods stand beside old ones, which go when the new ones serve.
fn overlap(set: &Set<'_>, most: i32, plan: &mut Plan) {
    let (mut surging, mut candidates) = (0, Vec::new());
    for place in set.places.iter().filter(|p| p.runs) {
        match pair(set, place) {
            Some((Some(new), Some(old))) if set.is_available(&new) => {
                plan.call(calls::delete::<Pod>(&old.metadata));
            }
            Some((Some(new), Some(_))) => {
                surging += 1;
                wake_when_available(set, &new, plan);
            }
            Some((None, Some(old))) if set.is_available(&old) => candidates.push(place),
            // It does not serve: its successor takes nothing away.
            Some((None, Some(_))) => set.create(place, plan),
            _ => {}
        }
    }
    let budget = usize::try_from(most - surging).unwrap_or(0);
    candidates.into_iter().take(budget).for_each(|place| set.create(place, plan));
}

fn wake_when_available(set: &Set<'_>, pod: &Pod, plan: &mut Plan) {
    if let Some(at) = pods::available_at(pod, set.min_ready()).filter(|at| *at > set.now) {
        plan.wake_at(at);
    }
}
