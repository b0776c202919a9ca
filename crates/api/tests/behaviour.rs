//! Behaviours of the generic machinery that clients and the conformance suite rely on.

#![allow(clippy::unwrap_used)]

mod server;

use api::Method;
use serde_json::{Value, json};
use server::Server;

const PODS: &str = "/api/v1/namespaces/default/pods";
const CONFIG: &str = "/api/v1/namespaces/default/configmaps";

fn config(name: &str) -> String {
    json!({ "metadata": { "name": name }, "data": { "a": "b" } }).to_string()
}

#[test]
fn lists_come_in_pages_of_one_revision() {
    let server = Server::new();
    for i in 0..5 {
        server.post(CONFIG, &config(&format!("c{i}"))).expect_code(201);
    }
    let first = server.get(&format!("{CONFIG}?limit=2")).expect_code(200);
    assert_eq!(first.body["metadata"]["remainingItemCount"], 3);
    server.post(CONFIG, &config("c9")).expect_code(201);
    let token = first.text("/metadata/continue").to_string();
    let second = server.get(&format!("{CONFIG}?limit=3&continue={token}")).expect_code(200);
    assert_eq!(second.version(), first.version());
    assert_eq!(second.body["items"].as_array().unwrap().len(), 3);
    assert!(second.body["metadata"].get("remainingItemCount").is_none());
    assert!(second.body["metadata"].get("continue").is_none());
}

#[test]
fn expired_tokens_go_on_inconsistently() {
    let server = Server::new();
    for i in 0..3 {
        server.post(CONFIG, &config(&format!("c{i}"))).expect_code(201);
    }
    let first = server.get(&format!("{CONFIG}?limit=1")).expect_code(200);
    server.post(CONFIG, &config("c3")).expect_code(201);
    server.store.compact(server.store.view().revision());
    let token = first.text("/metadata/continue").to_string();
    let gone = server.get(&format!("{CONFIG}?limit=1&continue={token}")).expect_code(410);
    assert_eq!(gone.text("/reason"), "Expired");
    let fresh = gone.text("/metadata/continue").to_string();
    let rest = server.get(&format!("{CONFIG}?limit=9&continue={fresh}")).expect_code(200);
    let names: Vec<_> = rest.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["metadata"]["name"].clone())
        .collect();
    assert_eq!(names, ["c1", "c2", "c3"]);
}

#[test]
fn strict_validation_names_the_fields() {
    let server = Server::new();
    let body = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","unknownMeta":1},
        "spec":{"unknownField":1,"replicas":1,"replicas":2,"selector":{"matchLabels":{"a":"b"}},
        "template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}"#;
    let url = "/apis/apps/v1/namespaces/default/deployments";
    let refused = server.post(&format!("{url}?fieldValidation=Strict"), body).expect_code(400);
    let text = refused.text("/message");
    for part in [
        "strict decoding error: ",
        "unknown field \"spec.unknownField\"",
        "duplicate field \"spec.replicas\"",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let warned = server.post(&format!("{url}?fieldValidation=Warn"), body).expect_code(201);
    assert!(warned.headers.iter().any(|(k, _)| *k == "warning"));
}

#[test]
fn stale_updates_conflict_and_equal_ones_change_nothing() {
    let server = Server::new();
    let made = server.post(CONFIG, &config("c")).expect_code(201);
    let url = format!("{CONFIG}/c");
    let mut body = made.body.clone();
    body["data"]["a"] = "c".into();
    let put = server.put(&url, &body).expect_code(200);
    let stale = server.put(&url, &body).expect_code(409);
    assert_eq!(stale.text("/reason"), "Conflict");
    assert!(stale.text("/message").contains("the object has been modified"));
    let again = server.patch("merge-patch+json", &url, r#"{"data":{"a":"c"}}"#).expect_code(200);
    assert_eq!(again.version(), put.version());
}

#[test]
fn graceful_deletion_marks_and_finalizers_hold() {
    let server = Server::new();
    let pod = r#"{"metadata":{"name":"p"},"spec":{"nodeName":"n1","containers":[{"name":"c","image":"i"}]}}"#;
    server.post(PODS, pod).expect_code(201);
    let url = format!("{PODS}/p");
    let marked = server.delete(&url).expect_code(200);
    assert_eq!(marked.body["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(marked.body["metadata"]["generation"], 2);
    server.delete(&format!("{url}?gracePeriodSeconds=0")).expect_code(200);
    server.get(&url).expect_code(404);

    let held = r#"{"metadata":{"name":"h","finalizers":["example.com/hold"]}}"#;
    server.post(CONFIG, held).expect_code(201);
    let url = format!("{CONFIG}/h");
    let marked = server.delete(&url).expect_code(200);
    assert_eq!(marked.text("/kind"), "ConfigMap");
    server.patch("merge-patch+json", &url, r#"{"metadata":{"finalizers":[]}}"#).expect_code(200);
    server.get(&url).expect_code(404);
}

#[test]
fn watches_follow_selectors() {
    let server = Server::new();
    let plan = server.watch(&format!("{CONFIG}?watch=1&labelSelector=on=yes"));
    let url = format!("{CONFIG}/c");
    server.post(CONFIG, &config("c")).expect_code(201);
    for value in [r#""yes""#, r#""no""#, r#""yes""#] {
        let patch = format!(r#"{{"metadata":{{"labels":{{"on":{value}}}}}}}"#);
        server.patch("merge-patch+json", &url, &patch).expect_code(200);
    }
    server.delete(&url).expect_code(200);
    let frames = server.frames(&plan);
    let kinds: Vec<_> = frames.iter().map(|f| f["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ADDED", "DELETED", "ADDED", "DELETED"]);
    let versions: Vec<u64> = frames
        .iter()
        .map(|f| f["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(versions.is_sorted(), "{versions:?}");
}

#[test]
fn initial_events_end_with_a_bookmark() {
    let server = Server::new();
    let query =
        "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let frames = server.frames(&server.watch(&format!("{CONFIG}?{query}")));
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0]["type"], "BOOKMARK");
    let notes = &frames[0]["object"]["metadata"]["annotations"];
    assert_eq!(notes["k8s.io/initial-events-end"], "true");
    let bad = server.get(&format!("{CONFIG}?watch=1&sendInitialEvents=true")).expect_code(422);
    assert_eq!(bad.text("/reason"), "Invalid");
}

#[test]
fn scale_and_eviction_and_binding() {
    let server = Server::new();
    let body = r#"{"metadata":{"name":"d"},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"}},
        "template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}"#;
    let all = "/apis/apps/v1/namespaces/default/deployments";
    server.post(all, body).expect_code(201);
    let url = format!("{all}/d/scale");
    let scale = server.get(&url).expect_code(200);
    assert_eq!(scale.body["spec"]["replicas"], 2);
    assert_eq!(scale.text("/status/selector"), "a=b");
    let scaled =
        server.patch("merge-patch+json", &url, r#"{"spec":{"replicas":5}}"#).expect_code(200);
    assert_eq!(scaled.text("/kind"), "Scale");
    assert_eq!(server.get(&format!("{all}/d")).body["spec"]["replicas"], 5);

    server
        .post(PODS, r#"{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}"#)
        .expect_code(201);
    let binding = r#"{"metadata":{"name":"p"},"target":{"kind":"Node","name":"n1"}}"#;
    server.post(&format!("{PODS}/p/binding"), binding).expect_code(201);
    assert_eq!(server.get(&format!("{PODS}/p")).text("/spec/nodeName"), "n1");
    server.post(&format!("{PODS}/p/binding"), binding).expect_code(409);
    server.post(&format!("{PODS}/p/eviction"), r#"{"metadata":{"name":"p"}}"#).expect_code(201);
    let evicted = server.get(&format!("{PODS}/p")).expect_code(200);
    assert_eq!(evicted.body["metadata"]["deletionGracePeriodSeconds"], 30);
}

#[test]
fn custom_resources_are_kinds_like_any_other() {
    let server = Server::new();
    let definition = json!({
        "metadata": { "name": "foos.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": { "plural": "foos", "kind": "Foo", "shortNames": ["fo"] },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "additionalPrinterColumns": [{ "name": "Size", "type": "integer", "jsonPath": ".spec.size" }],
                "selectableFields": [{ "jsonPath": ".spec.color" }],
                "schema": { "openAPIV3Schema": { "type": "object", "properties": {
                    "spec": { "type": "object", "properties": {
                        "size": { "type": "integer", "default": 3 }, "color": { "type": "string" } } },
                    "status": { "type": "object", "properties": { "ok": { "type": "boolean" } } } } } },
            }],
        },
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let made = server.post(definitions, &definition.to_string()).expect_code(201);
    let conditions = made.body["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|c| c["type"] == "Established" && c["status"] == "True"));
    let all = "/apis/example.com/v1/namespaces/default/foos";
    let foo = r#"{"apiVersion":"example.com/v1","kind":"Foo","metadata":{"name":"a"},"spec":{"color":"red","x":1},"status":{"ok":true}}"#;
    let made = server.post(all, foo).expect_code(201);
    assert_eq!(made.body["spec"], json!({ "color": "red", "size": 3 }));
    assert!(made.body.get("status").is_none());
    assert_eq!(made.body["metadata"]["generation"], 1);
    let red = server.get(&format!("{all}?fieldSelector=spec.color=red")).expect_code(200);
    assert_eq!(red.body["items"].as_array().unwrap().len(), 1);
    server.get(&format!("{all}?fieldSelector=spec.size=3")).expect_code(400);
    server
        .patch("merge-patch+json", &format!("{all}/a/status"), r#"{"status":{"ok":true}}"#)
        .expect_code(200);
    server.patch("strategic-merge-patch+json", &format!("{all}/a"), "{}").expect_code(415);
    let list = server.get("/apis/example.com/v1").expect_code(200);
    assert_eq!(list.body["resources"][0]["name"], "foos");
    // An instance with a finalizer holds the definition; the others go with it.
    server
        .post(all, r#"{"apiVersion":"example.com/v1","kind":"Foo","metadata":{"name":"held","finalizers":["example.com/hold"]},"spec":{"size":1}}"#)
        .expect_code(201);
    server.delete(&format!("{definitions}/foos.example.com")).expect_code(200);
    let left = server.get(&format!("{definitions}/foos.example.com")).expect_code(200);
    let finalizers = &left.body["metadata"]["finalizers"];
    assert_eq!(finalizers, &json!(["customresourcecleanup.apiextensions.k8s.io"]));
    server.get(&format!("{all}/a")).expect_code(404);
    let late = r#"{"apiVersion":"example.com/v1","kind":"Foo","metadata":{"name":"late"},"spec":{"size":1}}"#;
    let refused = server.post(all, late).expect_code(403);
    assert!(
        refused
            .text("/message")
            .ends_with("create not allowed while custom resource definition is terminating")
    );
    server
        .patch("merge-patch+json", &format!("{all}/held"), r#"{"metadata":{"finalizers":null}}"#)
        .expect_code(200);
    server.get(&format!("{definitions}/foos.example.com")).expect_code(404);
    server.get(&format!("{all}/held")).expect_code(404);
}

#[test]
fn service_types_change_and_nodes_come_with_a_status() {
    let server = Server::new();
    let services = "/api/v1/namespaces/default/services";
    let body = r#"{"metadata":{"name":"s"},"spec":{"type":"NodePort","ports":[{"port":80}]}}"#;
    let made = server.post(services, body).expect_code(201);
    let ip = made.text("/spec/clusterIP").to_string();
    assert!(made.body["spec"]["ports"][0]["nodePort"].as_i64().unwrap() >= 30_000);
    let one = format!("{services}/s");
    let patch = |spec: &str| {
        let body = format!(r#"{{"spec":{spec}}}"#);
        server.patch("merge-patch+json", &one, &body).expect_code(200)
    };
    let inner = patch(r#"{"type":"ClusterIP"}"#);
    assert_eq!(inner.body["spec"]["ports"][0].get("nodePort"), None);
    assert_eq!(inner.body["spec"].get("externalTrafficPolicy"), None);
    let named = patch(r#"{"type":"ExternalName","externalName":"example.com"}"#);
    assert_eq!(named.body["spec"].get("clusterIP"), None, "{}", named.body);
    let addresses = "/apis/networking.k8s.io/v1/ipaddresses";
    server.get(&format!("{addresses}/{ip}")).expect_code(404);
    let back = patch(r#"{"type":"LoadBalancer","externalName":null}"#);
    assert!(!back.text("/spec/clusterIP").is_empty());
    let node = r#"{"metadata":{"name":"n"},"status":{"capacity":{"cpu":"2"}}}"#;
    let node = server.post("/api/v1/nodes", node).expect_code(201);
    assert_eq!(node.text("/status/allocatable/cpu"), "2");
}

#[test]
fn discovery_is_complete_in_both_forms() {
    let server = Server::new();
    let groups = server.get("/apis").expect_code(200);
    assert!(groups.body["groups"].as_array().unwrap().len() >= 18);
    let mut request = server.request(Method::Get, "/apis", "");
    request.accept =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
            .into();
    let all = server.send(&request).expect_code(200);
    assert!(all.content_type.contains("as=APIGroupDiscoveryList"));
    let apps =
        all.body["items"].as_array().unwrap().iter().find(|g| g["metadata"]["name"] == "apps");
    let resources = apps.unwrap()["versions"][0]["resources"].as_array().unwrap();
    assert!(resources.iter().any(|r| r["resource"] == "deployments"));
    let tag = all.headers.iter().find(|(k, _)| *k == "etag").unwrap().1.clone();
    request.if_none_match = tag;
    server.send(&request).expect_code(304);
    server.get("/openapi/v3").expect_code(200);
    server.get("/openapi/v3/apis/apps/v1").expect_code(200);
    let version = server.get("/version").expect_code(200);
    assert_eq!(version.text("/minor"), "35");
    server.get("/apis/nope.example.com").expect_code(404);
}

#[test]
fn reviews_are_answered() {
    let server = Server::new();
    let body = r#"{"spec":{"resourceAttributes":{"verb":"get","resource":"pods"}}}"#;
    let url = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let review = server.post(url, body).expect_code(201);
    assert_eq!(review.body["status"]["allowed"], true);
    let mut request = server.request(Method::Post, url, body);
    request.accept = "application/json;as=Table;v=v1;g=meta.k8s.io".into();
    server.send(&request).expect_code(406);
    let who =
        server.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}").expect_code(201);
    assert_eq!(who.text("/status/userInfo/username"), "admin");
}

#[test]
fn namespaces_must_exist_and_live() {
    let server = Server::new();
    let none = server.post("/api/v1/namespaces/none/configmaps", &config("c")).expect_code(404);
    assert_eq!(none.text("/message"), "namespaces \"none\" not found");
    server.post("/api/v1/namespaces", r#"{"metadata":{"name":"x"}}"#).expect_code(201);
    let gone = server.delete("/api/v1/namespaces/x").expect_code(200);
    assert_eq!(gone.text("/status/phase"), "Terminating");
    let late = server.post("/api/v1/namespaces/x/configmaps", &config("c")).expect_code(403);
    assert_eq!(late.body["details"]["causes"][0]["reason"], "NamespaceTerminating");
    server.delete("/api/v1/namespaces/default").expect_code(403);
}

#[test]
fn two_versions_of_a_kind_share_their_objects() {
    let server = Server::new();
    let v1 = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
    let v2 = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    let body = json!({ "metadata": { "name": "h" }, "spec": {
        "maxReplicas": 4, "targetCPUUtilizationPercentage": 50,
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "d" } } });
    server.post(v1, &body.to_string()).expect_code(201);
    let new = server.get(&format!("{v2}/h")).expect_code(200);
    assert_eq!(new.body["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 50);
    let old = server.get(&format!("{v1}/h")).expect_code(200);
    assert_eq!(old.body["spec"]["targetCPUUtilizationPercentage"], 50);
    let event = json!({ "metadata": { "name": "e", "namespace": "default" }, "note": "n",
        "eventTime": "2026-01-02T03:04:05.000006Z", "regarding": { "kind": "Pod", "name": "p" } });
    server
        .post("/apis/events.k8s.io/v1/namespaces/default/events", &event.to_string())
        .expect_code(201);
    let core = server.get("/api/v1/namespaces/default/events/e").expect_code(200);
    assert_eq!(core.text("/message"), "n");
    let found = server.get("/api/v1/events?fieldSelector=involvedObject.name=p").expect_code(200);
    assert_eq!(found.body["items"].as_array().map(Vec::len), Some(1));
    let _: &Value = &found.body;
}

#[test]
fn services_get_addresses_and_ports_of_their_own() {
    let server = Server::new();
    let all = "/api/v1/namespaces/default/services";
    let body = |name: &str, kind: &str| {
        let spec = json!({ "type": kind, "selector": { "a": "b" }, "ports": [{ "port": 80 }] });
        json!({ "metadata": { "name": name }, "spec": spec }).to_string()
    };
    let a = server.post(all, &body("a", "ClusterIP")).expect_code(201);
    let b = server.post(all, &body("b", "NodePort")).expect_code(201);
    let c = server.post(all, &body("c", "LoadBalancer")).expect_code(201);
    let ips: Vec<_> = [&a, &b, &c].iter().map(|s| s.text("/spec/clusterIP").to_string()).collect();
    assert!(ips.iter().all(|ip| ip.starts_with("10.")), "{ips:?}");
    assert_eq!(b.body["spec"]["ports"][0]["nodePort"], 30000);
    assert_eq!(c.body["spec"]["ports"][0]["nodePort"], 30001);
    assert_eq!(a.body["spec"]["ipFamilies"], json!(["IPv4"]));
    let held = format!("/apis/networking.k8s.io/v1/ipaddresses/{}", ips[0]);
    server.get(&held).expect_code(200);
    let mut put = a.body.clone();
    put["spec"].as_object_mut().unwrap().remove("clusterIP");
    put["spec"].as_object_mut().unwrap().remove("clusterIPs");
    put["spec"]["type"] = "NodePort".into();
    let put = server.put(&format!("{all}/a"), &put).expect_code(200);
    assert_eq!(put.text("/spec/clusterIP"), ips[0]);
    assert_eq!(put.body["spec"]["ports"][0]["nodePort"], 30002);
    server.delete(&format!("{all}/a")).expect_code(200);
    server.get(&held).expect_code(404);
    let taken = json!({ "metadata": { "name": "d" }, "spec": { "clusterIP": ips[1], "ports": [{ "port": 1 }] } });
    let taken = server.post(all, &taken.to_string()).expect_code(422);
    assert!(taken.text("/message").contains("provided IP is already allocated"));
    let none = json!({ "metadata": { "name": "h" }, "spec": { "clusterIP": "None", "ports": [{ "port": 1 }] } });
    let none = server.post(all, &none.to_string()).expect_code(201);
    assert_eq!(none.body["spec"]["clusterIPs"], json!(["None"]));
}

#[test]
fn pods_get_account_token_and_tolerations() {
    let server = Server::new();
    let body = r#"{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}"#;
    let pod = server.post(PODS, body).expect_code(201);
    assert_eq!(pod.text("/spec/serviceAccountName"), "default");
    assert_eq!(pod.body["spec"]["tolerations"].as_array().map(Vec::len), Some(2));
    assert_eq!(pod.body["spec"]["priority"], 0);
    let mount = &pod.body["spec"]["containers"][0]["volumeMounts"][0];
    assert_eq!(mount["mountPath"], "/var/run/secrets/kubernetes.io/serviceaccount");
    let other = r#"{"metadata":{"name":"q"},"spec":{"serviceAccountName":"x","containers":[{"name":"c","image":"i"}]}}"#;
    server.post(PODS, other).expect_code(403);
}
