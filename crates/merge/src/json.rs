//! JSON merge patch (RFC 7386) and JSON patch (RFC 6902).

use meta::{Problem, Reason, Value};

/// `target` with a merge patch applied: nulls delete, objects merge, the rest replaces.
pub fn merge_patch(target: &Value, patch: &Value) -> Value {
    let mut out = target.clone();
    json_patch::merge(&mut out, patch);
    out
}

/// `target` with a JSON patch applied.
///
/// # Errors
/// 400 when the patch is no list of objects, 413 when it is too long, 422 when an operation is none or does not
/// apply or a `test` fails (apiserver `endpoints/handlers/patch.go`, `jsonPatcher`).
pub fn json_patch(target: &Value, patch: &Value) -> Result<Value, Problem> {
    let Some(listed) = patch.as_array().filter(|list| list.iter().all(Value::is_object)) else {
        let why = "error decoding patch: a JSON patch must be a list of operations";
        return Err(Problem::bad_request(why));
    };
    if listed.len() > OPERATIONS_MAX {
        return Err(Problem::new(
            Reason::RequestEntityTooLarge,
            format!(
                "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
                listed.len()
            ),
        ));
    }
    let operations: json_patch::Patch =
        serde_json::from_value(patch.clone()).map_err(|_| refused())?;
    let mut out = target.clone();
    json_patch::patch(&mut out, &operations).map_err(|_| refused())?;
    Ok(out)
}

/// Upstream says no more than this (`NewGenericServerResponse` with 422).
fn refused() -> Problem {
    Problem::new(Reason::Invalid, "the server rejected our request due to an error in our request")
}

/// As upstream's `maxJSONPatchOperations`: bounds what one request can make the server copy.
const OPERATIONS_MAX: usize = 10_000;
