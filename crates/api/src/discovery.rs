//! Discovery: `/api`, `/apis`, and what else is no resource.

use crate::catalog::Catalog;
use crate::reply::Reply;
use crate::request::Request;
use crate::route::Discovery;
use crate::server::page_not_found;
use serde_json::{Value, json};

pub fn reply(catalog: &Catalog, request: &Request, at: &Discovery) -> Reply {
    let _ = request;
    match at {
        Discovery::Legacy => Reply::json(200, &legacy()),
        Discovery::Groups => Reply::json(200, &groups(catalog)),
        Discovery::Group(group) => match group_of(catalog, group) {
            Some(group) => Reply::json(200, &typed(group)),
            None => Reply::problem(&page_not_found()),
        },
        Discovery::Version { group, version } => match resources(catalog, group, version) {
            Some(list) => Reply::json(200, &list),
            None => Reply::problem(&page_not_found()),
        },
    }
}

fn legacy() -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443" }],
    })
}

fn groups(catalog: &Catalog) -> Value {
    let mut names: Vec<&str> = Vec::new();
    for served in &catalog.order {
        if !served.gvk.group.is_empty() && !names.contains(&&*served.gvk.group) {
            names.push(&served.gvk.group);
        }
    }
    let all: Vec<_> = names.into_iter().filter_map(|n| group_of(catalog, n)).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": all })
}

fn typed(mut group: Value) -> Value {
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    group
}

fn group_of(catalog: &Catalog, group: &str) -> Option<Value> {
    let mut versions: Vec<&str> = Vec::new();
    for served in catalog.order.iter().filter(|s| *s.gvk.group == *group) {
        if !versions.contains(&&*served.gvk.version) {
            versions.push(&served.gvk.version);
        }
    }
    let entry = |v: &&str| json!({ "groupVersion": format!("{group}/{v}"), "version": v });
    let first = entry(versions.first()?);
    let all: Vec<_> = versions.iter().map(entry).collect();
    Some(json!({ "name": group, "versions": all, "preferredVersion": first }))
}

fn resources(catalog: &Catalog, group: &str, version: &str) -> Option<Value> {
    if !catalog.has(group, Some(version)) {
        return None;
    }
    let group_version =
        if group.is_empty() { version.to_string() } else { format!("{group}/{version}") };
    let mut list = Vec::new();
    for served in catalog.order.iter() {
        if *served.gvk.group != *group || *served.gvk.version != *version {
            continue;
        }
        let mut entry = json!({
            "name": *served.gvr.resource,
            "singularName": served.singular,
            "namespaced": served.namespaced,
            "kind": *served.gvk.kind,
            "verbs": served.verbs,
        });
        if !served.short.is_empty() {
            entry["shortNames"] = json!(served.short);
        }
        if !served.categories.is_empty() {
            entry["categories"] = json!(served.categories);
        }
        list.push(entry);
        for sub in &served.subs {
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
            list.push(entry);
        }
    }
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": list,
    }))
}

/// `/version` and the like; `None` when there is nothing here.
pub fn elsewhere(_catalog: &Catalog, request: &Request) -> Option<Reply> {
    match request.path.trim_end_matches('/') {
        "/version" => Some(Reply::json(200, &version())),
        _ => None,
    }
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "35",
        "emulationMajor": "1",
        "emulationMinor": "35",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "34",
        "gitVersion": format!("v1.35.0+boxship-{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}
