//! `apply`, `create -f`, `replace`: manifests into the cluster.

use super::kinds::{Kind, Kinds};
use super::manifests::{self, Document};
use super::print::Output;
use super::{Cluster, DryRun, cluster, dry_run, text};
use crate::failure::Failure;
use crate::parse::Call;
use http::Method;
use meta::Value;
use remote::{Error, escape};

/// Who owns the fields of what is applied here.
const MANAGER: &str = "kubectl";

struct Work<'a> {
    call: &'a Call,
    cluster: Cluster,
    kinds: Kinds,
    output: Output,
    dry: DryRun,
}

impl<'a> Work<'a> {
    async fn new(call: &'a Call) -> Result<Self, Failure> {
        let cluster = cluster(call)?;
        let kinds = Kinds::load(&cluster.kube).await?;
        Ok(Self { call, cluster, kinds, output: Output::of(call)?, dry: dry_run(call)? })
    }

    fn said(&self, value: &Value, what: &str) -> Result<(), Failure> {
        let said = format!("{what}{}", self.dry.suffix());
        self.output.object(self.call, &self.kinds, value, &said)
    }
}

/// Does something with each document; failures are told and the rest goes on, as kubectl does.
async fn each<F>(
    call: &Call,
    documents: &[Document],
    one: impl Fn(usize) -> F,
) -> Result<u8, Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let mut code = 0;
    for at in 0..documents.len() {
        if let Err(failure) = one(at).await {
            failure.tell(call.voice);
            code = 1;
        }
    }
    Ok(code)
}

fn refuse_no_files(call: &Call) -> Result<(), Failure> {
    match call.all("filename").is_empty() {
        true => {
            Err(Failure::plain("error: must specify one of -f and -k")
                .hint("-f FILE, -f DIR or -f -"))
        }
        false => Ok(()),
    }
}

pub async fn apply(call: &Call) -> Result<u8, Failure> {
    refuse_no_files(call)?;
    let documents = manifests::read(call).await?;
    let mut work = Work::new(call).await?;
    let mut code = 0;
    for document in &documents {
        if let Err(failure) = apply_one(&work, document).await {
            failure.tell(call.voice);
            code = 1;
        }
        if text(&document.value, "/kind") == "CustomResourceDefinition" && work.dry == DryRun::None
        {
            work.kinds = Kinds::load(&work.cluster.kube).await?;
        }
    }
    Ok(code)
}

async fn apply_one(work: &Work<'_>, document: &Document) -> Result<(), Failure> {
    let kind = manifests::kind_of(&work.kinds, document)?;
    let namespace = manifests::namespace_of(work.call, &work.cluster, document)?;
    let name = text(&document.value, "/metadata/name");
    if name.is_empty() {
        return Err(Failure::plain(format!(
            "error: error when applying \"{}\": resource name may not be empty",
            document.source
        )));
    }
    let path = kind.path(Some(&namespace), Some(name));
    let what = format!("apply \"{}\"", document.source);
    let kube = &work.cluster.kube;
    let before = match kube.get(&path).await {
        Ok(value) => Some(value),
        Err(e) if e.is_not_found() => None,
        Err(e) => return Err(Failure::kube(what, &e)),
    };
    if work.dry == DryRun::Client {
        let said = if before.is_some() { "configured" } else { "created" };
        return work.said(&document.value, said);
    }
    let asks_server = work.call.has("server-side");
    let manager = work.call.get("field-manager").unwrap_or(MANAGER);
    // Client-side apply has no conflicts; only the server-side one asks.
    let force = !asks_server || work.call.has("force-conflicts");
    let validation = validation(work.call);
    let path = format!("{path}?{}{validation}", work.dry.query());
    let mut value = document.value.clone();
    if kind.namespaced {
        value["metadata"]["namespace"] = namespace.into();
    }
    let after = kube.apply(path.trim_end_matches(['?', '&']), manager, force, &value).await;
    let after = after.map_err(|e| apply_failed(&what, &e))?;
    let said = match &before {
        _ if asks_server => "serverside-applied",
        None => "created",
        Some(before) if same(before, &after) => "unchanged",
        Some(_) => "configured",
    };
    work.said(&after, said)
}

/// Nothing a user would call a change: bookkeeping of who owns what is none.
fn same(before: &Value, after: &Value) -> bool {
    let bare = |value: &Value| {
        let mut value = value.clone();
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            for key in ["managedFields", "resourceVersion", "generation"] {
                metadata.remove(key);
            }
        }
        value
    };
    text(before, "/metadata/resourceVersion") == text(after, "/metadata/resourceVersion")
        || bare(before) == bare(after)
}

fn apply_failed(what: &str, error: &Error) -> Failure {
    let failure = Failure::kube(what, error);
    match error.code() {
        Some(409) => failure.hint("--force-conflicts takes the fields over from whoever owns them"),
        _ => failure,
    }
}

/// How unknown fields are taken: as errors unless told otherwise.
fn validation(call: &Call) -> String {
    let how = match call.get("validate") {
        None | Some("true" | "strict") => "Strict",
        Some("warn") => "Warn",
        Some(_) => "Ignore",
    };
    format!("fieldValidation={how}&")
}

pub async fn create(call: &Call) -> Result<u8, Failure> {
    if call.all("filename").is_empty() {
        let names: Vec<&str> = call.command.commands().map(|c| c.name).collect();
        let message = "error: must specify one of -f and -k";
        let hint = format!("or one of: {}", names.join(", "));
        return Err(Failure::plain(message).hint(hint));
    }
    let documents = manifests::read(call).await?;
    let work = Work::new(call).await?;
    each(call, &documents, |at| create_one(&work, &documents[at])).await
}

async fn create_one(work: &Work<'_>, document: &Document) -> Result<(), Failure> {
    let kind = manifests::kind_of(&work.kinds, document)?;
    let namespace = manifests::namespace_of(work.call, &work.cluster, document)?;
    let what = format!("create \"{}\"", document.source);
    let made = posted(work, kind, &namespace, &document.value).await;
    let made = made.map_err(|e| Failure::kube(what, &e))?;
    work.said(&made, "created")
}

async fn posted(
    work: &Work<'_>,
    kind: &Kind,
    namespace: &str,
    value: &Value,
) -> Result<Value, Error> {
    if work.dry == DryRun::Client {
        return Ok(value.clone());
    }
    let query = format!("{}{}fieldManager=kubectl-create", work.dry.query(), validation(work.call));
    let path = format!("{}?{query}", kind.path(Some(namespace), None));
    work.cluster.kube.post(&path, value).await
}

/// Creates an object made from options, and says so.
///
/// # Errors
/// The server's refusal.
pub async fn make(call: &Call, value: Value) -> Result<u8, Failure> {
    make_said(call, value, "created").await
}

/// As [`make`], with another word for it.
///
/// # Errors
/// The server's refusal.
pub async fn make_said(call: &Call, mut value: Value, said: &str) -> Result<u8, Failure> {
    let work = Work::new(call).await?;
    let (version, kind) = (text(&value, "/apiVersion"), text(&value, "/kind"));
    let known = work.kinds.of(version, kind).cloned();
    let missing = || Failure::plain(format!("error: the server has no {kind} in {version}"));
    let known = known.ok_or_else(missing)?;
    if known.namespaced && call.get("namespace").is_some() {
        value["metadata"]["namespace"] = work.cluster.namespace.as_str().into();
    }
    let made = posted(&work, &known, &work.cluster.namespace, &value).await;
    let made = made.map_err(|e| {
        let failure = Failure::kube(format!("create {}", known.word()), &e);
        if known.kind == "Namespace" {
            return failure;
        }
        let plain = format!("error: failed to create {}: {e}", known.singular);
        Failure { plain: Some(plain), ..failure }
    })?;
    work.said(&made, said)?;
    Ok(0)
}

pub async fn replace(call: &Call) -> Result<u8, Failure> {
    refuse_no_files(call)?;
    let documents = manifests::read(call).await?;
    let work = Work::new(call).await?;
    each(call, &documents, |at| replace_one(&work, &documents[at])).await
}

async fn replace_one(work: &Work<'_>, document: &Document) -> Result<(), Failure> {
    let kind = manifests::kind_of(&work.kinds, document)?;
    let namespace = manifests::namespace_of(work.call, &work.cluster, document)?;
    let name = text(&document.value, "/metadata/name");
    let what = format!("replace \"{}\"", document.source);
    let failed = |e: Error| Failure::kube(what.clone(), &e);
    let path = kind.path(Some(&namespace), Some(name));
    let kube = &work.cluster.kube;
    if work.call.has("force") {
        match kube.delete(&path, None).await {
            Err(e) if !e.is_not_found() => return Err(failed(e)),
            _ => super::remove::gone(kube, &path, None).await.map_err(failed)?,
        }
        let made = posted(work, kind, &namespace, &document.value).await.map_err(failed)?;
        return work.said(&made, "replaced");
    }
    if work.dry == DryRun::Client {
        return work.said(&document.value, "replaced");
    }
    let query =
        format!("{}{}fieldManager=kubectl-replace", work.dry.query(), validation(work.call));
    let made = kube.put(&format!("{path}?{query}"), &document.value).await.map_err(failed)?;
    work.said(&made, "replaced")
}

/// `diff`: what an apply would change, as the program `diff` shows it.
pub async fn diff(call: &Call) -> Result<u8, Failure> {
    refuse_no_files(call)?;
    let documents = manifests::read(call).await?;
    let work = Work::new(call).await?;
    let dir = std::env::temp_dir().join(format!("boxship-diff-{}", std::process::id()));
    let failed = |e: std::io::Error| Failure::new("write the versions to compare", e);
    for side in ["LIVE", "MERGED"] {
        std::fs::create_dir_all(dir.join(side)).map_err(failed)?;
    }
    let done = diff_all(&work, &documents, &dir).await;
    let _ = std::fs::remove_dir_all(&dir);
    done
}

async fn diff_all(
    work: &Work<'_>,
    documents: &[Document],
    dir: &std::path::Path,
) -> Result<u8, Failure> {
    let failed = |e: std::io::Error| Failure::new("compare the versions", e).code(2);
    for document in documents {
        let kind = manifests::kind_of(&work.kinds, document)?;
        let namespace = manifests::namespace_of(work.call, &work.cluster, document)?;
        let name = text(&document.value, "/metadata/name");
        let path = kind.path(Some(&namespace), Some(name));
        let kube = &work.cluster.kube;
        let live = kube.get(&path).await.ok();
        let query = format!("{path}?dryRun=All");
        let merged = kube.apply(&query, MANAGER, true, &document.value).await;
        let merged = merged.map_err(|e| Failure::kube("compare", &e).code(2))?;
        let file = format!("{}.{namespace}.{name}", kind.qualified());
        for (side, value) in [("LIVE", live), ("MERGED", Some(merged))] {
            let mut value = value.unwrap_or_default();
            super::print::strip_managed(&mut value);
            let text = if value.is_null() { String::new() } else { super::yaml::emit(&value) };
            std::fs::write(dir.join(side).join(&file), text).map_err(failed)?;
        }
    }
    let program = std::env::var("KUBECTL_EXTERNAL_DIFF").unwrap_or_else(|_| "diff -u -N".into());
    let mut words = program.split_whitespace();
    let status = std::process::Command::new(words.next().unwrap_or("diff"))
        .args(words)
        .args([dir.join("LIVE"), dir.join("MERGED")])
        .status()
        .map_err(|e| Failure::new(format!("run `{program}`"), e).code(2))?;
    Ok(u8::try_from(status.code().unwrap_or(2)).unwrap_or(2))
}

/// A path with a field manager, for patches by hand.
pub fn managed(path: &str, manager: &str, dry: DryRun) -> String {
    format!("{path}?{}fieldManager={}", dry.query(), escape(manager))
}

/// Sends a patch of the given sort.
///
/// # Errors
/// The server's refusal.
pub async fn patch(
    cluster: &Cluster,
    path: &str,
    sort: &str,
    value: &Value,
) -> Result<Value, Error> {
    cluster.kube.json(Method::PATCH, path, sort, Some(value)).await
}
