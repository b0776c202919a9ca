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
/// 400 when the patch is no list of operations, 422 when an operation does not apply or a `test` fails
/// (apiserver `endpoints/handlers/patch.go`, `jsonPatcher`).
pub fn json_patch(target: &Value, patch: &Value) -> Result<Value, Problem> {
    let operations: json_patch::Patch = serde_json::from_value(patch.clone())
        .map_err(|e| Problem::bad_request(format!("error decoding patch: {e}")))?;
    if operations.0.len() > OPERATIONS_MAX {
        return Err(Problem::new(
            Reason::RequestEntityTooLarge,
            format!(
                "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
                operations.0.len()
            ),
        ));
    }
    let mut out = target.clone();
    json_patch::patch(&mut out, &operations).map_err(|e| {
        Problem::new(
            Reason::Invalid,
            format!("the server rejected our request due to an error in our request: {e}"),
        )
    })?;
    Ok(out)
}

/// As upstream's `maxJSONPatchOperations`: bounds what one request can make the server copy.
const OPERATIONS_MAX: usize = 10_000;
