//! Rules of rolling updates.

use super::pods::is_over;
use crate::mirror::Mirror;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::sync::Arc;
use store::Change;

struct Rollout {
    deployment: Arc<Deployment>,
    /// All of its sets, as after the change.
    sets: Vec<Arc<ReplicaSet>>,
    /// Asked for by the set that changed, before and after.
    was: i32,
    is: i32,
    uid: Option<String>,
}

fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
}

fn of(mirror: &Mirror, change: &Change) -> Option<Rollout> {
    if change.deletion {
        return None;
    }
    let set: Arc<ReplicaSet> = typed::parse(&change.after);
    let owner = typed::controller_of(&set.metadata)?;
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let deployment = mirror.read::<Deployment>(namespace, &owner.name)?;
    if deployment.metadata.uid.as_ref() != Some(&owner.uid) {
        return None;
    }
    let was = change.before.as_ref().map_or(0, |b| replicas(&typed::parse::<ReplicaSet>(b)));
    let mut sets: Vec<Arc<ReplicaSet>> = mirror
        .owned(&owner.uid)
        .filter(|o| o.key.resource == change.after.key.resource && o.key != change.after.key)
        .map(|object| typed::parse(object))
        .collect();
    let (is, uid) = (replicas(&set), set.metadata.uid.clone());
    sets.push(set);
    Some(Rollout { deployment, sets, was, is, uid })
}

impl Rollout {
    fn wanted(&self) -> i32 {
        self.deployment.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
    }

    fn strategy(&self) -> &str {
        let strategy = self.deployment.spec.as_ref().and_then(|s| s.strategy.as_ref());
        strategy.and_then(|s| s.type_.as_deref()).unwrap_or("RollingUpdate")
    }

    /// maxSurge (rounded up) and maxUnavailable (rounded down; 1 when both are 0).
    fn bounds(&self) -> (i32, i32) {
        let strategy = self.deployment.spec.as_ref().and_then(|s| s.strategy.as_ref());
        let rolling = strategy.and_then(|s| s.rolling_update.clone()).unwrap_or_default();
        let surge = share(rolling.max_surge.as_ref(), self.wanted(), true);
        let away = share(rolling.max_unavailable.as_ref(), self.wanted(), false);
        (surge, if surge == 0 && away == 0 { 1 } else { away })
    }

    fn available(&self) -> i32 {
        self.sets
            .iter()
            .map(|s| {
                let ready = s.status.as_ref().and_then(|s| s.available_replicas).unwrap_or(0);
                ready.min(replicas(s))
            })
            .sum()
    }
}

fn share(of: Option<&IntOrString>, all: i32, up: bool) -> i32 {
    match of {
        None => 0,
        Some(IntOrString::Int(n)) => *n,
        Some(IntOrString::String(text)) => {
            let percent: i32 = text.trim_end_matches('%').parse().unwrap_or(0);
            if up { (all * percent + 99) / 100 } else { all * percent / 100 }
        }
    }
}

pub(super) fn surge(mirror: &Mirror, change: &Change) -> Result<(), String> {
    let Some(r) = of(mirror, change).filter(|r| r.is > r.was) else { return Ok(()) };
    let most = match r.strategy() {
        "Recreate" => r.wanted(),
        _ => r.wanted() + r.bounds().0,
    };
    let total: i32 = r.sets.iter().map(|s| replicas(s)).sum();
    if total > most { Err(format!("{total} replicas in all sets, at most {most}")) } else { Ok(()) }
}

/// Scaling down a set may not take what is needed.
pub(super) fn available(mirror: &Mirror, change: &Change) -> Result<(), String> {
    let Some(r) = of(mirror, change).filter(|r| r.is < r.was) else { return Ok(()) };
    if r.strategy() == "Recreate" || r.deployment.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let least = r.wanted() - r.bounds().1;
    let before = of_before(&r, change);
    if r.available() < least.min(before) {
        return Err(format!("{} left available of {before}, at least {least}", r.available()));
    }
    Ok(())
}

fn of_before(r: &Rollout, change: &Change) -> i32 {
    let old = change.before.as_ref().map(|b| typed::parse::<ReplicaSet>(b));
    let others = r.sets.iter().filter(|s| s.metadata.uid != r.uid);
    others
        .cloned()
        .chain(old)
        .map(|s| {
            let ready = s.status.as_ref().and_then(|s| s.available_replicas).unwrap_or(0);
            ready.min(replicas(&s))
        })
        .sum()
}

pub(super) fn recreate(mirror: &Mirror, change: &Change) -> Result<(), String> {
    let Some(r) = of(mirror, change).filter(|r| r.is > r.was && r.strategy() == "Recreate") else {
        return Ok(());
    };
    for set in r.sets.iter().filter(|s| s.metadata.uid != r.uid) {
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        if let Some(pod) = mirror.pods_of(uid).into_iter().find(|pod| !is_over(pod)) {
            return Err(format!("{:?} of the old template still runs", pod.metadata.name));
        }
    }
    Ok(())
}

pub(super) fn revision(_: &Mirror, change: &Change) -> Result<(), String> {
    let Some(before) = &change.before else { return Ok(()) };
    let number = |object: &store::Object| {
        let deployment: Arc<Deployment> = typed::parse(object);
        let all = deployment.metadata.annotations.clone().unwrap_or_default();
        all.get("deployment.kubernetes.io/revision").and_then(|r| r.parse::<i64>().ok())
    };
    match (number(before), number(&change.after)) {
        (Some(old), Some(new)) if new < old => Err(format!("revision {old} became {new}")),
        _ => Ok(()),
    }
}
