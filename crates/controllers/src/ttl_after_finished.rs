//! Jobs that ended are removed when their time to live is over
//! (pkg/controller/ttlafterfinished/ttlafterfinished_controller.go).

use crate::plan::{Plan, Row, Wake};
use crate::{calls, job, wakes};
use api::{Call, DeleteOptions, Propagation, Verb};
use k8s_openapi::api::batch::v1::Job;
use meta::Time;
use store::{Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "ttl-after-finished-controller",
    wakes: &[Wake { resource: ("batch", "jobs"), keys: wakes::itself }],
    plan,
    refused: None,
    made: None,
};

fn plan(view: &View, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(job) = view.read::<Job>(&key.namespace, &key.name) else { return plan };
    let Some(due) = due(&job).filter(|_| !calls::is_deleting(&job.metadata)) else { return plan };
    if due > now {
        plan.wake_at(due);
        return plan;
    }
    let options = DeleteOptions {
        uid: job.metadata.uid.clone(),
        propagation: Some(Propagation::Foreground),
        ..DeleteOptions::default()
    };
    plan.call(Call::new(Verb::Delete(options), Job::gvr(), &key.namespace, &key.name));
    plan
}

/// When a finished job's time is over; `None` for one that runs or stays.
fn due(job: &Job) -> Option<Time> {
    let ttl = job.spec.as_ref()?.ttl_seconds_after_finished?;
    let kind = job::ending(job)?;
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let end = conditions.iter().find(|c| c.type_ == kind && c.status == "True")?;
    Some(typed::time(end.last_transition_time.as_ref()?).plus_secs(ttl.into()))
}
