//! Small groups: scheduling, coordination, node, certificates.

use crate::core::pod_defaults::set_text;
use crate::row::{KindRow, SubAction, SubRow};
use crate::rows::{field, keep_all_but, version};
use crate::table::{
    AGE, NAME, age, at, col, duration, flag, int, list, name, number, text, text_or,
};
use meta::Value;

pub static PRIORITY_CLASS: KindRow = KindRow::cluster(
    "scheduling.k8s.io",
    "PriorityClass",
    "priorityclasses",
    "priorityclass",
    &[version("v1", "io.k8s.api.scheduling.v1.PriorityClass")],
)
.short(&["pc"])
.counted()
.check(check_priority)
.defaults(|v| set_text(v, "preemptionPolicy", "PreemptLowerPriority"))
.table(
    &[
        NAME,
        col("Value", "integer", ""),
        col("Global-Default", "boolean", ""),
        AGE,
        col("PreemptionPolicy", "string", ""),
    ],
    |v, now| {
        vec![
            name(v),
            number(v, "value"),
            flag(v, "globalDefault").into(),
            age(v, now),
            text(v, "preemptionPolicy").into(),
        ]
    },
)
.sample(
    "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: sample}\nvalue: 7\n",
);

fn check_priority(new: &Value, old: Option<&Value>, faults: &mut Vec<meta::Fault>) {
    crate::check::policy::priority_class(new, faults);
    let Some(old) = old else { return };
    for key in ["value", "preemptionPolicy"] {
        if new[key] != old[key] {
            faults.push(meta::Fault::forbidden(key, "may not be changed in an update."));
        }
    }
}

pub static LEASE: KindRow = KindRow::namespaced(
    "coordination.k8s.io",
    "Lease",
    "leases",
    "lease",
    &[version("v1", "io.k8s.api.coordination.v1.Lease")],
)
.put_creates()
.conditional()
.table(&[NAME, col("Holder", "string", ""), AGE], |v, now| {
    vec![name(v), text(v, "spec.holderIdentity").into(), age(v, now)]
})
.check(crate::check::policy::lease)
.sample(concat!(
    "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: sample}\n",
    "spec: {holderIdentity: h, leaseDurationSeconds: 30}\n"
));

pub static RUNTIME_CLASS: KindRow = KindRow::cluster(
    "node.k8s.io",
    "RuntimeClass",
    "runtimeclasses",
    "runtimeclass",
    &[version("v1", "io.k8s.api.node.v1.RuntimeClass")],
)
.counted()
.table(&[NAME, col("Handler", "string", ""), AGE], |v, now| {
    vec![name(v), text(v, "handler").into(), age(v, now)]
})
.check(crate::check::policy::runtime_class)
.sample(
    "apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {name: sample}\nhandler: runc\n",
);

pub static CERTIFICATE_SIGNING_REQUEST: KindRow = KindRow::cluster(
    "certificates.k8s.io",
    "CertificateSigningRequest",
    "certificatesigningrequests",
    "certificatesigningrequest",
    &[version("v1", "io.k8s.api.certificates.v1.CertificateSigningRequest")],
)
.short(&["csr"])
.named(meta::names::path_segment)
.subresources(&[
    SubRow {
        name: "approval",
        verbs: &["get", "patch", "update"],
        kind: None,
        action: SubAction::Part { keep: keep_approval, check: None },
    },
    SubRow {
        name: "status",
        verbs: &["get", "patch", "update"],
        kind: None,
        action: SubAction::Part { keep: keep_certificate, check: None },
    },
])
.check(crate::check::cluster::request)
.fields(&[field!("spec.signerName")])
.prepare(|new, old| {
    if let Some(old) = old {
        new["spec"] = old["spec"].clone();
    }
})
.table(
    &[
        NAME,
        AGE,
        col("SignerName", "string", ""),
        col("Requestor", "string", ""),
        col("RequestedDuration", "string", ""),
        col("Condition", "string", ""),
    ],
    |v, now| {
        let asked = at(v, "spec.expirationSeconds").map(|_| duration(int(v, "spec.expirationSeconds")));
        vec![
            name(v),
            age(v, now),
            text_or(v, "spec.signerName", "<none>").into(),
            text(v, "spec.username").into(),
            asked.unwrap_or_else(|| "<none>".into()).into(),
            condition(v).into(),
        ]
    },
)
.sample(concat!(
    "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {name: sample}\n",
    "spec: {signerName: example.com/s, usages: [client auth], request: ",
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlITU1ITUNBUUF3RVRFUE1BMEdBMVVFQXd3R2MyRn",
    "RjR3hsTUZrd0V3WUhLb1pJemowQ0FRWUlLb1pJemowRApBUWNEUWdBRU1STXlkT0ZEVkl4N3pVZ3NLbVQ1aTNoNmZq",
    "OVowbHUzODlnV084cHh6UnJtV1pPY01aU3NlNEtICndrcHBGVXI4cHR6WmxyYVNseG5wdXExUGhHeFpDNkFBTUFvR0",
    "NDcUdTTTQ5QkFNQ0Ewa0FNRVlDSVFEVmNtQVYKc1BCUHVDYmljcEJ3dnVGUStGMWZINTV6YXZGN1NWZ29FU3Z0alFJ",
    "aEFNTHFCbUtsNmFGTVY3RWhGUm1xb2JiVAphN1JRQmFOc29SalZ5aXR1NXAzWQotLS0tLUVORCBDRVJUSUZJQ0FURS",
    "BSRVFVRVNULS0tLS0K",
    "}\n"
));

/// Approvers write conditions; the certificate stays.
fn keep_approval(new: &mut Value, old: &Value) {
    let wanted = new.pointer("/status/conditions").cloned();
    keep_all_but(&["metadata"], new, old);
    match wanted {
        Some(wanted) => new["status"]["conditions"] = wanted,
        None => drop(new["status"].as_object_mut().map(|s| s.remove("conditions"))),
    }
}

/// Signers write the certificate; the decision stays (csrStatusStrategy).
fn keep_certificate(new: &mut Value, old: &Value) {
    keep_all_but(&["metadata", "status"], new, old);
    let decided = |c: &&Value| matches!(text(c, "type").as_str(), "Approved" | "Denied");
    let mut conditions: Vec<_> =
        list(old, "status.conditions").iter().filter(decided).cloned().collect();
    conditions.extend(list(new, "status.conditions").iter().filter(|c| !decided(c)).cloned());
    if !conditions.is_empty() {
        new["status"]["conditions"] = conditions.into();
    }
}

/// extractCSRStatus
fn condition(v: &Value) -> String {
    let kinds: Vec<_> = list(v, "status.conditions").iter().map(|c| text(c, "type")).collect();
    let has = |kind: &str| kinds.iter().any(|k| k == kind);
    let mut words = Vec::new();
    if has("Denied") {
        words.push("Denied");
    } else if has("Approved") {
        words.push("Approved");
    } else {
        words.push("Pending");
    }
    if has("Failed") {
        words.push("Failed");
    }
    if !text(v, "status.certificate").is_empty() {
        words.push("Issued");
    }
    words.join(",")
}
