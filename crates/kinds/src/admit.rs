//! Built-in admission, in upstream's order.

use crate::admission::{Admit, AdmitRow, Extras, Operation};
use meta::{Cause, Problem, Resource, Value};
use store::Key;

/// Every built-in admission plugin.
pub static ADMISSION: &[AdmitRow] = &[
    AdmitRow { name: "NamespaceLifecycle", mutate: Some(lifecycle), validate: Some(guard) },
    AdmitRow {
        name: "CustomResourceNames",
        mutate: Some(crate::extension::establish),
        validate: None,
    },
];

const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// No creates in namespaces that are missing or going away
/// (apiserver `pkg/admission/plugin/namespace/lifecycle/admission.go`).
fn lifecycle(_: &mut Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    if admit.namespace.is_empty() || admit.operation != Operation::Create || is_review(admit) {
        return Ok(());
    }
    let namespaces = Resource::new("", "namespaces");
    let Some(found) = admit.view.get(&Key::new(&namespaces, "", admit.namespace)) else {
        return Err(Problem::not_found(&namespaces, admit.namespace));
    };
    if found.head.deleted.is_none() {
        return Ok(());
    }
    let namespace = admit.namespace;
    let message = format!("namespace {namespace} is being terminated");
    let why = format!(
        "unable to create new content in namespace {namespace} because it is being terminated"
    );
    let mut problem = Problem::forbidden(admit.resource, admit.name, &why);
    let cause = Cause {
        reason: "NamespaceTerminating".into(),
        message,
        field: "metadata.namespace".into(),
    };
    if let Some(details) = &mut problem.details {
        details.causes.push(cause);
    }
    Err(problem)
}

/// Access reviews work in any namespace.
fn is_review(admit: &Admit<'_>) -> bool {
    admit.resource.group() == "authorization.k8s.io"
}

fn guard(_: &Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    if admit.operation == Operation::Delete
        && admit.is("namespaces")
        && IMMORTAL.contains(&admit.name)
    {
        return Err(Problem::forbidden(
            admit.resource,
            admit.name,
            "this namespace may not be deleted",
        ));
    }
    Ok(())
}
