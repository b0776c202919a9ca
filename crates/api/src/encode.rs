//! From an answer to bytes: JSON by concatenation, YAML, protobuf, tables and bare metadata.

use crate::answer::{Answer, Body, Page};
use crate::catalog::Served;
use crate::negotiate::{Form, Include, Media, Pretty, Shape, Stream};
use crate::object::{fits, from_stored};
use crate::protobuf;
use crate::reply::{Chunk, Reply, Rope};
use crate::table;
use meta::{Problem, Time, Value};
use serde_json::json;
use std::sync::Arc;
use store::Object;

/// What encoding needs besides the answer.
#[derive(Debug, Clone)]
pub struct Encoder {
    pub shape: Shape,
    pub now: Time,
}

impl Encoder {
    pub fn reply(&self, served: Option<&Served>, answer: Answer) -> Reply {
        let rope = match served {
            Some(served) => self.body(served, &answer.body),
            None => self.other(&answer.body),
        };
        let reply = match rope {
            Ok(body) => Reply::new(answer.code, self.content_type(&answer.body), body),
            Err(problem) => Reply::problem(&problem),
        };
        answer.warnings.iter().fold(reply, |reply, w| reply.header("warning", warning(w)))
    }

    /// A problem in the representation the client asked for.
    pub fn problem(&self, problem: &Problem) -> Reply {
        let status = problem.to_status();
        let body = self.value(&status);
        let reply = match body {
            Ok(body) => Reply::new(problem.code(), self.plain().content_type(Stream::No), body),
            Err(_) => return Reply::problem(problem),
        };
        match problem.details.as_ref().map_or(0, |d| d.retry_after_secs) {
            0 => reply,
            secs => reply.header("retry-after", secs.to_string()),
        }
    }

    fn content_type(&self, _body: &Body) -> String {
        self.plain().content_type(Stream::No)
    }

    /// The same representation without a transformation.
    fn plain(&self) -> Shape {
        Shape { view: Form::AsIs, ..self.shape.clone() }
    }

    fn body(&self, served: &Served, body: &Body) -> Result<Rope, Problem> {
        match (&self.shape.view, body) {
            (_, Body::Success(details)) => self.value(&success(details)),
            (Form::AsIs, Body::Stored(object)) => self.stored(served, object),
            (Form::AsIs, Body::Page(page)) => self.page(served, page),
            (_, Body::Value(value)) => self.shown(served, value),
            (Form::Partial(version), Body::Stored(object)) => {
                self.value(&partial(&from_stored(served, object), version))
            }
            (Form::Partial(version), Body::Page(page)) => {
                self.value(&self.partials(served, page, version))
            }
            (Form::Table(version), Body::Stored(object)) => {
                let rows = [table::row(served, &object.value(), self.now, self.shape.include)];
                let list = json!({ "resourceVersion": object.revision.to_string() });
                self.value(&table::whole(served, version, list, rows.into()))
            }
            (Form::Table(version), Body::Page(page)) => {
                let row =
                    |o: &Arc<Object>| table::row(served, &o.value(), self.now, self.shape.include);
                let rows = page.items.iter().map(row).collect();
                self.value(&table::whole(served, version, list_meta(page), rows))
            }
        }
    }

    fn other(&self, body: &Body) -> Result<Rope, Problem> {
        match body {
            Body::Value(value) => self.value(value),
            Body::Success(details) => self.value(&success(details)),
            Body::Stored(object) => self.value(&object.value()),
            Body::Page(_) => Err(Problem::internal("a list needs a kind")),
        }
    }

    /// A value of the served kind (dry runs) or of another one (Scale, Status).
    fn shown(&self, served: &Served, value: &Value) -> Result<Rope, Problem> {
        let own = value["kind"] == *served.gvk.kind;
        match &self.shape.view {
            Form::Partial(version) if own => self.value(&partial(value, version)),
            Form::Table(version) if own => {
                let stored = crate::object::to_stored(served, value.clone());
                let rows = vec![table::row(served, &stored, self.now, self.shape.include)];
                self.value(&table::whole(served, version, json!({}), rows))
            }
            _ => self.value(value),
        }
    }

    fn stored(&self, served: &Served, object: &Arc<Object>) -> Result<Rope, Problem> {
        let borrowed = self.shape.media == Media::Json && self.shape.pretty == Pretty::No;
        if borrowed && fits(served, object) {
            return Ok(Rope(vec![Chunk::Stored(object.clone()), Chunk::Static(b"\n")]));
        }
        if self.shape.media == Media::Protobuf {
            return protobuf::object(served, object);
        }
        self.value(&from_stored(served, object))
    }

    fn page(&self, served: &Served, page: &Page) -> Result<Rope, Problem> {
        if self.shape.media == Media::Json && self.shape.pretty == Pretty::No {
            return Ok(concatenated(served, page));
        }
        if self.shape.media == Media::Protobuf {
            return protobuf::page(served, page);
        }
        let items: Vec<_> = page.items.iter().map(|o| from_stored(served, o)).collect();
        self.value(&json!({
            "kind": served.list_kind,
            "apiVersion": served.api_version(),
            "metadata": list_meta(page),
            "items": items,
        }))
    }

    fn partials(&self, served: &Served, page: &Page, version: &str) -> Value {
        let each = page.items.iter().map(|o| partial(&from_stored(served, o), version));
        json!({
            "kind": "PartialObjectMetadataList",
            "apiVersion": format!("meta.k8s.io/{version}"),
            "metadata": list_meta(page),
            "items": each.collect::<Vec<_>>(),
        })
    }

    /// Any value with `apiVersion` and `kind`.
    pub fn value(&self, value: &Value) -> Result<Rope, Problem> {
        Ok(match (self.shape.media, self.shape.pretty) {
            (Media::Json, Pretty::No) => line(value).into(),
            (Media::Json, Pretty::Yes) => {
                serde_json::to_vec_pretty(value).expect("values serialise").into()
            }
            (Media::Yaml, _) => yaml(value)?.into(),
            (Media::Protobuf, _) => protobuf::value(value)?.into(),
        })
    }
}

/// A LIST is a concatenation of stored bytes.
fn concatenated(served: &Served, page: &Page) -> Rope {
    let head = format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{},\"items\":[",
        json!(served.list_kind),
        json!(served.api_version()),
        list_meta(page)
    );
    let mut rope = Vec::with_capacity(2 * page.items.len() + 2);
    rope.push(Chunk::Bytes(head.into_bytes().into()));
    for (i, object) in page.items.iter().enumerate() {
        if i > 0 {
            rope.push(Chunk::Static(b","));
        }
        rope.push(chunk(served, object));
    }
    rope.push(Chunk::Static(b"]}\n"));
    Rope(rope)
}

/// The JSON of an object at the served version; borrowed when it is stored that way.
pub fn chunk(served: &Served, object: &Arc<Object>) -> Chunk {
    match fits(served, object) {
        true => Chunk::Stored(object.clone()),
        false => Chunk::Bytes(from_stored(served, object).to_string().into_bytes().into()),
    }
}

pub fn list_meta(page: &Page) -> Value {
    let mut out = json!({ "resourceVersion": page.revision.to_string() });
    if !page.token.is_empty() {
        out["continue"] = page.token.clone().into();
    }
    if let Some(remaining) = page.remaining {
        out["remainingItemCount"] = remaining.into();
    }
    out
}

pub fn partial(value: &Value, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": value.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}

fn success(details: &meta::Details) -> Value {
    let mut status =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" });
    let named = [
        ("name", &details.name),
        ("group", &details.group),
        ("kind", &details.kind),
        ("uid", &details.uid),
    ];
    for (key, text) in named.into_iter().filter(|(_, text)| !text.is_empty()) {
        status["details"][key] = text.clone().into();
    }
    status
}

fn line(value: &Value) -> Vec<u8> {
    let mut out = serde_json::to_vec(value).expect("values with string keys serialise");
    out.push(b'\n');
    out
}

fn yaml(value: &Value) -> Result<Vec<u8>, Problem> {
    serde_saphyr::to_string(value).map(String::into_bytes).map_err(Problem::internal)
}

/// RFC 7234 warning with code 299, as apiserver `pkg/warning`.
pub fn warning(text: &str) -> String {
    let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("299 - \"{quoted}\"")
}

/// `includeObject` of the query.
pub fn include(text: Option<&str>) -> Result<Include, Problem> {
    match text.unwrap_or_default() {
        "" | "Metadata" => Ok(Include::Metadata),
        "Object" => Ok(Include::Object),
        "None" => Ok(Include::None),
        other => Err(Problem::bad_request(format!("unrecognized includeObject value: {other:?}"))),
    }
}
