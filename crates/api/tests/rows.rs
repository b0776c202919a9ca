//! Every row of the kinds table through every verb.

#![allow(clippy::unwrap_used)]

mod server;

use api::Method;
use kinds::{KindRow, Scope};
use meta::Value;
use serde_json::json;
use server::Server;

fn collection(row: &KindRow, version: &str) -> String {
    let root = match row.group {
        "" => format!("/api/{version}"),
        group => format!("/apis/{group}/{version}"),
    };
    match row.scope {
        Scope::Namespaced => format!("{root}/namespaces/default/{}", row.plural),
        Scope::Cluster => format!("{root}/{}", row.plural),
    }
}

fn sample(row: &KindRow) -> Option<Value> {
    (!row.sample.is_empty()).then(|| serde_saphyr::from_str(row.sample).expect(row.kind))
}

#[test]
fn every_row_serves_every_verb() {
    let server = Server::new();
    for row in kinds::TABLE {
        let Some(sample) = sample(row) else { continue };
        let all = collection(row, row.versions[0].name);
        let one = format!("{all}/{}", sample["metadata"]["name"].as_str().unwrap());
        lifecycle(&server, row, &all, &one, &sample);
    }
}

fn lifecycle(server: &Server, row: &KindRow, all: &str, one: &str, sample: &Value) {
    let before = server.store.view().revision();
    let created = server.post(&format!("{all}?fieldValidation=Strict"), &sample.to_string());
    let created = created.expect_code(201);
    assert_eq!(created.text("/kind"), row.kind, "{all}");
    assert!(created.version() > before);
    for key in ["uid", "creationTimestamp"] {
        assert!(!created.text(&format!("/metadata/{key}")).is_empty(), "{all} {key}");
    }
    let got = server.get(one).expect_code(200);
    assert_eq!(got.body, created.body, "{one}");
    server.post(all, &sample.to_string()).expect_code(409);
    listed(server, all, 1);

    // A PUT of what was read changes nothing.
    let put = server.put(one, &got.body).expect_code(200);
    assert_eq!(put.version(), got.version(), "{one}: {}", server::diff(&got.body, &put.body));
    let merge = r#"{"metadata":{"labels":{"merge":"yes"}}}"#;
    let merged = server.patch("merge-patch+json", one, merge).expect_code(200);
    assert!(merged.version() > got.version(), "{one}");
    assert_eq!(merged.text("/metadata/labels/merge"), "yes");
    let strategic = r#"{"metadata":{"labels":{"strategic":"yes"}}}"#;
    server.patch("strategic-merge-patch+json", one, strategic).expect_code(200);
    let json = r#"[{"op":"add","path":"/metadata/labels/json","value":"yes"}]"#;
    let patched = server.patch("json-patch+json", one, json).expect_code(200);
    assert_eq!(patched.text("/metadata/labels/json"), "yes");
    applied(server, row, one, sample);
    status(server, row, one);
    tabled(server, row, all);
    transcoded(server, all, one);

    let plan = server.watch(&format!("{all}?watch=1&resourceVersion={before}"));
    let deleted = server.delete(&format!("{one}?gracePeriodSeconds=0")).expect_code(200);
    finish(server, row, one, &deleted.body);
    let frames = server.frames(&plan);
    let kinds: Vec<_> = frames.iter().map(|f| f["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[0], "ADDED", "{one}");
    assert_eq!(*kinds.last().unwrap(), "DELETED", "{one}");
    server.get(one).expect_code(404);
    listed(server, all, 0);
}

fn applied(server: &Server, row: &KindRow, one: &str, sample: &Value) {
    let config = json!({
        "apiVersion": sample["apiVersion"],
        "kind": row.kind,
        "metadata": { "name": sample["metadata"]["name"], "labels": { "applied": "yes" } },
    });
    let url = format!("{one}?fieldManager=tester");
    let applied = server.patch("apply-patch+yaml", &url, &config.to_string()).expect_code(200);
    assert_eq!(applied.text("/metadata/labels/applied"), "yes", "{one}");
    let managers = applied.body["metadata"]["managedFields"].as_array().unwrap();
    assert!(managers.iter().any(|m| m["manager"] == "tester" && m["operation"] == "Apply"));
}

fn status(server: &Server, row: &KindRow, one: &str) {
    if !row.subresources.iter().any(|s| s.name == "status") {
        return;
    }
    let got = server.get(&format!("{one}/status")).expect_code(200);
    let put = server.put(&format!("{one}/status"), &got.body).expect_code(200);
    assert_eq!(put.version(), got.version(), "{one}/status");
    let patch = r#"{"metadata":{"annotations":{"seen":"yes"}}}"#;
    let patched = server.patch("merge-patch+json", &format!("{one}/status"), patch);
    assert_eq!(patched.expect_code(200).text("/metadata/annotations/seen"), "yes", "{one}/status");
}

fn tabled(server: &Server, row: &KindRow, all: &str) {
    let mut request = server.request(Method::Get, all, "");
    request.accept = "application/json;as=Table;v=v1;g=meta.k8s.io".into();
    let table = server.send(&request).expect_code(200);
    assert_eq!(table.text("/kind"), "Table");
    let columns = table.body["columnDefinitions"].as_array().unwrap().len();
    let cells = table.body["rows"][0]["cells"].as_array().unwrap().len();
    assert_eq!((columns, columns), (row.table.columns.len(), cells), "{all}");
    request.accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io".into();
    let partial = server.send(&request).expect_code(200);
    assert_eq!(partial.text("/kind"), "PartialObjectMetadataList");
    assert!(partial.body["items"][0].get("spec").is_none());
}

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// What typed Go clients do: read and write in protobuf.
fn transcoded(server: &Server, all: &str, one: &str) {
    let json = server.get(one).expect_code(200);
    let mut request = server.request(Method::Get, one, "");
    request.accept = format!("{PROTOBUF}, */*");
    let got = server.send(&request).expect_code(200);
    assert_eq!(got.content_type, PROTOBUF, "{one}");
    assert!(got.bytes.starts_with(b"k8s\0"), "{one}");
    let mut put = server.request(Method::Put, one, "");
    put.content_type = PROTOBUF.into();
    put.body = got.bytes.into();
    let put = server.send(&put).expect_code(200);
    assert_eq!(put.body, json.body, "{one}: {}", server::diff(&json.body, &put.body));
    request.path = all.into();
    let list = server.send(&request).expect_code(200);
    assert!(list.bytes.starts_with(b"k8s\0"), "{all}");
}

/// Namespaces need `/finalize`, some kinds a cleaning controller.
fn finish(server: &Server, row: &KindRow, one: &str, deleted: &Value) {
    if row.kind == "Namespace" {
        let mut value = deleted.clone();
        value["spec"]["finalizers"] = json!([]);
        server.put(&format!("{one}/finalize"), &value).expect_code(200);
    }
    if server.get(one).code == 200 {
        let patch = r#"{"metadata":{"finalizers":null}}"#;
        server.patch("merge-patch+json", one, patch).expect_code(200);
    }
}

fn listed(server: &Server, all: &str, want: usize) {
    let list = server.get(all).expect_code(200);
    let items = list.body["items"].as_array().unwrap();
    let samples =
        items.iter().filter(|i| i["metadata"]["name"].as_str().unwrap().contains("sample"));
    assert_eq!(samples.count(), want, "{all}");
    assert!(!list.text("/metadata/resourceVersion").is_empty());
}
