//! Webhook configurations, admission policies, nodes, certificate requests, flow control.

use super::{faults, object, refused};

fn webhook(more: &str) -> String {
    format!(
        "{{kind: ValidatingWebhookConfiguration, metadata: {{name: w}}, webhooks: [{{name: a.example.com, sideEffects: None, \
         admissionReviewVersions: [v1], clientConfig: {{url: 'https://x/y'}}, {more}}}]}}"
    )
}

#[test]
fn webhooks() {
    refused(&[
        (webhook("timeoutSeconds: 3"), ""),
        (
            webhook("timeoutSeconds: 31").replace("a.example.com", "example.com"),
            "webhooks[0].name: Invalid value: \"example.com\": should be a domain with at least three segments separated by dots\n\
             webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
        ),
        (
            webhook(
                "rules: [{operations: ['*', CREATE], apiGroups: [''], apiVersions: [v1], resources: [pods]}]",
            ),
            "webhooks[0].rules[0].operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not specify other operations",
        ),
        (
            webhook("failurePolicy: Maybe").replace("url: 'https://x/y'", ""),
            "webhooks[0].failurePolicy: Unsupported value: \"Maybe\": supported values: \"Fail\", \"Ignore\"\n\
             webhooks[0].clientConfig: Required value: exactly one of url or service is required",
        ),
        (
            webhook("x: 1").replace("https://x/y", "http://x"),
            "webhooks[0].clientConfig.url: Invalid value: \"http://x\": 'https' is the only allowed URL scheme; desired format: https://host[:port]/path",
        ),
    ]);
}

#[test]
fn admission_policies() {
    refused(&[
        (
            "{kind: ValidatingAdmissionPolicy, metadata: {name: p}, spec: {}}".into(),
            "spec.matchConstraints: Required value\n\
             spec.validations: Required value: validations or auditAnnotations must contain at least one item\n\
             spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
        ),
        (
            "{kind: ValidatingAdmissionPolicyBinding, metadata: {name: b}, spec: {policyName: p, validationActions: [Deny, Warn]}}".into(),
            "spec.validationActions: Invalid value: [\"Deny\",\"Warn\"]: must not contain both Deny and Warn (repeating the same \
             validation failure information in the API response and headers serves no purpose)",
        ),
    ]);
}

#[test]
fn nodes() {
    refused(&[(
        "{kind: Node, metadata: {name: n}, spec: {taints: [{key: a, effect: NoSchedule}, {key: a, effect: NoSchedule}, {key: b, effect: Odd}]}}".into(),
        "spec.taints[1]: Duplicate value: {\"effect\":\"NoSchedule\",\"key\":\"a\"}\n\
         spec.taints[2].effect: Unsupported value: \"Odd\": supported values: \"NoExecute\", \"NoSchedule\", \"PreferNoSchedule\"",
    )]);
    let node = |id: &str| {
        object(&format!("{{kind: Node, metadata: {{name: n}}, spec: {{providerID: {id}}}}}"))
    };
    let told = faults(&node("b"), Some(&node("a")));
    assert_eq!(
        told,
        [
            "spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid"
        ]
    );
}

#[test]
fn certificate_requests() {
    refused(&[(
        "{kind: CertificateSigningRequest, metadata: {name: c}, spec: {request: eA==, usages: [client auth, odd], signerName: x, expirationSeconds: 5}}".into(),
        "spec.request: Invalid value: \"eA==\": PEM block type must be CERTIFICATE REQUEST\n\
         spec.usages[1]: Unsupported value: \"odd\": supported values: \"any\", \"cert sign\", \"client auth\", \"code signing\", \
         \"content commitment\", \"crl sign\", \"data encipherment\", \"decipher only\", \"digital signature\", \"email protection\", \
         \"encipher only\", \"ipsec end system\", \"ipsec tunnel\", \"ipsec user\", \"key agreement\", \"key encipherment\", \
         \"microsoft sgc\", \"netscape sgc\", \"ocsp signing\", \"s/mime\", \"server auth\", \"signing\", \"timestamping\"\n\
         spec.signerName: Invalid value: \"x\": must be a fully qualified domain and path of the form 'example.com/signer-name'\n\
         spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 600 seconds (10 minutes)",
    )]);
}

#[test]
fn flow_control() {
    refused(&[
        (
            "{kind: FlowSchema, metadata: {name: f}, spec: {matchingPrecedence: 1, distinguisherMethod: {type: Odd}}}".into(),
            "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1\n\
             spec.distinguisherMethod.type: Unsupported value: \"Odd\": supported values: \"ByNamespace\", \"ByUser\"\n\
             spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
        ),
        (
            "{kind: PriorityLevelConfiguration, metadata: {name: p}, spec: {type: Limited, limited: {limitResponse: {type: Queue, queuing: {queues: 2, handSize: 3}}}}}".into(),
            "spec.limited.limitResponse.queuing.handSize: Invalid value: 3: should not be greater than queues (2)",
        ),
    ]);
}

#[test]
fn what_every_cluster_has_is_valid() {
    for (gvr, value) in crate::system_objects() {
        let row = crate::TABLE.iter().find(|row| *row.plural == *gvr.resource).unwrap();
        let mut found = Vec::new();
        let mut value = value;
        if let Some(default) = row.hooks.default {
            default(&mut value);
        }
        if let Some(check) = row.hooks.check {
            check(&value, None, &mut found);
        }
        assert!(found.is_empty(), "{value} {found:?}");
    }
}
