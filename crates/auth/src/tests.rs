//! Tokens, authenticators, nodes and impersonation together.

use crate::testing::view;
use crate::*;
use meta::{Identity, Time, Value};
use proptest::prelude::*;
use serde_json::json;
use store::{Key, View};

const NOW: Time = Time::from_secs(1_800_000_000);
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

fn keys() -> TokenKeys {
    TokenKeys::new(ISSUER, include_bytes!("../tests/data/sa.pk8"), Vec::new()).expect("a sound key")
}

fn objects() -> Vec<(&'static str, Value)> {
    vec![
        ("serviceaccounts", json!({ "metadata": { "name": "s", "namespace": "a", "uid": "u1" } })),
        ("nodes", json!({ "metadata": { "name": "n", "uid": "u3" } })),
        (
            "pods",
            json!({
                "metadata": { "name": "p", "namespace": "a", "uid": "u2" },
                "spec": {
                    "nodeName": "n", "serviceAccountName": "s",
                    "volumes": [{ "secret": { "secretName": "sec" } }],
                    "containers": [{ "envFrom": [{ "configMapRef": { "name": "cm" } }] }],
                },
            }),
        ),
    ]
}

fn token(view: &View, spec: Value) -> Value {
    let keys = keys();
    let key = Key::new(&meta::Resource::new("", "serviceaccounts"), "a", "s");
    let account = view.get(&key).expect("the account");
    let plan =
        plan_token(account, &json!({ "spec": spec }), &keys.audiences, view).expect("a plan");
    mint(plan, &keys, "id-1", NOW)
}

fn bound_to_pod() -> Value {
    json!({ "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u2" } })
}

fn identify(token: &str, view: &View, now: Time) -> Result<Identity, Unauthenticated> {
    let authorization = format!("Bearer {token}");
    let credentials = Credentials { certificate: None, authorization: &authorization };
    Authenticator::default().identify(credentials, Some(&keys()), view, now)
}

#[test]
fn a_pods_token_names_account_pod_and_node() {
    let view = view(&objects());
    let answer = token(&view, bound_to_pod());
    assert_eq!(answer["status"]["expirationTimestamp"], "2027-01-15T09:00:00Z");
    let text = answer["status"]["token"].as_str().expect("a token");
    let who = identify(text, &view, NOW).expect("an identity");
    assert_eq!(
        user_info(&who),
        json!({
            "username": "system:serviceaccount:a:s",
            "uid": "u1",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"],
            "extra": {
                "authentication.kubernetes.io/credential-id": ["JTI=id-1"],
                "authentication.kubernetes.io/node-name": ["n"],
                "authentication.kubernetes.io/node-uid": ["u3"],
                "authentication.kubernetes.io/pod-name": ["p"],
                "authentication.kubernetes.io/pod-uid": ["u2"],
            },
        })
    );
}

#[test]
fn a_token_dies_with_its_time_its_pod_and_its_key() {
    let all = view(&objects());
    let answer = token(&all, bound_to_pod());
    let text = answer["status"]["token"].as_str().expect("a token");
    let late = NOW.plus_secs(3600 + 61);
    let expired = "[invalid bearer token, service account token has expired]";
    assert_eq!(identify(text, &all, late), Err(Unauthenticated(expired.into())));
    let mut fewer = objects();
    fewer.pop();
    let gone = "[invalid bearer token, service account token has been invalidated]";
    assert_eq!(identify(text, &view(&fewer), NOW), Err(Unauthenticated(gone.into())));
    let (head, signature) = text.rsplit_once('.').expect("three parts");
    let flipped = signature.replacen(['A', 'B', 'C'], "D", 1);
    assert!(identify(&format!("{head}.{flipped}"), &all, NOW).is_err());
}

#[test]
fn other_audiences_are_not_for_this_server_but_reviewable() {
    let view = view(&objects());
    let answer = token(&view, json!({ "audiences": ["vault"] }));
    let text = answer["status"]["token"].as_str().expect("a token");
    assert!(identify(text, &view, NOW).is_err());
    let review = json!({ "spec": { "token": text, "audiences": ["vault", "other"] } });
    let keys = keys();
    let done =
        token_review(review, &Authenticator::default(), Some(&keys), &view, NOW).expect("a review");
    assert_eq!(done["status"]["authenticated"], true);
    assert_eq!(done["status"]["audiences"], json!(["vault"]));
}

#[test]
fn requests_for_odd_tokens_are_refused() {
    let view = view(&objects());
    let key = Key::new(&meta::Resource::new("", "serviceaccounts"), "a", "s");
    let account = view.get(&key).expect("the account");
    let refused = |spec: Value| {
        plan_token(account, &json!({ "spec": spec }), &[], &view).expect_err("a refusal").message
    };
    assert_eq!(
        refused(json!({ "expirationSeconds": 5 })),
        "TokenRequest.authentication.k8s.io \"s\" is invalid: spec.expirationSeconds: \
         Invalid value: 5: may not specify a duration less than 10 minutes"
    );
    let kind =
        json!({ "boundObjectRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "d" } });
    assert_eq!(refused(kind), "cannot bind token to object of type apps/v1, Kind=Deployment");
    let pod = json!({ "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": "q" } });
    assert_eq!(refused(pod), "pods \"q\" not found");
}

#[test]
fn nodes_read_what_their_pods_use() {
    let view = view(&objects());
    let node = |name: &str| Identity {
        name: format!("system:node:{name}"),
        groups: vec!["system:nodes".into(), "system:authenticated".into()],
        ..Identity::default()
    };
    let access = |resource, name| Access {
        verb: "get",
        resource,
        name,
        namespace: "a",
        version: "v1",
        ..Access::default()
    };
    let ask =
        |who: &str, access: Access<'_>| Authority::default().decide(&node(who), &access, &view);
    assert!(ask("n", access("secrets", "sec")).allowed());
    assert!(ask("n", access("configmaps", "cm")).allowed());
    assert!(ask("n", access("pods", "p")).allowed());
    assert!(
        ask("n", Access { verb: "create", subresource: "token", ..access("serviceaccounts", "s") })
            .allowed()
    );
    assert!(
        ask("n", Access { verb: "patch", subresource: "status", ..access("nodes", "n") }).allowed()
    );
    let all = Access { verb: "list", namespace: "", name: "", ..access("pods", "") };
    assert!(!ask("n", all).allowed());
    assert!(ask("n", Access { field_selector: "spec.nodeName=n", ..all }).allowed());
    assert_eq!(
        ask("m", access("secrets", "sec")),
        Decision::NoOpinion("no relationship found between node 'm' and this object".into())
    );
}

#[test]
fn impersonation_needs_the_right_for_every_part() {
    let view = view(&[]);
    let authority = Authority::default();
    let root = Identity {
        name: "root".into(),
        groups: vec!["system:masters".into()],
        ..Identity::default()
    };
    let wanted =
        Impersonation { user: "system:serviceaccount:a:s".into(), ..Impersonation::default() };
    let who = impersonate(&wanted, &root, &authority, &view).expect("allowed");
    assert_eq!(who.groups, Identity::service_account("a", "s").groups);
    let jane = Identity { name: "jane".into(), ..Identity::default() };
    let wanted = Impersonation { user: "joe".into(), ..Impersonation::default() };
    let refused = impersonate(&wanted, &jane, &authority, &view).expect_err("refused");
    assert_eq!(
        refused.message,
        "users \"joe\" is forbidden: User \"jane\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
    );
}

#[test]
fn static_and_bootstrap_tokens_name_their_users() {
    let encode =
        |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let secret = json!({
        "metadata": { "name": "bootstrap-token-abcdef", "namespace": "kube-system" },
        "type": "bootstrap.kubernetes.io/token",
        "data": {
            "token-id": encode("abcdef"), "token-secret": encode("0123456789abcdef"),
            "usage-bootstrap-authentication": encode("true"),
            "expiration": encode("2027-01-15T09:00:00Z"),
            "auth-extra-groups": encode("system:bootstrappers:kubeadm,evil"),
        },
    });
    let view = view(&[("secrets", secret)]);
    let who = identify("abcdef.0123456789abcdef", &view, NOW).expect("an identity");
    assert_eq!(who.name, "system:bootstrap:abcdef");
    assert_eq!(
        who.groups,
        ["system:bootstrappers", "system:bootstrappers:kubeadm", "system:authenticated"]
    );
    assert!(identify("abcdef.0123456789abcdef", &view, NOW.plus_secs(9 * 3600)).is_err());
    let tokens = StaticTokens::parse("t1,jane,7,\"dev,ops\"\n").expect("a table");
    assert_eq!(tokens.find("t1").expect("jane").groups, ["dev", "ops"]);
    assert_eq!(tokens.find("t2"), None);
    assert!(StaticTokens::parse("t1,jane").is_err());
}

proptest! {
    #[test]
    fn hostile_credentials_never_panic(token in "[ -~]{0,80}|([A-Za-z0-9_=-]{0,40}\\.){0,4}") {
        let view = view(&[]);
        prop_assert!(identify(&["x", &token].concat(), &view, NOW).is_err());
        let _ = StaticTokens::parse(&token);
        let _ = identity_of_certificate(token.as_bytes());
    }
}
