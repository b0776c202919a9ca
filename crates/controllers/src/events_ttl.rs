//! Events are kept for an hour after they were last seen (kube-apiserver `--event-ttl`).

use crate::plan::{Plan, Row, Wake};
use crate::{calls, wakes};
use k8s_openapi::api::core::v1::Event;
use meta::Time;
use store::{Key, View};
use typed::Read;

pub(crate) static ROW: Row = Row {
    name: "event-ttl-controller",
    wakes: &[Wake { resource: ("", "events"), keys: wakes::itself }],
    plan,
    refused: None,
    made: None,
};

const TTL_SECS: i64 = 3600;

fn plan(view: &View, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(event) = view.read::<Event>(&key.namespace, &key.name) else { return plan };
    let due = last_seen(&event).plus_secs(TTL_SECS);
    if due > now {
        plan.wake_at(due);
    } else {
        plan.call(calls::delete::<Event>(&event.metadata));
    }
    plan
}

fn last_seen(event: &Event) -> Time {
    let micro = |at: Option<i64>| at.map(Time);
    let series = event.series.as_ref().and_then(|s| s.last_observed_time.as_ref());
    let series = micro(series.map(|at| at.0.as_microsecond()));
    let made = micro(event.event_time.as_ref().map(|at| at.0.as_microsecond()));
    let last = event.last_timestamp.as_ref().map(typed::time);
    let created = event.metadata.creation_timestamp.as_ref().map(typed::time);
    series.max(made).max(last).max(created).unwrap_or_default()
}
