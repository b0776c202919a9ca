//! authentication.k8s.io/v1 and authorization.k8s.io/v1: questions that are answered, not stored.

use crate::access::{Attributes, Decision};
use crate::row::{Hooks, KindRow, Review};
use crate::rows::version;
use crate::table::{at, list, plain, text};
use meta::{Identity, Problem, Value};
use serde_json::json;
use std::collections::BTreeMap;

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

const fn answered(
    row: KindRow,
    review: fn(&mut Value, &Review<'_>) -> Result<(), Problem>,
) -> KindRow {
    row.hooks(Hooks { review: Some(review), ..Hooks::NONE }).question()
}

pub static TOKEN_REVIEW: KindRow = answered(
    KindRow::cluster(
        AUTHENTICATION,
        "TokenReview",
        "tokenreviews",
        "tokenreview",
        &[version("v1", "io.k8s.api.authentication.v1.TokenReview")],
    ),
    |v, review| {
        *v = review.tokens.review(v.take(), review.now, review.view)?;
        Ok(())
    },
);

pub static SELF_SUBJECT_REVIEW: KindRow = answered(
    KindRow::cluster(
        AUTHENTICATION,
        "SelfSubjectReview",
        "selfsubjectreviews",
        "selfsubjectreview",
        &[version("v1", "io.k8s.api.authentication.v1.SelfSubjectReview")],
    ),
    |v, review| {
        v["status"] = json!({ "userInfo": user_info(review.identity) });
        v["metadata"] = json!({ "creationTimestamp": review.now.rfc3339() });
        Ok(())
    },
);

/// `authentication/v1 UserInfo`
fn user_info(identity: &Identity) -> Value {
    let mut info = json!({ "username": identity.name });
    if !identity.uid.is_empty() {
        info["uid"] = identity.uid.clone().into();
    }
    if !identity.groups.is_empty() {
        info["groups"] = json!(identity.groups);
    }
    if !identity.extra.is_empty() {
        info["extra"] = json!(identity.extra);
    }
    info
}

pub static SUBJECT_ACCESS_REVIEW: KindRow = answered(
    KindRow::cluster(
        AUTHORIZATION,
        "SubjectAccessReview",
        "subjectaccessreviews",
        "subjectaccessreview",
        &[version("v1", "io.k8s.api.authorization.v1.SubjectAccessReview")],
    ),
    |v, review| decide(v, review, &subject(v)),
);

pub static LOCAL_SUBJECT_ACCESS_REVIEW: KindRow = answered(
    KindRow::namespaced(
        AUTHORIZATION,
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        "localsubjectaccessreview",
        &[version("v1", "io.k8s.api.authorization.v1.LocalSubjectAccessReview")],
    ),
    |v, review| {
        let asked = text(v, "spec.resourceAttributes.namespace");
        if asked != review.namespace {
            let why = format!("must match metadata.namespace: {}", review.namespace);
            let fault = meta::Fault::invalid("spec.resourceAttributes.namespace", asked, why);
            return Err(Problem::invalid(AUTHORIZATION, "LocalSubjectAccessReview", "", &[fault]));
        }
        decide(v, review, &subject(v))
    },
);

pub static SELF_SUBJECT_ACCESS_REVIEW: KindRow = answered(
    KindRow::cluster(
        AUTHORIZATION,
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        "selfsubjectaccessreview",
        &[version("v1", "io.k8s.api.authorization.v1.SelfSubjectAccessReview")],
    ),
    |v, review| decide(v, review, review.identity),
);

pub static SELF_SUBJECT_RULES_REVIEW: KindRow = answered(
    KindRow::cluster(
        AUTHORIZATION,
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
        "selfsubjectrulesreview",
        &[version("v1", "io.k8s.api.authorization.v1.SelfSubjectRulesReview")],
    ),
    |v, review| {
        let namespace = text(v, "spec.namespace");
        if namespace.is_empty() {
            return Err(Problem::bad_request("no namespace on request"));
        }
        v["status"] = review.authorizer.rules(review.identity, &namespace, review.view);
        Ok(())
    },
);

fn subject(v: &Value) -> Identity {
    let texts = |v: &Value| v.as_array().into_iter().flatten().map(plain).collect();
    let extra = at(v, "spec.extra").and_then(Value::as_object);
    Identity {
        name: text(v, "spec.user"),
        uid: text(v, "spec.uid"),
        groups: list(v, "spec.groups").iter().map(plain).collect(),
        extra: extra
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.to_lowercase(), texts(v)))
            .collect::<BTreeMap<_, _>>(),
    }
}

fn decide(v: &mut Value, review: &Review<'_>, who: &Identity) -> Result<(), Problem> {
    let (resource, path) = (at(v, "spec.resourceAttributes"), at(v, "spec.nonResourceAttributes"));
    let attributes = match (resource, path) {
        (Some(at), None) => resource_attributes(at),
        (None, Some(at)) => {
            Attributes { verb: text(at, "verb"), path: text(at, "path"), ..Attributes::default() }
        }
        _ => {
            let why =
                "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            let fault = meta::Fault::invalid("spec.resourceAttributes", Value::Null, why);
            return Err(Problem::invalid(AUTHORIZATION, &text(v, "kind"), "", &[fault]));
        }
    };
    v["status"] = match review.authorizer.decide(&attributes, who, review.view) {
        Decision::Allow { reason } => noted(json!({ "allowed": true }), reason),
        Decision::Deny { reason } => noted(json!({ "allowed": false }), reason),
    };
    Ok(())
}

fn noted(mut status: Value, reason: String) -> Value {
    if !reason.is_empty() {
        status["reason"] = reason.into();
    }
    status
}

fn resource_attributes(at: &Value) -> Attributes {
    Attributes {
        verb: text(at, "verb"),
        group: text(at, "group"),
        version: text(at, "version"),
        resource: text(at, "resource"),
        subresource: text(at, "subresource"),
        namespace: text(at, "namespace"),
        name: text(at, "name"),
        ..Attributes::default()
    }
}
