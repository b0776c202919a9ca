//! Which objects a command line names: `pods`, `pod a b`, `deploy/web svc/web`, `pods,services`, `all`, `-f FILE`.

use crate::command::{Flag, many, on, one};
use crate::failure::Failure;
use crate::kubectl::kinds::{Kind, Kinds};
use crate::kubectl::{Cluster, cluster, manifests, text};
use crate::parse::Call;
use meta::Value;
use remote::escape;

pub const FILES: &[Flag] = &[
    many("filename", Some('f'), "FILE|DIR|URL|-", "Manifests"),
    on("recursive", Some('R'), "Directories below too"),
];

pub const SELECTOR: Flag = one("selector", Some('l'), "LABELS", "Only with these labels: a=b,c!=d");
pub const FIELDS: Flag = one("field-selector", None, "FIELDS", "Only with these fields");
pub const ALL: Flag = on("all", None, "All there are");
pub const ALL_NAMESPACES: Flag = on("all-namespaces", Some('A'), "In every namespace");

/// One kind, with names, or all of it.
#[derive(Clone)]
pub struct Wanted {
    pub kind: Kind,
    pub names: Vec<String>,
    /// Only when a manifest names another than the command line.
    pub namespace: Option<String>,
}

/// What the arguments name.
///
/// # Errors
/// When a kind is not there or names are missing.
pub fn arguments(kinds: &Kinds, words: &[String]) -> Result<Vec<Wanted>, Failure> {
    let wanted = |kind: &Kind, names: &[String]| Wanted {
        kind: kind.clone(),
        names: names.to_vec(),
        namespace: None,
    };
    if words.iter().any(|word| word.contains('/')) {
        return words.iter().map(|word| slashed(kinds, word)).collect();
    }
    let Some((first, names)) = words.split_first() else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    for name in first.split(',') {
        let group = kinds.category(name);
        if kinds.find(name).is_none() && !group.is_empty() {
            out.extend(group.iter().map(|kind| wanted(kind, names)));
        } else {
            out.push(wanted(kinds.required(name)?, names));
        }
    }
    Ok(out)
}

/// `kind/name`
pub fn slashed(kinds: &Kinds, word: &str) -> Result<Wanted, Failure> {
    let split = word.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty());
    let (kind, name) = split.ok_or_else(|| {
        let why = "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form";
        Failure::plain(format!("error: {why} (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'"))
    })?;
    Ok(Wanted { kind: kinds.required(kind)?.clone(), names: vec![name.into()], namespace: None })
}

/// A query part for selectors.
pub fn query(call: &Call) -> String {
    let mut out = String::new();
    for (flag, key) in [("selector", "labelSelector"), ("field-selector", "fieldSelector")] {
        if let Some(value) = call.get(flag) {
            out.push_str(&format!("{key}={}&", escape(value)));
        }
    }
    out
}

/// An object with where it is.
#[derive(Clone)]
pub struct Found {
    pub kind: Kind,
    pub object: Value,
}

impl Found {
    pub fn name(&self) -> &str {
        text(&self.object, "/metadata/name")
    }

    pub fn namespace(&self) -> Option<&str> {
        Some(text(&self.object, "/metadata/namespace")).filter(|n| !n.is_empty())
    }

    pub fn path(&self) -> String {
        self.kind.path(self.namespace(), Some(self.name()))
    }

    /// `deployment.apps/web`
    pub fn word(&self) -> String {
        format!("{}/{}", self.kind.word(), self.name())
    }
}

/// Everything a call names, fetched: by arguments with selectors, or by manifests.
///
/// # Errors
/// When something named is not there.
pub async fn fetched(
    call: &Call,
    words: &[String],
) -> Result<(Cluster, Kinds, Vec<Found>), Failure> {
    let cluster = cluster(call)?;
    let kinds = Kinds::load(&cluster.kube).await?;
    let wanted = wanted(call, &cluster, &kinds, words).await?;
    if wanted.is_empty() {
        return Err(Failure::plain(
            "error: You must provide one or more resources by argument or filename.",
        ));
    }
    let everywhere = call.has("all-namespaces");
    let mut out = Vec::new();
    for one in wanted {
        let namespace =
            one.namespace.as_deref().or(Some(&cluster.namespace)).filter(|_| !everywhere);
        for name in &one.names {
            let path = one.kind.path(namespace, Some(name));
            let object = cluster.kube.get(&path).await;
            let what = format!("get {}/{name}", one.kind.word());
            out.push(Found {
                kind: one.kind.clone(),
                object: object.map_err(|e| Failure::kube(what, &e))?,
            });
        }
        if one.names.is_empty() {
            let path = format!("{}?{}", one.kind.path(namespace, None), query(call));
            let list = cluster.kube.get(&path).await;
            let list =
                list.map_err(|e| Failure::kube(format!("list {}", one.kind.qualified()), &e))?;
            for object in list["items"].as_array().into_iter().flatten() {
                out.push(Found { kind: one.kind.clone(), object: object.clone() });
            }
        }
    }
    Ok((cluster, kinds, out))
}

/// What arguments or manifests name, not fetched.
pub async fn wanted(
    call: &Call,
    cluster: &Cluster,
    kinds: &Kinds,
    words: &[String],
) -> Result<Vec<Wanted>, Failure> {
    if call.all("filename").is_empty() {
        return arguments(kinds, words);
    }
    let mut out = Vec::new();
    for document in manifests::read(call).await? {
        let kind = manifests::kind_of(kinds, &document)?;
        out.push(Wanted {
            kind: kind.clone(),
            names: vec![text(&document.value, "/metadata/name").into()],
            namespace: Some(manifests::namespace_of(call, cluster, &document)?),
        });
    }
    Ok(out)
}
