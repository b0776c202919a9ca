//! `metadata.managedFields`: reading it, keeping it true on every write, and server-side apply.
//!
//! Rules of k8s.io/apimachinery `pkg/util/managedfields/internal/` (structuredmerge, buildmanagerinfo, capmanagers,
//! managedfieldsupdater, skipnonapplied, stripmeta, lastappliedmanager).

use crate::apply::{self, Conflicts, Force, Owners};
use crate::fieldset::{FieldSet, Step};
use crate::fieldsv1;
use crate::shape::At;
use meta::{Cause, Details, Map, Problem, Reason, Time, Value};
use std::collections::BTreeMap;

/// Who writes, at which version, when.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    pub manager: &'a str,
    /// `""`, `status`, `scale`, ...
    pub subresource: &'a str,
    /// `apps/v1`
    pub api_version: &'a str,
    pub now: Time,
}

/// The type of what is written.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    pub at: At<'a>,
    /// The object as it is when nothing is set: what upstream serialises for an empty struct of the kind.
    pub zero: &'a Value,
    /// Fields this endpoint resets, so that nobody can own them through it (`status` on the main resource).
    pub ignored: &'a FieldSet,
}

/// Upstream keeps this many `Update` managers apart and folds older ones into `ancient-changes`.
const UPDATE_MANAGERS_MAX: usize = 10;
/// Owner of what an object had before the first apply, when nobody was recorded.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Identity of a managedFields entry. Appliers are one whatever version they use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Manager {
    operation: Operation,
    name: String,
    api_version: String,
    subresource: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Apply,
    Update,
}

/// All entries: sets, and when each was last written, and the version appliers used.
#[derive(Debug, Default)]
struct Managed {
    owners: Owners<Manager>,
    times: BTreeMap<Manager, Time>,
    versions: BTreeMap<Manager, String>,
}

/// Sets `managedFields` of `new` for a create, update or patch of `live` (`None` on create).
///
/// Ownership never fails a write: entries that cannot be read are dropped, as upstream does.
pub fn track(
    live: Option<&Value>,
    mut new: Value,
    writer: Writer<'_>,
    target: Target<'_>,
) -> Value {
    let requested = take_entries(&mut new);
    let live_entries = live.and_then(entries_of).unwrap_or_default();
    let entries = match requested {
        _ if !writer.subresource.is_empty() => live_entries,
        Some(entries) if is_reset(&entries) => Vec::new(),
        Some(entries) if !entries.is_empty() => {
            if Managed::decode(&entries).is_empty() {
                live_entries
            } else {
                entries
            }
        }
        _ => live_entries,
    };
    let mut managed = Managed::decode(&entries);
    if managed.is_empty() && live.is_some() {
        return new;
    }
    let bare_live = live.map(without_entries);
    let base = bare_live.as_ref().unwrap_or(target.zero);
    managed.update(Manager::updating(writer), (base, &new), writer.now, target);
    managed.cap();
    managed.encode_into(&mut new);
    new
}

/// The result of a server-side apply.
#[derive(Debug)]
pub struct Applied {
    /// The merged object with its `managedFields`, before defaulting.
    pub object: Value,
}

/// Applies `config` for `writer`; `live` is `None` when the object is created.
///
/// # Errors
/// 409 with a `FieldManagerConflict` cause per field that others own, unless `force`; 400 when `config` carries
/// managedFields or another version than the request.
pub fn apply(
    live: Option<&Value>,
    config: &Value,
    force: Force,
    writer: Writer<'_>,
    target: Target<'_>,
) -> Result<Applied, Problem> {
    refuse_config(config, writer)?;
    let mut managed = Managed::decode(&live.and_then(entries_of).unwrap_or_default());
    let bare_live = live.map(without_entries);
    let base = bare_live.as_ref().unwrap_or(target.zero);
    if managed.is_empty() && live.is_some() {
        let before = Writer { manager: BEFORE_FIRST_APPLY, subresource: "", ..writer };
        managed.update(Manager::updating(before), (target.zero, base), writer.now, target);
    }
    let mut object = managed
        .apply((base, config), force, writer, target)
        .or_else(|conflicts| {
            let left = without_client_side(conflicts, base, writer, target);
            if left.is_empty() {
                managed.apply((base, config), Force::Yes, writer, target)
            } else {
                Err(left)
            }
        })
        .map_err(|conflicts| conflict_problem(&conflicts, &managed.times))?;
    keep_last_applied(&mut object, config, writer);
    managed.cap();
    managed.encode_into(&mut object);
    Ok(Applied { object })
}

fn refuse_config(config: &Value, writer: Writer<'_>) -> Result<(), Problem> {
    if entries_of(config).is_some_and(|entries| !entries.is_empty()) {
        return Err(Problem::bad_request("metadata.managedFields must be nil"));
    }
    let version = config.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    if version != writer.api_version {
        return Err(Problem::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, expected: {}",
            writer.api_version
        )));
    }
    Ok(())
}

impl Manager {
    fn updating(writer: Writer<'_>) -> Self {
        Self {
            operation: Operation::Update,
            name: writer.manager.into(),
            api_version: writer.api_version.into(),
            subresource: writer.subresource.into(),
        }
    }

    fn applying(writer: Writer<'_>) -> Self {
        Self {
            operation: Operation::Apply,
            name: writer.manager.into(),
            api_version: String::new(),
            subresource: writer.subresource.into(),
        }
    }

    /// `"kubectl" using apps/v1 at 2026-01-02T03:04:05Z`
    fn shown(&self, at: Option<&Time>) -> String {
        let mut out = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            out.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            out.push_str(&format!(" using {}", self.api_version));
            if let Some(at) = at {
                out.push_str(&format!(" at {at}"));
            }
        }
        out
    }
}

impl Managed {
    fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    fn decode(entries: &[Value]) -> Self {
        let mut out = Self::default();
        for entry in entries {
            if out.decode_entry(entry).is_none() {
                return Self::default();
            }
        }
        out
    }

    /// `None` when the entry cannot be read.
    fn decode_entry(&mut self, entry: &Value) -> Option<()> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let operation = match text("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        let api_version = text("apiVersion").to_string();
        let manager = Manager {
            operation,
            name: text("manager").into(),
            api_version: if operation == Operation::Apply {
                String::new()
            } else {
                api_version.clone()
            },
            subresource: text("subresource").into(),
        };
        let set = fieldsv1::decode(entry.get("fieldsV1").unwrap_or(&Value::Null)).ok()?;
        if let Some(at) = Time::parse(text("time")) {
            self.times.insert(manager.clone(), at);
        }
        self.versions.insert(manager.clone(), api_version);
        self.owners.insert(manager, set);
        Some(())
    }

    fn update(
        &mut self,
        manager: Manager,
        states: (&Value, &Value),
        now: Time,
        target: Target<'_>,
    ) {
        // The operation is a manager of its own first, so that only fields it really took change the time.
        let current = Manager { name: "\u{0}current".into(), ..manager.clone() };
        apply::update(&mut self.owners, &current, states, target.ignored, target.at);
        if let Some(took) = self.owners.remove(&current) {
            let took = strip(&took);
            if !took.is_empty() {
                let had = self.owners.remove(&manager).unwrap_or_default();
                self.versions.insert(manager.clone(), manager.api_version.clone());
                self.times.insert(manager.clone(), now);
                self.owners.insert(manager, had.union(&took));
            }
        }
    }

    fn apply(
        &mut self,
        states: (&Value, &Value),
        force: Force,
        writer: Writer<'_>,
        target: Target<'_>,
    ) -> Result<Value, Conflicts<Manager>> {
        let manager = Manager::applying(writer);
        let mut owners = self.owners.clone();
        let object = apply::apply(&mut owners, &manager, states, target.ignored, target.at, force)?;
        if let Some(mine) = owners.remove(&manager) {
            let mine = strip(&mine);
            if !mine.is_empty() {
                owners.insert(manager.clone(), mine);
            }
        }
        self.owners = owners;
        self.versions.insert(manager.clone(), writer.api_version.into());
        // As upstream, an apply that changes nothing but ownership leaves the time as it was.
        if !crate::walk::same(&object, states.0) {
            self.times.insert(manager, writer.now);
        }
        Ok(object)
    }

    /// Folds the oldest `Update` managers of a version into `ancient-changes`.
    fn cap(&mut self) {
        let mut updaters: Vec<_> =
            self.owners.keys().filter(|m| m.operation == Operation::Update).cloned().collect();
        updaters.sort_by_key(|m| (self.times.get(m).copied().unwrap_or_default(), m.name.clone()));
        let surplus = updaters.len().saturating_sub(UPDATE_MANAGERS_MAX);
        for old in updaters.into_iter().take(if surplus > 0 { surplus + 1 } else { 0 }) {
            let ancient = Manager { name: "ancient-changes".into(), ..old.clone() };
            let set = self.owners.remove(&old).unwrap_or_default();
            let at = self.times.remove(&old).unwrap_or_default();
            let latest = self.times.entry(ancient.clone()).or_insert(at);
            *latest = (*latest).max(at);
            self.versions.insert(ancient.clone(), ancient.api_version.clone());
            let had = self.owners.remove(&ancient).unwrap_or_default();
            self.owners.insert(ancient, had.union(&set));
        }
    }

    fn encode_into(&self, object: &mut Value) {
        let mut entries: Vec<_> = self.owners.iter().filter(|(_, set)| !set.is_empty()).collect();
        entries.sort_by_key(|(m, _)| {
            (m.operation, self.times.get(*m).map_or(0, |t| t.secs()), m.name.clone(), (*m).clone())
        });
        let entries: Vec<_> = entries.into_iter().map(|(m, set)| self.entry(m, set)).collect();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            if entries.is_empty() {
                metadata.remove("managedFields");
            } else {
                metadata.insert("managedFields".into(), Value::Array(entries));
            }
        }
    }

    fn entry(&self, manager: &Manager, set: &FieldSet) -> Value {
        let mut out = Map::new();
        let operation = if manager.operation == Operation::Apply { "Apply" } else { "Update" };
        let version = self.versions.get(manager).unwrap_or(&manager.api_version);
        out.insert("manager".into(), manager.name.clone().into());
        out.insert("operation".into(), operation.into());
        out.insert("apiVersion".into(), version.clone().into());
        if let Some(at) = self.times.get(manager) {
            out.insert("time".into(), at.rfc3339().into());
        }
        out.insert("fieldsType".into(), "FieldsV1".into());
        out.insert("fieldsV1".into(), fieldsv1::encode(set));
        if !manager.subresource.is_empty() {
            out.insert("subresource".into(), manager.subresource.clone().into());
        }
        Value::Object(out)
    }
}

// === entries in an object ===

fn entries_of(object: &Value) -> Option<Vec<Value>> {
    object.get("metadata")?.get("managedFields")?.as_array().cloned()
}

fn take_entries(object: &mut Value) -> Option<Vec<Value>> {
    match object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")? {
        Value::Array(entries) => Some(entries),
        _ => None,
    }
}

fn without_entries(object: &Value) -> Value {
    let mut out = object.clone();
    take_entries(&mut out);
    out
}

/// `[{}]` asks to forget who manages what.
fn is_reset(entries: &[Value]) -> bool {
    matches!(entries, [only] if only.as_object().is_some_and(Map::is_empty))
}

/// Nobody owns an object's identity (`stripmeta.go`).
fn strip(set: &FieldSet) -> FieldSet {
    let mut gone = FieldSet::default();
    for name in ["apiVersion", "kind", "metadata"] {
        gone.insert(&[Step::Field(name.into())]);
    }
    for name in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ] {
        gone.insert(&[Step::Field("metadata".into()), Step::Field(name.into())]);
    }
    set.difference(&gone)
}

// === conflicts ===

fn conflict_problem(conflicts: &Conflicts<Manager>, times: &BTreeMap<Manager, Time>) -> Problem {
    let fields: Vec<(String, String)> = conflicts
        .iter()
        .flat_map(|(m, set)| {
            let who = m.shown(times.get(m));
            set.paths().into_iter().map(move |path| (who.clone(), path))
        })
        .collect();
    let causes = fields.iter().map(|(who, path)| Cause {
        reason: "FieldManagerConflict".into(),
        message: format!("conflict with {who}"),
        field: path.clone(),
    });
    Problem::new(Reason::Conflict, conflict_message(&fields))
        .with(Details { causes: causes.collect(), ..Details::default() })
}

fn conflict_message(fields: &[(String, String)]) -> String {
    if let [(who, path)] = fields {
        return format!("Apply failed with 1 conflict: conflict with {who}: {path}");
    }
    let mut by_manager: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (who, path) in fields {
        by_manager.entry(who).or_default().push(path);
    }
    let mut lines = Vec::new();
    for (who, paths) in by_manager {
        lines.push(format!("conflicts with {who}:"));
        lines.extend(paths.into_iter().map(|path| format!("- {path}")));
    }
    format!("Apply failed with {} conflicts: {}", fields.len(), lines.join("\n"))
}

// === kubectl's move from client-side to server-side apply ===

fn last_applied(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str()
}

/// kubectl may take over without `--force-conflicts` what its own client-side apply had set and nobody has changed
/// since: what is left of the conflicts then (`lastappliedmanager.go`).
fn without_client_side(
    conflicts: Conflicts<Manager>,
    live: &Value,
    writer: Writer<'_>,
    target: Target<'_>,
) -> Conflicts<Manager> {
    if writer.manager != "kubectl" {
        return conflicts;
    }
    let Some(last) = last_applied(live).and_then(|text| serde_json::from_str::<Value>(text).ok())
    else {
        return conflicts;
    };
    if last.get("apiVersion").and_then(Value::as_str) != Some(writer.api_version) {
        return conflicts;
    }
    let since = crate::walk::compare(&last, live, target.at);
    let allowed = crate::walk::field_set(&last, target.at)
        .difference(&since.modified)
        .difference(&since.added)
        .difference(&since.removed);
    let left = conflicts.into_iter().map(|(who, set)| (who, set.difference(&allowed)));
    left.filter(|(_, set)| !set.is_empty()).collect()
}

/// kubectl keeps the annotation of its client-side apply current as long as the object has one; nobody comes to own
/// it by that (`lastappliedupdater.go`).
fn keep_last_applied(object: &mut Value, config: &Value, writer: Writer<'_>) {
    if writer.manager != "kubectl" || last_applied(object).is_none_or(str::is_empty) {
        return;
    }
    let text = format!("{}\n", without_last_applied(config));
    let annotations = object.get_mut("metadata").and_then(|m| m.get_mut("annotations"));
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.insert(LAST_APPLIED.into(), text.into());
    }
}

fn without_last_applied(config: &Value) -> Value {
    let mut out = config.clone();
    let annotations = out.get_mut("metadata").and_then(|m| m.get_mut("annotations"));
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    out
}
