//! `version`, `api-resources`, `api-versions`, `cluster-info`, `auth`.

use super::kinds::{Kind, Kinds};
use super::{cluster, print, text, yaml};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use serde_json::json;

/// The Kubernetes version these commands follow.
const VERSION: &str = "v1.35.0";

pub async fn version(call: &Call) -> Result<u8, Failure> {
    let client = json!({ "gitVersion": format!("{VERSION}+boxship-{}", env!("CARGO_PKG_VERSION")), "major": "1", "minor": "35",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH) });
    let mut all = json!({ "clientVersion": client });
    let server = match call.has("client") {
        true => None,
        false => {
            let cluster = cluster(call)?;
            Some(cluster.kube.get("/version").await)
        }
    };
    if let Some(Ok(server)) = &server {
        all["serverVersion"] = server.clone();
    }
    match call.get("output") {
        Some("json") => out::line(print::four_spaces(&all)),
        Some("yaml") => out::write(yaml::emit(&all).as_bytes()),
        Some(other) => return Err(call.bad_value("output", other, "it is json or yaml")),
        None => {
            out::line(format!("Client Version: {}", text(&all, "/clientVersion/gitVersion")));
            if let Some(Ok(server)) = &server {
                out::line(format!("Server Version: {}", text(server, "/gitVersion")));
            }
        }
    }
    match server {
        Some(Err(e)) => Err(Failure::kube("ask the server for its version", &e)),
        _ => Ok(0),
    }
}

pub async fn api_resources(call: &Call) -> Result<u8, Failure> {
    let kinds = Kinds::load(&cluster(call)?.kube).await?;
    let mut seen: Vec<&Kind> = Vec::new();
    for kind in &kinds.0 {
        let fits_scope =
            call.get("namespaced").is_none_or(|wanted| (wanted == "true") == kind.namespaced);
        let fits_group = call.get("api-group").is_none_or(|group| group == kind.group);
        let fits_verbs = call.list("verbs").iter().all(|verb| kind.verbs.contains(verb));
        let known = seen.iter().any(|k| k.plural == kind.plural && k.group == kind.group);
        if fits_scope && fits_group && fits_verbs && !known && !kind.verbs.is_empty() {
            seen.push(kind);
        }
    }
    seen.sort_by_key(|kind| (kind.group.clone(), kind.plural.clone()));
    if call.get("sort-by") == Some("name") {
        seen.sort_by_key(|kind| kind.plural.clone());
    }
    if call.get("output") == Some("name") {
        seen.iter().for_each(|kind| out::line(kind.qualified()));
        return Ok(0);
    }
    let wide = call.get("output") == Some("wide");
    let mut rows: Vec<Vec<String>> = Vec::new();
    if !call.has("no-headers") {
        let mut headings = vec!["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"];
        if wide {
            headings.extend(["VERBS", "CATEGORIES"]);
        }
        rows.push(headings.into_iter().map(str::to_owned).collect());
    }
    for kind in seen {
        let mut row = vec![
            kind.plural.clone(),
            kind.short.join(","),
            kind.api_version(),
            kind.namespaced.to_string(),
            kind.kind.clone(),
        ];
        if wide {
            row.extend([kind.verbs.join(","), kind.categories.join(",")]);
        }
        rows.push(row);
    }
    out::write(out::kube_table(&rows).as_bytes());
    Ok(0)
}

pub async fn api_versions(call: &Call) -> Result<u8, Failure> {
    let kinds = Kinds::load(&cluster(call)?.kube).await?;
    let mut versions: Vec<String> = kinds.0.iter().map(Kind::api_version).collect();
    versions.sort();
    versions.dedup();
    versions.iter().for_each(out::line);
    Ok(0)
}

pub async fn cluster_info(call: &Call) -> Result<u8, Failure> {
    let cluster = cluster(call)?;
    let ready = cluster.kube.text("/readyz").await;
    ready.map_err(|e| Failure::kube("ask whether the server is ready", &e))?;
    out::line(format!("Kubernetes control plane is running at {}", cluster.kube.server));
    Ok(0)
}

pub async fn can_i(call: &Call) -> Result<u8, Failure> {
    let cluster = cluster(call)?;
    let (verb, word) = (&call.args[0], call.args.get(1).map_or("", String::as_str));
    let mut spec = json!({});
    if word.starts_with('/') {
        spec["nonResourceAttributes"] = json!({ "verb": verb, "path": word });
    } else {
        let kinds = Kinds::load(&cluster.kube).await?;
        let (resource, name) = word.split_once('/').unwrap_or((word, ""));
        let found = kinds.find(resource);
        let (group, plural) =
            found.map_or(("", resource), |kind| (kind.group.as_str(), kind.plural.as_str()));
        let namespace = if call.has("all-namespaces") { "" } else { &cluster.namespace };
        spec["resourceAttributes"] = json!({
            "verb": verb, "group": group, "resource": plural, "name": name, "namespace": namespace,
            "subresource": call.get("subresource").unwrap_or_default(),
        });
    }
    let body = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = cluster.kube.post(path, &body).await;
    let answer = answer.map_err(|e| Failure::kube("ask for rights", &e))?;
    let allowed = answer["status"]["allowed"] == true;
    if !call.has("quiet") {
        out::line(if allowed { "yes" } else { "no" });
    }
    Ok(if allowed { 0 } else { 1 })
}

pub async fn who_am_i(call: &Call) -> Result<u8, Failure> {
    let cluster = cluster(call)?;
    let body = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let answer = cluster.kube.post(path, &body).await;
    let answer = answer.map_err(|e| Failure::kube("ask who this is", &e))?;
    let info = &answer["status"]["userInfo"];
    let groups = info["groups"].as_array().into_iter().flatten().filter_map(|g| g.as_str());
    let groups = format!("[{}]", groups.collect::<Vec<_>>().join(" "));
    let mut rows = vec![
        vec!["ATTRIBUTE".to_owned(), "VALUE".to_owned()],
        vec!["Username".to_owned(), text(info, "/username").to_owned()],
        vec!["Groups".to_owned(), groups],
    ];
    for (key, values) in info["extra"].as_object().into_iter().flatten() {
        rows.push(vec![format!("Extra: {key}"), crate::template::printed(values)]);
    }
    out::write(out::columns(&rows, 6, 3, false).as_bytes());
    Ok(0)
}
