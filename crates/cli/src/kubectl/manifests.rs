//! Manifests: YAML or JSON documents from files, directories, standard input, or the web (plain HTTP servers only).

use crate::failure::Failure;
use crate::kubectl::kinds::{Kind, Kinds};
use crate::kubectl::{Cluster, text};
use crate::parse::Call;
use meta::Value;
use std::io::Read;
use std::path::Path;

/// A manifest and where it came from.
pub struct Document {
    pub value: Value,
    pub source: String,
}

/// All documents of `-f`, lists unfolded.
///
/// # Errors
/// When a file cannot be read or parsed: which, and where in it.
pub async fn read(call: &Call) -> Result<Vec<Document>, Failure> {
    let mut out = Vec::new();
    for place in call.all("filename") {
        if place == "-" {
            let mut bytes = Vec::new();
            let read = std::io::stdin().read_to_end(&mut bytes);
            read.map_err(|e| Failure::new("read standard input", e))?;
            documents("STDIN", &bytes, &mut out)?;
        } else if place.starts_with("http://") || place.starts_with("https://") {
            documents(place, &fetch(place).await?, &mut out)?;
        } else {
            files(Path::new(place), call.has("recursive"), true, &mut out)?;
        }
    }
    if out.is_empty() && !call.all("filename").is_empty() {
        return Err(Failure::plain("error: no objects passed to apply"));
    }
    Ok(out)
}

async fn fetch(url: &str) -> Result<Vec<u8>, Failure> {
    let what = || format!("read `{url}`");
    let (server, path) = match url.splitn(4, '/').collect::<Vec<_>>().as_slice() {
        [scheme, _, host, path] => (format!("{scheme}//{host}"), format!("/{path}")),
        _ => return Err(Failure::new(what(), "there is no path in it")),
    };
    let target = remote::Target::new(&serde_json::json!({ "server": server }), &Value::Null);
    let kube = remote::Kube::new(target.map_err(|e| Failure::kube(what(), &e))?);
    let bytes = kube.text(&path).await.map_err(|e| Failure::kube(what(), &e))?;
    Ok(bytes.to_vec())
}

const ENDINGS: &[&str] = &["yaml", "yml", "json"];

fn files(path: &Path, deep: bool, top: bool, out: &mut Vec<Document>) -> Result<(), Failure> {
    let shown = path.display().to_string();
    if !path.exists() {
        return Err(Failure::plain(format!("error: the path \"{shown}\" does not exist")));
    }
    let failed = |e: std::io::Error| Failure::new(format!("read `{shown}`"), e);
    if !path.is_dir() {
        let bytes = std::fs::read(path).map_err(failed)?;
        return documents(&shown, &bytes, out);
    }
    if !top && !deep {
        return Ok(());
    }
    let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(failed)?.collect();
    let mut paths: Vec<_> = entries.map_err(failed)?.iter().map(std::fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        let is_manifest =
            path.extension().and_then(|e| e.to_str()).is_some_and(|e| ENDINGS.contains(&e));
        if path.is_dir() || is_manifest {
            files(&path, deep, false, out)?;
        }
    }
    Ok(())
}

/// Cuts a stream at lines of `---` and parses each part.
fn documents(source: &str, bytes: &[u8], out: &mut Vec<Document>) -> Result<(), Failure> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Failure::new(format!("read `{source}`"), format!("it is not UTF-8: {e}")))?;
    let mut part = String::new();
    for line in text.lines() {
        if line.starts_with("---") && line[3..].trim_start().is_empty() {
            document(source, &part, out)?;
            part.clear();
        } else {
            part.push_str(line);
            part.push('\n');
        }
    }
    document(source, &part, out)
}

fn document(source: &str, text: &str, out: &mut Vec<Document>) -> Result<(), Failure> {
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(blank) {
        return Ok(());
    }
    let converted = schema::yaml_to_json(text.as_bytes())
        .map_err(|e| Failure::plain(format!("error: error parsing {source}: {e}")))?;
    unfold(converted.value, source, out);
    Ok(())
}

fn unfold(mut value: Value, source: &str, out: &mut Vec<Document>) {
    let is_list = value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match value.get_mut("items").filter(|_| is_list).map(Value::take) {
        Some(Value::Array(items)) => items.into_iter().for_each(|item| unfold(item, source, out)),
        _ if value.is_null() => {}
        _ => out.push(Document { value, source: source.to_owned() }),
    }
}

/// The kind a manifest names.
///
/// # Errors
/// When the server does not have it.
pub fn kind_of<'a>(kinds: &'a Kinds, document: &Document) -> Result<&'a Kind, Failure> {
    let (version, kind) = (text(&document.value, "/apiVersion"), text(&document.value, "/kind"));
    let source = &document.source;
    if kind.is_empty() || version.is_empty() {
        let missing = if kind.is_empty() { "kind" } else { "apiVersion" };
        return Err(Failure::plain(format!(
            "error: error validating \"{source}\": error validating data: {missing} not set"
        )));
    }
    kinds.of(version, kind).ok_or_else(|| {
        let name = text(&document.value, "/metadata/name");
        Failure::plain(format!(
            "error: resource mapping not found for name: \"{name}\" namespace: \"{}\" from \"{source}\": no matches for kind \"{kind}\" in version \"{version}\"\nensure CRDs are installed first",
            text(&document.value, "/metadata/namespace"),
        ))
    })
}

/// Where a manifest goes: its own namespace, else the command's; naming two different ones is an error.
///
/// # Errors
/// When they differ.
pub fn namespace_of(
    call: &Call,
    cluster: &Cluster,
    document: &Document,
) -> Result<String, Failure> {
    let own = text(&document.value, "/metadata/namespace");
    match call.get("namespace") {
        Some(asked) if !own.is_empty() && asked != own => Err(Failure::plain(format!(
            "error: the namespace from the provided object \"{own}\" does not match the namespace \"{asked}\". You must pass '--namespace={own}' to perform this operation."
        ))),
        _ if own.is_empty() => Ok(cluster.namespace.clone()),
        _ => Ok(own.to_owned()),
    }
}
