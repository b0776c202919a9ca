//! Progress for programs: BuildKit's `SolveStatus` as JSON (`client/graph.go`), what
//! `--progress=rawjson` prints.

use std::collections::BTreeMap;

use base64::Engine as _;
use dockerfile::NodeId;
use oci::Digest;
use serde_json::{Value, json};

use crate::execute::{Event, Source, now};

/// Turns events into statuses.
#[derive(Debug, Clone, Default)]
pub struct Raw {
    /// By node: name and when it began.
    vertexes: BTreeMap<NodeId, (String, String)>,
}

impl Raw {
    pub fn feed(&mut self, event: &Event) -> Vec<Value> {
        match event {
            Event::Steps(steps) => {
                for (n, (text, node)) in steps.iter().enumerate() {
                    if let Some(node) = node {
                        let name = format!("[{}/{}] {text}", n + 1, steps.len());
                        self.vertexes.entry(*node).or_insert((name, String::new()));
                    }
                }
                let all = self.vertexes.keys().map(|node| self.vertex(*node)).collect();
                vec![json!({ "vertexes": Value::Array(all) })]
            }
            Event::Started(node) => {
                if let Some((_, started)) = self.vertexes.get_mut(node) {
                    *started = now();
                }
                self.one(*node, json!({}))
            }
            Event::Done(node, _, source) => {
                let cached = *source == Source::Cache;
                self.one(*node, json!({ "completed": now(), "cached": cached }))
            }
            Event::Log(Some(node), bytes) => {
                let data = base64::engine::general_purpose::STANDARD.encode(bytes);
                let vertex = digest(*node);
                vec![json!({ "logs": [
                    { "vertex": vertex, "stream": 1, "data": data, "timestamp": now() }
                ] })]
            }
            Event::Warning(text) => {
                let short = base64::engine::general_purpose::STANDARD.encode(text);
                vec![json!({ "warnings": [{ "level": 1, "short": short }] })]
            }
            _ => Vec::new(),
        }
    }

    fn vertex(&self, node: NodeId) -> Value {
        let (name, started) = self.vertexes.get(&node).cloned().unwrap_or_default();
        let mut out = json!({ "digest": digest(node), "name": name });
        if !started.is_empty() {
            out["started"] = started.into();
        }
        out
    }

    fn one(&self, node: NodeId, more: Value) -> Vec<Value> {
        if !self.vertexes.contains_key(&node) {
            return Vec::new();
        }
        let mut vertex = self.vertex(node);
        for (key, value) in more.as_object().into_iter().flatten() {
            vertex[key] = value.clone();
        }
        vec![json!({ "vertexes": [vertex] })]
    }
}

/// A name that stays the same during one build.
fn digest(node: NodeId) -> String {
    Digest::sha256(format!("node {node}").as_bytes()).to_string()
}
