//! After healing: the cluster must come to rest as users asked for, in bounded virtual time.

mod demands;

use crate::mirror::Mirror;
use crate::world::{Violation, World};
use meta::Time;
use store::{Change, Key, View};

/// One thing that must be so in the end; names what is not.
pub(crate) struct Demand {
    pub rule: &'static str,
    pub open: fn(&Mirror) -> Option<String>,
}

/// Between looks.
const LOOK_SECS: i64 = 20;

/// # Errors
/// The first demand that is still open when the time is up.
pub(crate) fn demand(world: &mut World) -> Result<(), Violation> {
    let deadline = world.deadline();
    loop {
        let open = first_open(world);
        match open {
            None => return world.compare(&world.server.view()),
            Some((rule, detail)) if world.now >= deadline => {
                return Err(world.violation(rule, detail));
            }
            Some(_) => world.pass_to(world.now.plus_secs(LOOK_SECS))?,
        }
    }
}

fn first_open(world: &World) -> Option<(&'static str, String)> {
    let demands = demands::DEMANDS.iter();
    let mut open = demands.filter_map(|d| (d.open)(&world.mirror).map(|detail| (d.rule, detail)));
    open.next().or_else(|| {
        undone(&world.mirror, &world.server.view(), world.now).map(|d| ("nothing is left to do", d))
    })
}

/// A plan that would still do something, of every key that any object makes due.
fn undone(mirror: &Mirror, view: &View, now: Time) -> Option<String> {
    let all: Vec<_> = view.resources().flat_map(|r| view.list(r, None)).cloned().collect();
    for row in controllers::TABLE {
        let mut seen = std::collections::BTreeSet::new();
        for object in &all {
            let revision = object.revision;
            let change = Change { revision, before: None, after: object.clone(), deletion: false };
            let due =
                row.wakes.iter().filter(|w| w.resource().is_none_or(|r| r == object.key.resource));
            let keys: Vec<Key> = due.flat_map(|wake| (wake.keys)(view, &change)).collect();
            for key in keys.into_iter().filter(|key| seen.insert(key.clone())) {
                let plan = (row.plan)(view, &key, now);
                if plan.calls.iter().any(|call| !waits_for_quota(mirror, call)) {
                    let text: String = plan.to_string().chars().take(400).collect();
                    return Some(format!("{} of {key:?}: {text}", row.name));
                }
            }
        }
    }
    None
}

/// A pod that its namespace's quota refuses is asked for again and again.
fn waits_for_quota(mirror: &Mirror, call: &api::Call) -> bool {
    let pod =
        call.resource.resource().as_str() == "pods" && matches!(call.verb, api::Verb::Create(_));
    pod && demands::is_limited(mirror, &call.namespace)
}
