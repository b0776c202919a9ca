//! Discovery, in both forms: the legacy documents, and everything at once (`APIGroupDiscoveryList`).

use crate::catalog::{Catalog, Served};
use crate::negotiate::{Clause, clauses};
use crate::reply::Reply;
use crate::request::Request;
use crate::route::Discovery;
use crate::server::page_not_found;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

pub fn reply(catalog: &Catalog, request: &Request, at: &Discovery) -> Reply {
    let aggregated = match at {
        Discovery::Legacy | Discovery::Groups => aggregated_version(&request.accept),
        _ => None,
    };
    if let Some(version) = aggregated {
        let of_core = *at == Discovery::Legacy;
        return tagged(request, &aggregate(catalog, version, of_core), version);
    }
    let found = match at {
        Discovery::Legacy => Some(legacy()),
        Discovery::Groups => Some(groups(catalog)),
        Discovery::Group(group) => group_of(catalog, group).map(typed),
        Discovery::Version { group, version } => resources(catalog, group, version),
    };
    let reply = match found {
        Some(found) => Reply::json(200, &found),
        None => Reply::problem(&page_not_found()),
    };
    reply.header("cache-control", "no-cache, private").header("vary", "Accept")
}

/// `v2` or `v2beta1` when the client prefers the aggregated form.
fn aggregated_version(accept: &str) -> Option<&'static str> {
    let is_aggregated = |c: &Clause| {
        c.param("as") == "APIGroupDiscoveryList" && c.param("g") == "apidiscovery.k8s.io"
    };
    for clause in clauses(accept) {
        if !matches!(clause.kind.as_str(), "application/json" | "*/*" | "application/*") {
            continue;
        }
        match clause.param("v") {
            "v2" if is_aggregated(&clause) => return Some("v2"),
            "v2beta1" if is_aggregated(&clause) => return Some("v2beta1"),
            "" if clause.param("as").is_empty() => return None,
            _ => {}
        }
    }
    None
}

/// With an ETag; 304 when the client has it.
fn tagged(request: &Request, document: &Value, version: &str) -> Reply {
    let body = serde_json::to_vec(document).expect("values serialise");
    let tag = format!("\"{}\"", hex::encode_upper(Sha256::digest(&body)));
    let kind =
        format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    let reply = match request.if_none_match.split(',').any(|t| t.trim() == tag) {
        true => Reply::new(304, kind, Vec::new()),
        false => Reply::new(200, kind, body),
    };
    reply.header("etag", tag).header("vary", "Accept").header("cache-control", "public")
}

fn legacy() -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [],
    })
}

/// Group names in discovery order, the core group first.
fn group_names(catalog: &Catalog) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for served in &catalog.order {
        if !names.contains(&&*served.gvk.group) {
            names.push(&served.gvk.group);
        }
    }
    names
}

fn versions<'a>(catalog: &'a Catalog, group: &str) -> Vec<&'a str> {
    let mut versions: Vec<&str> = Vec::new();
    for served in catalog.order.iter().filter(|s| *s.gvk.group == *group) {
        if !versions.contains(&&*served.gvk.version) {
            versions.push(&served.gvk.version);
        }
    }
    versions
}

/// In the alphabetical order of upstream's documents.
fn of_version<'a>(catalog: &'a Catalog, group: &str, version: &str) -> Vec<&'a Arc<Served>> {
    let wanted = |s: &&Arc<Served>| *s.gvk.group == *group && *s.gvk.version == *version;
    let mut all: Vec<_> = catalog.order.iter().filter(wanted).collect();
    all.sort_by(|a, b| a.gvr.resource.cmp(&b.gvr.resource));
    all
}

fn groups(catalog: &Catalog) -> Value {
    let names = group_names(catalog).into_iter().filter(|n| !n.is_empty());
    let all: Vec<_> = names.filter_map(|n| group_of(catalog, n)).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": all })
}

fn typed(mut group: Value) -> Value {
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    group
}

fn group_of(catalog: &Catalog, group: &str) -> Option<Value> {
    let all: Vec<_> = versions(catalog, group)
        .iter()
        .map(|v| json!({ "groupVersion": format!("{group}/{v}"), "version": v }))
        .collect();
    let first = all.first()?.clone();
    Some(json!({ "name": group, "versions": all, "preferredVersion": first }))
}

fn resources(catalog: &Catalog, group: &str, version: &str) -> Option<Value> {
    let all = of_version(catalog, group, version);
    let group_version = all.first()?.api_version();
    let list: Vec<_> = all.into_iter().flat_map(|s| entries(s)).collect();
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": list,
    }))
}

fn entries(served: &Served) -> Vec<Value> {
    let mut entry = json!({
        "name": *served.gvr.resource,
        "singularName": served.singular,
        "namespaced": served.namespaced,
        "kind": *served.gvk.kind,
        "verbs": served.verbs,
    });
    for (key, words) in [("shortNames", &served.short), ("categories", &served.categories)] {
        if !words.is_empty() {
            entry[key] = json!(words);
        }
    }
    if served.allows("get") {
        entry["storageVersionHash"] = storage_hash(served).into();
    }
    let subs = served.subs.iter().map(|sub| {
        let kind = sub.gvk.as_ref().unwrap_or(&served.gvk);
        let mut entry = json!({
            "name": format!("{}/{}", served.gvr.resource, sub.name),
            "singularName": "",
            "namespaced": served.namespaced,
            "kind": *kind.kind,
            "verbs": sub.verbs,
        });
        if *kind.group != *served.gvk.group || *kind.version != *served.gvk.version {
            entry["group"] = (*kind.group).into();
            entry["version"] = (*kind.version).into();
        }
        entry
    });
    std::iter::once(entry).chain(subs).collect()
}

/// Changes with the version objects are stored in (apiserver `discovery.StorageVersionHash`).
fn storage_hash(served: &Served) -> String {
    use base64::Engine;
    let stored =
        served.stored.strip_prefix("v").map_or(served.stored.clone(), |v| format!("/v{v}"));
    let text = format!("{stored}/{}", served.gvk.kind);
    base64::engine::general_purpose::STANDARD.encode(&Sha256::digest(text)[..8])
}

fn aggregate(catalog: &Catalog, version: &str, of_core: bool) -> Value {
    let names = group_names(catalog).into_iter().filter(|n| n.is_empty() == of_core);
    let items: Vec<_> = names
        .map(|group| {
            let metadata = if group.is_empty() { json!({}) } else { json!({ "name": group }) };
            let versions: Vec<_> = versions(catalog, group)
                .into_iter()
                .map(|v| {
                    let all = of_version(catalog, group, v);
                    let resources: Vec<_> = all.into_iter().map(|s| aggregated(s)).collect();
                    json!({ "version": v, "resources": resources, "freshness": "Current" })
                })
                .collect();
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    })
}

fn aggregated(served: &Served) -> Value {
    let mut entry = json!({
        "resource": *served.gvr.resource,
        "responseKind": response_kind(served, &served.gvk),
        "scope": if served.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": served.singular,
        "verbs": served.verbs,
    });
    for (key, words) in [("shortNames", &served.short), ("categories", &served.categories)] {
        if !words.is_empty() {
            entry[key] = json!(words);
        }
    }
    let sub = |sub: &crate::catalog::Sub| {
        let kind = sub.gvk.as_ref().unwrap_or(&served.gvk);
        json!({
            "subresource": sub.name,
            "responseKind": response_kind(served, kind),
            "verbs": sub.verbs,
        })
    };
    if !served.subs.is_empty() {
        entry["subresources"] = served.subs.iter().map(sub).collect();
    }
    entry
}

/// Group and version are empty when they are those of the resource.
fn response_kind(served: &Served, kind: &meta::Gvk) -> Value {
    let own = kind.group == served.gvk.group && kind.version == served.gvk.version;
    let (group, version) = if own { ("", "") } else { (&*kind.group, &*kind.version) };
    json!({ "group": group, "version": version, "kind": *kind.kind })
}

/// `/version`, `/` and OpenAPI; `None` when there is nothing here.
pub fn elsewhere(catalog: &Catalog, request: &Request) -> Option<Reply> {
    match request.path.trim_end_matches('/') {
        "" => Some(Reply::json(200, &index(catalog))),
        "/version" => Some(Reply::json(200, &version())),
        path => crate::openapi::reply(catalog, request, path),
    }
}

fn index(catalog: &Catalog) -> Value {
    let mut paths = vec!["/api".to_string(), "/api/v1".into(), "/apis".into()];
    for group in group_names(catalog).into_iter().filter(|g| !g.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions(catalog, group).iter().map(|v| format!("/apis/{group}/{v}")));
    }
    for path in ["healthz", "livez", "metrics", "openapi/v2", "openapi/v3", "readyz", "version"] {
        paths.push(format!("/{path}"));
    }
    paths.sort();
    json!({ "paths": paths })
}

/// The Kubernetes version this server speaks.
pub const GIT_VERSION: &str = "v1.35.0";

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "35",
        "emulationMajor": "1",
        "emulationMinor": "35",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "34",
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }),
    })
}
