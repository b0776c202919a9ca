//! admissionregistration.k8s.io/v1: webhook configurations and admission policies.

use crate::core::pod_defaults::{each, set, set_text};
use crate::row::KindRow;
use crate::rows::{STATUS, version};
use crate::table::{AGE, NAME, age, at, col, count, name, text};
use meta::Value;
use serde_json::json;

const GROUP: &str = "admissionregistration.k8s.io";
const CATEGORY: &[&str] = &["api-extensions"];

macro_rules! v1 {
    ($kind:literal) => {
        &[version("v1", concat!("io.k8s.api.admissionregistration.v1.", $kind))]
    };
}

pub static VALIDATING_WEBHOOK: KindRow = KindRow::cluster(
    GROUP,
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    "validatingwebhookconfiguration",
    v1!("ValidatingWebhookConfiguration"),
)
.categories(CATEGORY)
.counted()
.conditional()
.check(crate::check::registration::webhooks)
.defaults(|v| each(v, "webhooks").for_each(default_webhook))
.table(
    &[NAME, col("Webhooks", "integer", "Webhooks indicates the number of webhooks registered in this configuration"), AGE],
    |v, now| vec![name(v), count(v, "webhooks").into(), age(v, now)],
)
.sample(concat!(
    "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: sample}\n",
    "webhooks: [{name: w.example.com, admissionReviewVersions: [v1], sideEffects: None, ",
    "clientConfig: {service: {namespace: default, name: s}}}]\n"
));

pub static MUTATING_WEBHOOK: KindRow = KindRow::cluster(
    GROUP,
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    "mutatingwebhookconfiguration",
    v1!("MutatingWebhookConfiguration"),
)
.categories(CATEGORY)
.counted()
.conditional()
.check(crate::check::registration::webhooks)
.defaults(|v| {
    each(v, "webhooks").for_each(|hook| {
        default_webhook(hook);
        set_text(hook, "reinvocationPolicy", "Never");
    });
})
.table(
    &[NAME, col("Webhooks", "integer", "Webhooks indicates the number of webhooks registered in this configuration"), AGE],
    |v, now| vec![name(v), count(v, "webhooks").into(), age(v, now)],
)
.sample(concat!(
    "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {name: sample}\n",
    "webhooks: [{name: w.example.com, admissionReviewVersions: [v1], sideEffects: None, ",
    "clientConfig: {service: {namespace: default, name: s}}}]\n"
));

/// SetDefaults_ValidatingWebhook, SetDefaults_Rule, SetDefaults_ServiceReference.
fn default_webhook(hook: &mut Value) {
    set_text(hook, "failurePolicy", "Fail");
    set_text(hook, "matchPolicy", "Equivalent");
    set(hook, "namespaceSelector", json!({}));
    set(hook, "objectSelector", json!({}));
    set(hook, "timeoutSeconds", 10);
    each(hook, "rules").for_each(|rule| set(rule, "scope", "*"));
    if let Some(service) = hook.pointer_mut("/clientConfig/service") {
        set(service, "port", 443);
    }
}

pub static VALIDATING_POLICY: KindRow = KindRow::cluster(
    GROUP,
    "ValidatingAdmissionPolicy",
    "validatingadmissionpolicies",
    "validatingadmissionpolicy",
    v1!("ValidatingAdmissionPolicy"),
)
.categories(CATEGORY)
.subresources(&[STATUS])
.counted()
.conditional()
.check(crate::check::registration::policy)
.defaults(|v| {
    if let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) {
        set_text(spec, "failurePolicy", "Fail");
        if let Some(constraints) = spec.get_mut("matchConstraints") {
            default_match(constraints);
        }
    }
})
.table(
    &[
        NAME,
        col("Validations", "integer", "Validations indicates the number of validation rules defined in this configuration"),
        col("ParamKind", "string", "ParamKind specifies the kind of resources used to parameterize this policy"),
        AGE,
    ],
    |v, now| {
        let kind = match at(v, "spec.paramKind") {
            Some(kind) => format!("{}/{}", text(kind, "apiVersion"), text(kind, "kind")),
            None => "<unset>".into(),
        };
        vec![name(v), count(v, "spec.validations").into(), kind.into(), age(v, now)]
    },
)
.sample(concat!(
    "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: sample}\n",
    "spec: {validations: [{expression: 'true'}], matchConstraints: {resourceRules: [{apiGroups: [''], ",
    "apiVersions: [v1], operations: [CREATE], resources: [pods]}]}}\n"
));

fn default_match(v: &mut Value) {
    set_text(v, "matchPolicy", "Equivalent");
    set(v, "namespaceSelector", json!({}));
    set(v, "objectSelector", json!({}));
    for rules in ["resourceRules", "excludeResourceRules"] {
        each(v, rules).for_each(|rule| set(rule, "scope", "*"));
    }
}

pub static VALIDATING_POLICY_BINDING: KindRow = KindRow::cluster(
    GROUP,
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybindings",
    "validatingadmissionpolicybinding",
    v1!("ValidatingAdmissionPolicyBinding"),
)
.categories(CATEGORY)
.counted()
.conditional()
.check(crate::check::registration::binding)
.defaults(|v| {
    if let Some(resources) = v.pointer_mut("/spec/matchResources") {
        default_match(resources);
    }
})
.table(
    &[
        NAME,
        col("PolicyName", "string", "PolicyName indicates the policy definition which the policy binding binded to"),
        col("ParamRef", "string", "ParamRef indicates the param resource which sets the configration param"),
        AGE,
    ],
    |v, now| {
        let parameter = match at(v, "spec.paramRef") {
            Some(it) => match (text(it, "namespace"), text(it, "name")) {
                (space, name) if space.is_empty() => format!("*/{name}"),
                (space, name) => format!("{space}/{name}"),
            },
            None => "<unset>".into(),
        };
        vec![name(v), text(v, "spec.policyName").into(), parameter.into(), age(v, now)]
    },
)
.sample(concat!(
    "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {name: sample}\n",
    "spec: {policyName: p, validationActions: [Deny]}\n"
));
