//! apiextensions.k8s.io/v1 and apiregistration.k8s.io/v1: what adds kinds to the server.

use crate::admission::{Admit, Also, AlsoChange, Extras, Operation};
use crate::core::pod_defaults::{set, set_text};
use crate::row::{Hooks, KindRow};
use crate::rows::{STATUS, version};
use crate::table::{AGE, NAME, age, at, col, list, name, plain, text};
use crate::{Column, Generation};
use meta::{Fault, Resource, Time, Value};
use serde_json::json;
use store::{Key, View};

const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

pub static CUSTOM_RESOURCE_DEFINITION: KindRow = KindRow::cluster(
    "apiextensions.k8s.io",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    "customresourcedefinition",
    &[version(
        "v1",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    )],
)
.short(&["crd", "crds"])
.categories(&["api-extensions"])
.subresources(&[STATUS])
.conditional()
.hooks(Hooks {
    default: Some(default_definition),
    prepare: Some(prepare_definition),
    check: Some(check_definition),
    generation: Generation::Spec,
    terminate: Some(terminate),
    dependents: Some(instances),
    ..Hooks::NONE
})
.sample(concat!(
    "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: samples.example.com}\n",
    "spec: {group: example.com, scope: Namespaced, names: {plural: samples, kind: Sample}, versions: [{name: v1, ",
    "served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}\n"
));

/// SetDefaults_CustomResourceDefinition and Spec.
fn default_definition(v: &mut Value) {
    let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
    set(spec, "names", json!({}));
    let kind = text(spec, "names.kind");
    if !kind.is_empty() {
        set_text(&mut spec["names"], "singular", &kind.to_lowercase());
        set_text(&mut spec["names"], "listKind", &format!("{kind}List"));
    }
    set(spec, "conversion", json!({}));
    set_text(&mut spec["conversion"], "strategy", "None");
    if let Some(service) = spec.pointer_mut("/conversion/webhook/clientConfig/service") {
        set(service, "port", 443);
    }
    if let Some(names) = v.pointer_mut("/status/acceptedNames").filter(|n| n.is_object()) {
        let kind = text(names, "kind");
        if !kind.is_empty() {
            set_text(names, "listKind", &format!("{kind}List"));
            set_text(names, "singular", &kind.to_lowercase());
        }
    }
}

/// customresourcedefinition strategy: stored versions only grow here.
fn prepare_definition(new: &mut Value, _old: Option<&Value>) {
    if !new["status"].is_object() {
        new["status"] = json!({ "acceptedNames": { "plural": "", "kind": "" }, "conditions": [] });
    }
    let storage = list(new, "spec.versions").iter().find(|v| v["storage"] == true);
    let Some(storage) = storage.map(|v| v["name"].clone()) else { return };
    let mut stored = list(new, "status.storedVersions").to_vec();
    if !stored.contains(&storage) {
        stored.push(storage);
        new["status"]["storedVersions"] = stored.into();
    }
}

/// The rules that everything else stands on; the schemas are checked where they are compiled.
fn check_definition(new: &Value, old: Option<&Value>, faults: &mut Vec<Fault>) {
    let (plural, group) = (text(new, "spec.names.plural"), text(new, "spec.group"));
    let wanted = format!("{plural}.{group}");
    let own = text(new, "metadata.name");
    if own != wanted {
        let why = "must be spec.names.plural+\".\"+spec.group";
        faults.push(Fault::invalid("metadata.name", own, why));
    }
    for path in ["spec.group", "spec.scope", "spec.names.plural", "spec.names.kind"] {
        if text(new, path).is_empty() {
            faults.push(Fault::required(path, ""));
        }
    }
    let versions = list(new, "spec.versions");
    if versions.iter().filter(|v| v["storage"] == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        faults.push(Fault::invalid("spec.versions", versions.to_vec(), why));
    }
    for (i, version) in versions.iter().enumerate() {
        if at(version, "schema.openAPIV3Schema").is_none() {
            let path = format!("spec.versions[{i}].schema.openAPIV3Schema");
            faults.push(Fault::required(path, "schemas are required"));
        } else {
            let path = format!("spec.versions[{i}].schema.openAPIV3Schema");
            if let Err(found) = schema::compile(&version["schema"]["openAPIV3Schema"], &path) {
                faults.extend(found);
            }
        }
    }
    if let Some(old) = old {
        for path in ["spec.group", "spec.scope", "spec.names.plural", "spec.names.kind"] {
            let fixed = matches!(path, "spec.group" | "spec.names.plural") || established(old);
            if fixed && text(old, path) != text(new, path) {
                faults.push(Fault::invalid(path, text(new, path), "field is immutable"));
            }
        }
    }
}

fn established(v: &Value) -> bool {
    list(v, "status.conditions").iter().any(|c| c["type"] == "Established" && c["status"] == "True")
}

/// The instances go first, in the same transaction when none of them waits for a finalizer (upstream's finalizer
/// controller, done in the write itself).
fn instances(v: &Value, view: &View, now: Time) -> (Vec<Also>, bool) {
    let resource = Resource::new(&text(v, "spec.group"), &text(v, "spec.names.plural"));
    let mut waits = false;
    let mut also = Vec::new();
    for object in view.list(&resource, None) {
        let change = if object.head.finalizers.is_empty() {
            let (namespace, name) = (object.key.namespace.to_string(), object.key.name.to_string());
            AlsoChange::Delete { namespace, name }
        } else {
            waits = true;
            if object.head.deleted.is_some() {
                continue;
            }
            let mut value = object.value();
            value["metadata"]["deletionTimestamp"] = now.rfc3339().into();
            value["metadata"]["deletionGracePeriodSeconds"] = 0.into();
            value["metadata"]["resourceVersion"] = object.revision.to_string().into();
            AlsoChange::Replace(value)
        };
        also.push(Also { resource: resource.clone(), change });
    }
    (also, waits)
}

fn definition(resource: &Resource, view: &View) -> Option<std::sync::Arc<store::Object>> {
    let definitions = Resource::new("apiextensions.k8s.io", "customresourcedefinitions");
    let found = view.get(&Key::new(&definitions, "", resource.as_str()))?;
    found.head.deleted.map(|_| found.clone())
}

/// Whether the definition of a custom resource is going away: nothing new may be made of it.
pub fn is_terminating(resource: &Resource, view: &View) -> bool {
    definition(resource, view).is_some()
}

/// What becomes of a definition that is going away when one of its instances goes: the last takes it along. It is
/// written either way, so that two that go at the same time see each other.
pub fn instance_goes(resource: &Resource, view: &View) -> Option<Also> {
    let found = definition(resource, view)?;
    let left = view.count(resource).saturating_sub(1);
    let mut value = found.value();
    value["metadata"]["resourceVersion"] = found.revision.to_string().into();
    let mut finalizers = list(&value, "metadata.finalizers").to_vec();
    if left == 0 {
        finalizers.retain(|f| f != CLEANUP);
        value["metadata"]["finalizers"] = finalizers.clone().into();
    }
    for condition in crate::core::pod_defaults::each(&mut value["status"], "conditions") {
        if condition["type"] == "Terminating" {
            condition["reason"] = "InstanceDeletionInProgress".into();
            let message = format!("CustomResource deletion is in progress: {left} left");
            condition["message"] = message.into();
        }
    }
    let change = match finalizers.is_empty() {
        true => AlsoChange::Delete { namespace: String::new(), name: found.key.name.to_string() },
        false => AlsoChange::Replace(value),
    };
    Some(Also { resource: found.key.resource.clone(), change })
}

/// The definition stays while an instance waits for a finalizer.
fn terminate(v: &mut Value) {
    let mut finalizers = list(v, "metadata.finalizers").to_vec();
    if !finalizers.iter().any(|f| f == CLEANUP) {
        finalizers.push(CLEANUP.into());
    }
    v["metadata"]["finalizers"] = finalizers.into();
    let mut conditions = list(v, "status.conditions").to_vec();
    conditions.retain(|c| c["type"] != "Terminating");
    conditions.push(json!({
        "type": "Terminating",
        "status": "True",
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        "lastTransitionTime": text(v, "metadata.deletionTimestamp"),
    }));
    v["status"]["conditions"] = conditions.into();
}

pub static API_SERVICE: KindRow = KindRow::cluster(
    "apiregistration.k8s.io",
    "APIService",
    "apiservices",
    "apiservice",
    &[version("v1", "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService")],
)
.categories(&["api-extensions"])
.subresources(&[STATUS])
.conditional()
.defaults(|v| {
    if let Some(service) = v.pointer_mut("/spec/service") {
        set(service, "port", 443);
    }
})
.table(API_SERVICE_COLUMNS, |v, now| {
    let service = match at(v, "spec.service") {
        Some(s) => format!("{}/{}", text(s, "namespace"), text(s, "name")),
        None => "Local".into(),
    };
    let available = list(v, "status.conditions").iter().find(|c| c["type"] == "Available");
    let available = match available {
        None => "Unknown".into(),
        Some(c) if c["status"] == "True" => "True".into(),
        Some(c) => format!("{} ({})", plain(&c["status"]), text(c, "reason")),
    };
    vec![name(v), service.into(), available.into(), age(v, now)]
})
.sample(concat!(
    "apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: v1.sample.example.com}\n",
    "spec: {group: sample.example.com, version: v1, groupPriorityMinimum: 100, versionPriority: 10, ",
    "service: {namespace: default, name: s}}\n"
));

const API_SERVICE_COLUMNS: &[Column] = &[
    NAME,
    col("Service", "string", "The reference to the service that hosts this API endpoint."),
    col("Available", "string", "Whether this service is available."),
    AGE,
];

/// Accepts the names of a definition when no other of its group has them, and establishes it (upstream's
/// naming and establishing controllers, done in the write itself).
pub(crate) fn establish(
    v: &mut Value,
    admit: &Admit<'_>,
    _: &mut Extras,
) -> Result<(), meta::Problem> {
    if !admit.is("customresourcedefinitions.apiextensions.k8s.io")
        || admit.operation == Operation::Delete
    {
        return Ok(());
    }
    let now = admit.now.rfc3339();
    if !v["status"].is_object() {
        v["status"] = json!({});
    }
    let taken = conflict(v, admit);
    let (accepted, reason, message) = match &taken {
        None => ("True", "NoConflicts", "no conflicts found".to_string()),
        Some(name) => ("False", "NamesConflict", format!("{name:?} is already in use")),
    };
    condition(v, &now, ["NamesAccepted", accepted, reason, &message]);
    if taken.is_none() {
        v["status"]["acceptedNames"] = v["spec"]["names"].clone();
        condition(
            v,
            &now,
            ["Established", "True", "InitialNamesAccepted", "the initial names have been accepted"],
        );
    } else if !established(v) {
        condition(v, &now, ["Established", "False", "NotAccepted", "not all names are accepted"]);
    }
    Ok(())
}

fn condition(v: &mut Value, now: &str, [kind, status, reason, message]: [&str; 4]) {
    let mut conditions = list(v, "status.conditions").to_vec();
    if conditions.iter().any(|c| c["type"] == kind && c["status"] == status) {
        return;
    }
    conditions.retain(|c| c["type"] != kind);
    conditions.push(json!({
        "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now,
    }));
    v["status"]["conditions"] = conditions.into();
}

/// A name another definition of the group was given first.
fn conflict(v: &Value, admit: &Admit<'_>) -> Option<String> {
    let (group, own) = (text(v, "spec.group"), text(v, "metadata.name"));
    let names = |names: &Value| -> Vec<String> {
        let mut all = vec![text(names, "plural"), text(names, "singular")];
        all.extend(list(names, "shortNames").iter().map(plain));
        all.retain(|n| !n.is_empty());
        all
    };
    let kinds = |names: &Value| [text(names, "kind"), text(names, "listKind")];
    let wanted = &v["spec"]["names"];
    let others = admit.view.list(admit.resource, None).filter(|o| *o.key.name != *own);
    others.map(|o| o.value()).filter(|o| text(o, "spec.group") == group).find_map(|other| {
        let taken = &other["status"]["acceptedNames"];
        let (theirs, their_kinds) = (names(taken), kinds(taken));
        let name = names(wanted).into_iter().find(|n| theirs.contains(n));
        name.or_else(|| {
            kinds(wanted).into_iter().find(|k| !k.is_empty() && their_kinds.contains(k))
        })
    })
}
