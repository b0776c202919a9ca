//! ValidatingAdmissionPolicies are told that they have been looked at
//! (pkg/controller/validatingadmissionpolicystatus/controller.go).
//!
//! Expressions are checked when the policy is written; type checking against the schemas of what the policy matches,
//! whose warnings upstream puts here, is not done.

use crate::calls;
use crate::plan::{Plan, Row, Wake};
use crate::wakes;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use meta::Time;
use serde_json::json;
use store::{Key, View};
use typed::Read;

pub(crate) static ROW: Row = Row {
    name: "validatingadmissionpolicy-status-controller",
    wakes: &[Wake {
        resource: ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
        keys: wakes::itself,
    }],
    plan,
    refused: None,
    made: None,
};

fn plan(view: &View, key: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(policy) = view.read::<ValidatingAdmissionPolicy>("", &key.name) else { return plan };
    let seen = policy.status.as_ref().and_then(|s| s.observed_generation);
    if seen != policy.metadata.generation && !calls::is_deleting(&policy.metadata) {
        let status = json!({ "status": {
            "observedGeneration": policy.metadata.generation, "typeChecking": {} } });
        plan.call(calls::merge::<ValidatingAdmissionPolicy>(&policy.metadata, status).on("status"));
    }
    plan
}
