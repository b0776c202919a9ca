//! The recorded answers of a real kube-apiserver (v1.20.2), replayed: 4 297 requests of create, update, every
//! patch and server-side apply by several managers. Extra fields (newer defaults) are allowed; nothing may be
//! missing or different, and no ownership lost or invented.
//!
//! Where v1.35 answers differently on purpose, a row of `since.rs` says so and names the source. After such a step
//! the object is made what upstream had, so that every step stands on its own.

#![allow(clippy::unwrap_used)]

mod compare;
#[path = "../server/mod.rs"]
mod server;
mod since;
mod state;

use api::Method;
use compare::{differences, normal, sort_lists};
use serde_json::{Value, json};
use server::{Answered, Server};
use since::{Asked, ROWS};
use std::collections::BTreeMap;
use std::io::Read;

#[derive(Default)]
struct Tally {
    steps: usize,
    same: usize,
    /// Steps that differ on purpose, by class; a step may have several reasons.
    since: BTreeMap<&'static str, usize>,
    listed: usize,
    failures: Vec<String>,
}

#[test]
fn answers_are_those_of_a_real_apiserver() {
    let server = Server::new();
    server
        .post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition().to_string())
        .expect_code(201);
    let mut tally = Tally::default();
    for line in recording().lines() {
        replay(&server, &serde_json::from_str(line).unwrap(), &mut tally);
    }
    let Tally { steps, same, listed, .. } = tally;
    println!("{same} of {steps} steps as v1.20, {listed} as v1.35 on purpose:");
    assert!(
        tally.failures.is_empty(),
        "{} steps differ:\n{}",
        tally.failures.len(),
        tally.failures.join("\n")
    );
    for row in ROWS {
        let count = tally.since.get(row.class).copied().unwrap_or(0);
        println!("{count:5}  {}  ({})", row.class, row.source);
        assert!(count > 0, "no step needs the row {:?}", row.class);
    }
}

fn recording() -> String {
    let packed = include_bytes!("../data/recorded-v1.20.json.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
    text
}

fn replay(server: &Server, case: &Value, tally: &mut Tally) {
    let namespace = json!({ "metadata": { "name": case["ns"] } });
    server.post("/api/v1/namespaces", &namespace.to_string());
    let mut applied = false;
    for (i, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        tally.steps += 1;
        let before = state::stored(server, case);
        let mut got = normal(&send(server, step));
        let recorded = &step["answer"];
        let mut want = recorded.clone();
        applied |= step["type"] == "application/apply-patch+yaml";
        if applied {
            [&mut want, &mut got]
                .into_iter()
                .filter_map(|v| v.get_mut("object"))
                .for_each(sort_lists);
        }
        if differences(&want, &got).is_empty() {
            tally.same += 1;
            continue;
        }
        let asked =
            Asked { case, step, before: before.as_ref().map(|o| o.value()).unwrap_or_default() };
        let why: Vec<_> =
            ROWS.iter().filter(|row| (row.rewrite)(&asked, &mut want, &got)).collect();
        let found = differences(&want, &got);
        if found.is_empty() {
            tally.listed += 1;
            why.iter().for_each(|row| *tally.since.entry(row.class).or_default() += 1);
        } else {
            let what = format!("{} {}", step["method"], step["type"]);
            let at = format!("case {} step {i} {} {what}", case["id"], case["kind"]);
            tally.failures.push(format!("{at}: {}", found.join("; ")));
        }
        state::become_recorded(server, case, recorded, before);
    }
}

fn send(server: &Server, step: &Value) -> Answered {
    let body = if step["body"].is_null() { String::new() } else { step["body"].to_string() };
    let query: Vec<_> = step["query"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", v.as_str().unwrap()))
        .collect();
    let url = format!("{}?{}", step["path"].as_str().unwrap(), query.join("&"));
    let method = Method::parse(step["method"].as_str().unwrap()).unwrap();
    let mut request = server.request(method, &url, &body);
    request.content_type = step["type"].as_str().unwrap().into();
    server.send(&request)
}

fn definition() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.oracle.example.com"}, "spec": {"group": "oracle.example.com", "scope": "Namespaced", "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}, "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["key"], "items": {"type": "object", "required": ["key"], "properties": {"key": {"type": "string"}, "size": {"type": "integer", "maximum": 9}, "color": {"type": "string", "default": "grey"}, "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}}}}, "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}, "list": {"type": "array", "items": {"type": "integer"}}, "atomicMap": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}}, "free": {"type": "object", "additionalProperties": {"type": "string"}}}}}}}}]}})
}
