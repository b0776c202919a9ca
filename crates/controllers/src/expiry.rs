//! Objects whose time runs out: certificate requests (pkg/controller/certificates/cleaner/cleaner.go) and bootstrap
//! tokens (pkg/controller/bootstrap/tokencleaner.go).

use crate::calls;
use crate::plan::{Plan, Row, Wake};
use crate::wakes;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::Secret;
use meta::Time;
use store::{Key, View};
use typed::Read;

pub(crate) static REQUESTS: Row = Row {
    name: "certificate-controller",
    wakes: &[Wake {
        resource: ("certificates.k8s.io", "certificatesigningrequests"),
        keys: wakes::itself,
    }],
    plan: plan_request,
    refused: None,
    made: None,
};

pub(crate) static TOKENS: Row = Row {
    name: "token-cleaner",
    wakes: &[Wake { resource: ("", "secrets"), keys: wakes::itself }],
    plan: plan_token,
    refused: None,
    made: None,
};

/// Decided requests are kept for an hour, undecided ones for a day.
const DECIDED_SECS: i64 = 3600;
const PENDING_SECS: i64 = 24 * 3600;

fn plan_request(view: &View, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(request) = view.read::<CertificateSigningRequest>("", &key.name) else { return plan };
    let due = due(&request);
    if due > now {
        plan.wake_at(due);
    } else {
        plan.call(calls::delete::<CertificateSigningRequest>(&request.metadata));
    }
    plan
}

fn due(request: &CertificateSigningRequest) -> Time {
    let created = request.metadata.creation_timestamp.as_ref().map(typed::time).unwrap_or_default();
    let status = request.status.as_ref();
    let conditions = status.and_then(|s| s.conditions.as_ref()).into_iter().flatten();
    let issued = status.is_some_and(|s| s.certificate.is_some());
    // An approved request waits for its certificate for as long as an undecided one.
    let decided = conditions.filter(|c| matches!(c.type_.as_str(), "Denied" | "Failed") || issued);
    let decided = decided.filter_map(|c| c.last_update_time.as_ref()).max().map(typed::time);
    decided.map_or(created.plus_secs(PENDING_SECS), |at| at.plus_secs(DECIDED_SECS))
}

fn plan_token(view: &View, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(secret) = view.read::<Secret>(&key.namespace, &key.name) else { return plan };
    let ours = &*key.namespace == "kube-system"
        && secret.type_.as_deref() == Some("bootstrap.kubernetes.io/token");
    let expiry = secret.data.as_ref().and_then(|data| data.get("expiration"));
    let Some(expiry) = expiry.filter(|_| ours) else { return plan };
    // What cannot be read has expired, as upstream holds it.
    let due = std::str::from_utf8(&expiry.0).ok().and_then(Time::parse).unwrap_or_default();
    if due > now {
        plan.wake_at(due);
    } else {
        plan.call(calls::delete::<Secret>(&secret.metadata));
    }
    plan
}
