//! OpenAPI documents: v2 as a whole, v3 by group and version, both with hashes.

use crate::catalog::{Catalog, Served};
use crate::negotiate::clauses;
use crate::reply::{Chunk, Reply, Rope};
use crate::request::Request;
use bytes::Bytes;
use schema::{CustomSchema, ServedResource, ServedSubresource};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// `None` when the path is no document.
pub fn reply(catalog: &Catalog, request: &Request, path: &str) -> Option<Reply> {
    match path {
        "/openapi/v2" => Some(whole(catalog, request)),
        "/openapi/v3" => Some(Reply::json(200, &root(catalog))),
        path => {
            let name = path.strip_prefix("/openapi/v3/")?;
            one(catalog, request, name)
        }
    }
}

const GNOSTIC: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

fn whole(catalog: &Catalog, request: &Request) -> Reply {
    // client-go asks for `...v2@v1.0+protobuf`; the answer must be parseable as a media type.
    let gnostic = clauses(&request.accept)
        .iter()
        .find_map(|c| match c.kind.as_str() {
            kind if kind.starts_with("application/com.github.proto-openapi.spec.v2") => Some(true),
            "application/json" | "*/*" | "application/*" => Some(false),
            _ => None,
        })
        .unwrap_or(false);
    // The bytes are kept; the document they are made from is ten times as large and is not.
    let memo = &catalog.memo;
    let (kind, body) = match gnostic {
        true => {
            let proto = || Bytes::from(schema::encode_v2(&document(catalog)));
            (GNOSTIC, memo.openapi_v2_proto.get_or_init(proto).clone())
        }
        false => {
            let json = || Bytes::from(document(catalog).to_string());
            ("application/json", memo.openapi_v2_json.get_or_init(json).clone())
        }
    };
    cached(request, kind, body)
}

fn document(catalog: &Catalog) -> Value {
    let all: Vec<_> = catalog.order.iter().map(|s| resource(s)).collect();
    schema::openapi_v2(&all, crate::discovery::GIT_VERSION)
}

fn cached(request: &Request, kind: &str, body: Bytes) -> Reply {
    let tag = format!("\"{}\"", hex::encode_upper(Sha256::digest(&body)));
    let known = request.if_none_match.split(',').any(|t| t.trim() == tag);
    let reply = match known {
        true => Reply::new(304, kind, Vec::new()),
        false => Reply::new(200, kind, Rope(vec![Chunk::Bytes(body)])),
    };
    reply.header("etag", tag).header("vary", "Accept")
}

/// `(name, group, version)` of every v3 document: `api/v1`, `apis/apps/v1`.
fn documents(catalog: &Catalog) -> Vec<(String, String, String)> {
    let mut all: Vec<(String, String, String)> = Vec::new();
    for served in &catalog.order {
        let (group, version) = (served.gvk.group.to_string(), served.gvk.version.to_string());
        let name = match group.is_empty() {
            true => format!("api/{version}"),
            false => format!("apis/{group}/{version}"),
        };
        if !all.iter().any(|(n, ..)| *n == name) {
            all.push((name, group, version));
        }
    }
    all
}

fn of(catalog: &Catalog, group: &str, version: &str) -> Vec<ServedResource> {
    let wanted =
        catalog.order.iter().filter(|s| *s.gvk.group == *group && *s.gvk.version == *version);
    wanted.map(|s| resource(s)).collect()
}

/// Documents follow from what is served, so that is what is hashed.
fn hash(resources: &[ServedResource]) -> String {
    let digest = Sha256::digest(format!("{}{resources:?}", env!("CARGO_PKG_VERSION")));
    hex::encode_upper(digest)
}

fn root(catalog: &Catalog) -> Value {
    let mut paths = json!({});
    for (name, group, version) in documents(catalog) {
        let hash = hash(&of(catalog, &group, &version));
        let url = format!("/openapi/v3/{name}?hash={hash}");
        paths[name] = json!({ "serverRelativeURL": url });
    }
    json!({ "paths": paths })
}

fn one(catalog: &Catalog, request: &Request, name: &str) -> Option<Reply> {
    let (_, group, version) = documents(catalog).into_iter().find(|(n, ..)| n == name)?;
    let resources = of(catalog, &group, &version);
    let hash = hash(&resources);
    let tag = format!("\"{hash}\"");
    if request.if_none_match.split(',').any(|t| t.trim() == tag) {
        return Some(Reply::new(304, "application/json", Vec::new()).header("etag", tag));
    }
    let document = schema::openapi_v3(&resources, crate::discovery::GIT_VERSION);
    let reply = Reply::json(200, &document).header("etag", tag).header("vary", "Accept");
    // A document fetched by its hash never changes.
    Some(match request.param("hash") {
        Some(asked) if asked == hash => reply.header("cache-control", "public, immutable"),
        _ => reply,
    })
}

fn resource(served: &Served) -> ServedResource {
    let sub = |sub: &crate::catalog::Sub| ServedSubresource {
        name: sub.name.clone(),
        gvk: sub.gvk.clone().unwrap_or_else(|| served.gvk.clone()),
        verbs: sub.verbs.clone(),
    };
    let custom = served.custom.then(|| CustomSchema {
        schema: served.schema.clone(),
        list_kind: served.list_kind.clone(),
    });
    ServedResource {
        gvk: served.gvk.clone(),
        plural: served.gvr.resource.to_string(),
        namespaced: served.namespaced,
        verbs: served.verbs.clone(),
        subresources: served.subs.iter().map(sub).collect(),
        custom,
    }
}
