//! One decision each: objects in, the plan's text out.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::START;
use meta::Value;
use store::{Draft, Expect, Key, Op, Options, Store, Txn, View, Volatile};

/// A snapshot of exactly these objects, as if the API had stored them.
fn view(yaml: &str) -> View {
    let store = Store::inline(Box::new(Volatile), Options::new(api::heads())).unwrap();
    let ops = cluster::documents(yaml).into_iter().enumerate().map(|(at, mut value)| {
        let metadata = &mut value["metadata"];
        if metadata["uid"].is_null() {
            metadata["uid"] = format!("u{at}").into();
        }
        if metadata["creationTimestamp"].is_null() {
            metadata["creationTimestamp"] = START.rfc3339().into();
        }
        let namespace = cluster::namespace_of(&value);
        if !namespace.is_empty() {
            value["metadata"]["namespace"] = namespace.clone().into();
        }
        let name = value["metadata"]["name"].as_str().unwrap();
        let key = Key::new(&cluster::gvr_of(&value).resource(), &namespace, name);
        let head = (api::heads().parse)(&key, value.to_string().as_bytes());
        Op::Put { draft: Draft::new(key, head, value), expect: Expect::Any }
    });
    store.commit(Txn { ops: ops.collect() }).unwrap();
    store.view()
}

/// Plans `key` (`services/default/web`) with every row of the name and compares the text.
fn check(row: &str, yaml: &str, key: &str, expected: &str) {
    let view = view(yaml);
    let (gvr, namespace, name) = cluster::parse_path(key);
    let key = Key::new(&gvr.resource(), &namespace, &name);
    let rows = controllers::TABLE.iter().filter(|r| r.name == row);
    let text: String = rows.map(|row| (row.plan)(&view, &key, START).to_string()).collect();
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let text: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!(text, expected, "\n{}\n", text.join("\n"));
}

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]}
status:
  phase: Running
  podIP: 10.244.0.5
  podIPs: [{ip: 10.244.0.5}]
  conditions: [{type: Ready, status: \"True\", lastTransitionTime: 2026-01-01T00:00:00Z}]
---
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {topology.kubernetes.io/zone: z}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.9, ports: [{name: w, port: 80, targetPort: http}], selector: {app: web}}
";

#[test]
fn endpoint_slice() {
    check(
        "endpointslice-controller",
        POD,
        "services/default/web",
        r#"create endpointslices default/ {"addressType":"IPv4","apiVersion":"discovery.k8s.io/v1","endpoints":[{"addresses":["10.244.0.5"],"conditions":{"ready":true,"serving":true,"terminating":false},"nodeName":"n1","targetRef":{"kind":"Pod","name":"p","namespace":"default","uid":"u0"},"zone":"z"}],"kind":"EndpointSlice","metadata":{"generateName":"web-","labels":{"endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io","kubernetes.io/service-name":"web"},"ownerReferences":[{"apiVersion":"v1","blockOwnerDeletion":true,"controller":true,"kind":"Service","name":"web","uid":"u2"}]},"ports":[{"name":"w","port":8080,"protocol":"TCP"}]}"#,
    );
}

#[test]
fn endpoint_slice_of_nobody() {
    check(
        "endpointslice-controller",
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: None, selector: {a: b}}}",
        "services/default/web",
        r#"create endpointslices default/ {"addressType":"IPv4","apiVersion":"discovery.k8s.io/v1","endpoints":[],"kind":"EndpointSlice","metadata":{"generateName":"web-","labels":{"endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io","kubernetes.io/service-name":"web","service.kubernetes.io/headless":""},"ownerReferences":[{"apiVersion":"v1","blockOwnerDeletion":true,"controller":true,"kind":"Service","name":"web","uid":"u0"}]},"ports":[]}"#,
    );
}

#[test]
fn endpoints() {
    check(
        "endpoint-controller",
        POD,
        "services/default/web",
        r#"create endpoints default/ {"apiVersion":"v1","kind":"Endpoints","metadata":{"annotations":{},"labels":{"endpoints.kubernetes.io/managed-by":"endpoint-controller"},"name":"web"},"subsets":[{"addresses":[{"ip":"10.244.0.5","nodeName":"n1","targetRef":{"kind":"Pod","name":"p","namespace":"default","uid":"u0"}}],"ports":[{"name":"w","port":8080,"protocol":"TCP"}]}]}"#,
    );
}

#[test]
fn mirrored_endpoints() {
    check(
        "endpointslicemirroring-controller",
        "
{apiVersion: v1, kind: Service, metadata: {name: db}, spec: {ports: [{port: 5432}]}}
---
apiVersion: v1
kind: Endpoints
metadata: {name: db}
subsets: [{addresses: [{ip: 192.0.2.7}], ports: [{port: 5432}]}]
",
        "endpoints/default/db",
        r#"create endpointslices default/ {"addressType":"IPv4","apiVersion":"discovery.k8s.io/v1","endpoints":[{"addresses":["192.0.2.7"],"conditions":{"ready":true}}],"kind":"EndpointSlice","metadata":{"generateName":"db-","labels":{"endpointslice.kubernetes.io/managed-by":"endpointslicemirroring-controller.k8s.io","kubernetes.io/service-name":"db"},"ownerReferences":[{"apiVersion":"v1","blockOwnerDeletion":true,"controller":true,"kind":"Endpoints","name":"db","uid":"u1"}]},"ports":[{"name":"","port":5432,"protocol":"TCP"}]}"#,
    );
}

#[test]
fn default_account() {
    check(
        "service-account-controller",
        "{apiVersion: v1, kind: Namespace, metadata: {name: x}}",
        "namespaces/x",
        r#"create serviceaccounts x/ {"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default","namespace":"x"}}"#,
    );
    check(
        "service-account-controller",
        "{apiVersion: v1, kind: Namespace, metadata: {name: x, deletionTimestamp: 2026-01-01T00:00:00Z}}",
        "namespaces/x",
        "",
    );
}

#[test]
fn dangling_owner() {
    let dependent = |uid: &str| {
        format!(
            "
{{apiVersion: v1, kind: ConfigMap, metadata: {{name: owner}}}}
---
apiVersion: v1
kind: Secret
metadata:
  name: mine
  ownerReferences: [{{apiVersion: v1, kind: ConfigMap, name: owner, uid: {uid}}}]
"
        )
    };
    check("generic-garbage-collector", &dependent("u0"), "secrets/default/mine", "");
    check(
        "generic-garbage-collector",
        &dependent("other"),
        "secrets/default/mine",
        r#"delete secrets default/mine DeleteOptions { grace_secs: None, uid: Some("u1"), resource_version: Some("2"), propagation: Some(Background) }"#,
    );
}

#[test]
fn unknown_owner_kinds_are_left_alone() {
    check(
        "generic-garbage-collector",
        "
apiVersion: v1
kind: Secret
metadata:
  name: mine
  ownerReferences: [{apiVersion: example.com/v1, kind: Thing, name: owner, uid: u9}]
",
        "secrets/default/mine",
        "",
    );
}

#[test]
fn one_owner_of_two_waits_for_dependents() {
    check(
        "generic-garbage-collector",
        "
{apiVersion: v1, kind: ConfigMap, metadata: {name: stays}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: goes, deletionTimestamp: 2026-01-01T00:00:00Z, finalizers: [foregroundDeletion]}
---
apiVersion: v1
kind: Secret
metadata:
  name: mine
  ownerReferences:
  - {apiVersion: v1, kind: ConfigMap, name: stays, uid: u0}
  - {apiVersion: v1, kind: ConfigMap, name: goes, uid: u1}
",
        "secrets/default/mine",
        r#"patch secrets default/mine {"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"stays","uid":"u0"}],"resourceVersion":"3","uid":"u2"}}"#,
    );
}

#[test]
fn job_counts_in_three_steps() {
    let pod = |finalizers: &str| {
        format!(
            "
apiVersion: v1
kind: Pod
metadata:
  name: p
  labels: {{job: j}}
  finalizers: {finalizers}
  ownerReferences: [{{apiVersion: batch/v1, kind: Job, name: j, uid: u1, controller: true}}]
spec: {{containers: [{{name: c, image: i}}]}}
status: {{phase: Succeeded}}
---
apiVersion: batch/v1
kind: Job
metadata: {{name: j}}
spec:
  completions: 2
  parallelism: 1
  selector: {{matchLabels: {{job: j}}}}
  template: {{metadata: {{labels: {{job: j}}}}, spec: {{containers: [{{name: c, image: i}}]}}}}
"
        )
    };
    let held = "[batch.kubernetes.io/job-tracking]";
    let create = r#"create pods default/ {"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{},"finalizers":["batch.kubernetes.io/job-tracking"],"generateName":"j-","labels":{"job":"j"},"ownerReferences":[{"apiVersion":"batch/v1","blockOwnerDeletion":true,"controller":true,"kind":"Job","name":"j","uid":"u1"}]},"spec":{"containers":[{"image":"i","name":"c"}]}}"#;
    let enter = r#"patch jobs/status default/j {"metadata":{"resourceVersion":"2","uid":"u1"},"status":{"ready":0,"startTime":"2026-01-01T00:00:00Z","terminating":0,"uncountedTerminatedPods":{"failed":[],"succeeded":["u0"]}}}"#;
    check("job-controller", &pod(held), "jobs.batch/default/j", &format!("{create}\n{enter}"));
    let stored = "status: {ready: 0, terminating: 0, startTime: 2026-01-01T00:00:00Z, \
                  uncountedTerminatedPods: {succeeded: [u0]}}\n";
    let untrack = r#"patch pods default/p {"metadata":{"$deleteFromPrimitiveList/finalizers":["batch.kubernetes.io/job-tracking"],"uid":"u0"}}"#;
    let second = format!("{}{stored}", pod(held));
    check("job-controller", &second, "jobs.batch/default/j", &format!("{untrack}\n{create}"));
    let count = r#"patch jobs/status default/j {"metadata":{"uid":"u1"},"status":{"succeeded":1,"uncountedTerminatedPods":{"succeeded":[]}}}"#;
    let third = format!("{}{stored}", pod("[]"));
    let count = count.replace(r#"{"uid":"u1"}"#, r#"{"resourceVersion":"2","uid":"u1"}"#);
    check("job-controller", &third, "jobs.batch/default/j", &format!("{create}\n{count}"));
}

#[test]
fn namespace_conditions() {
    let text = plan_text(
        "namespace-controller",
        "
apiVersion: v1
kind: Namespace
metadata: {name: x, deletionTimestamp: 2026-01-01T00:00:00Z}
spec: {finalizers: [kubernetes]}
status: {phase: Terminating}
---
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: x}}
",
        "namespaces/x",
    );
    assert!(text.contains("delete secrets x/s"), "{text}");
    assert!(text.contains("NamespaceContentRemaining"), "{text}");
    assert!(!text.contains("namespaces/finalize"), "{text}");
}

fn plan_text(row: &str, yaml: &str, key: &str) -> String {
    let (gvr, namespace, name) = cluster::parse_path(key);
    let key = Key::new(&gvr.resource(), &namespace, &name);
    let row = controllers::TABLE.iter().find(|r| r.name == row).unwrap();
    (row.plan)(&view(yaml), &key, START).to_string()
}

#[test]
fn bootstrap_tokens_expire() {
    let secret = |when: &str| {
        use serde_json::json;
        let encoded = when; // base64 of the time
        let value: Value = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
            "metadata": { "name": "bootstrap-token-a", "namespace": "kube-system" },
            "data": { "expiration": encoded },
        });
        value.to_string()
    };
    // 2025-12-31T00:00:00Z and 2026-01-02T00:00:00Z
    let key = "secrets/kube-system/bootstrap-token-a";
    let past = plan_text("token-cleaner", &secret("MjAyNS0xMi0zMVQwMDowMDowMFo="), key);
    assert!(past.starts_with("delete secrets"), "{past}");
    let future = plan_text("token-cleaner", &secret("MjAyNi0wMS0wMlQwMDowMDowMFo="), key);
    assert_eq!(future.trim(), "wake 2026-01-02T00:00:00Z");
}

#[test]
fn a_pod_tolerates_a_taint_for_a_while() {
    let pod = |secs: i64| {
        format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: p}}
spec:
  nodeName: n1
  containers: [{{name: c, image: i}}]
  tolerations: [{{key: k, operator: Exists, effect: NoExecute, tolerationSeconds: {secs}}}]
---
apiVersion: v1
kind: Node
metadata: {{name: n1}}
spec: {{taints: [{{key: k, effect: NoExecute, timeAdded: 2026-01-01T00:00:00Z}}]}}
"
        )
    };
    let row = "taint-eviction-controller";
    check(row, &pod(30), "pods/default/p", "wake 2026-01-01T00:00:30Z");
    check(
        row,
        &pod(0),
        "pods/default/p",
        r#"patch pods/status default/p {"metadata":{"uid":"u0"},"status":{"conditions":[{"lastTransitionTime":"2026-01-01T00:00:00Z","message":"Taint manager: deleting due to NoExecute taint","reason":"DeletionByTaintManager","status":"True","type":"DisruptionTarget"}]}}
           delete pods default/p DeleteOptions { grace_secs: None, uid: Some("u0"), resource_version: None, propagation: None }
           event Normal TaintManagerEviction: Marking for deletion Pod default/p"#,
    );
}

/// Every row has a name, and no plan minds a key that does not exist.
#[test]
fn every_row_survives_missing_objects() {
    let view = view("{apiVersion: v1, kind: Namespace, metadata: {name: default}}");
    for row in controllers::TABLE {
        for wake in row.wakes {
            let resource = wake.resource().unwrap_or_else(|| meta::Resource::new("", "pods"));
            let plan = (row.plan)(&view, &Key::new(&resource, "default", "nothing"), START);
            assert!(plan.is_empty(), "{}: {plan}", row.name);
        }
    }
}
