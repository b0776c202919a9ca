//! Namespaces: two-step deletion through `spec.finalizers` and `/finalize`.

use crate::row::{Hooks, KindRow, SubAction, SubRow};
use crate::rows::{STATUS, field, keep_all_but, version};
use crate::table::{AGE, NAME, age, col, count, name, text};
use meta::Value;
use serde_json::json;

pub static NAMESPACE: KindRow = KindRow::cluster(
    "",
    "Namespace",
    "namespaces",
    "namespace",
    &[version("v1", "io.k8s.api.core.v1.Namespace")],
)
.short(&["ns"])
.named(meta::names::dns_label)
.returns_deleted()
.verbs(&["create", "delete", "get", "list", "patch", "update", "watch"])
.subresources(&[
    SubRow {
        name: "finalize",
        verbs: &["update"],
        kind: None,
        action: SubAction::Part { keep: |new, old| keep_all_but(&["spec"], new, old), check: None },
    },
    STATUS,
])
.table(&[NAME, col("Status", "string", ""), AGE], |v, now| {
    vec![name(v), text(v, "status.phase").into(), age(v, now)]
})
.fields(&[field!("status.phase")])
.hooks(Hooks {
    default: Some(default),
    prepare: Some(prepare),
    check: Some(crate::check::cluster::namespace),
    held: Some(|v| count(v, "spec.finalizers") > 0),
    terminate: Some(|v| v["status"]["phase"] = "Terminating".into()),
    ..Hooks::NONE
})
.sample("apiVersion: v1\nkind: Namespace\nmetadata: {name: sample}\n");

/// SetDefaults_Namespace: the name as a label.
fn default(v: &mut Value) {
    let name = text(v, "metadata.name");
    if !name.is_empty() {
        v["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
    }
}

/// namespaceStrategy: the `kubernetes` finalizer on create; only `/finalize` changes `spec.finalizers`.
fn prepare(new: &mut Value, old: Option<&Value>) {
    match old {
        Some(old) => new["spec"] = old["spec"].clone(),
        None => {
            let mut finalizers = vec![json!("kubernetes")];
            let given = new.pointer("/spec/finalizers").and_then(Value::as_array).cloned();
            finalizers.extend(given.into_iter().flatten().filter(|f| *f != "kubernetes"));
            new["spec"] = json!({ "finalizers": finalizers });
            new["status"] = json!({ "phase": "Active" });
        }
    }
}
