//! JSON patches and merge patches.

use crate::{json_patch, merge_patch};
use meta::Reason;
use serde_json::json;

#[test]
fn a_merge_patch_deletes_with_null_and_replaces_lists() {
    let target = json!({ "a": { "b": 1, "c": 2 }, "l": [1, 2] });
    let got = merge_patch(&target, &json!({ "a": { "b": null, "d": { "e": null } }, "l": [3] }));
    assert_eq!(got, json!({ "a": { "c": 2, "d": {} }, "l": [3] }));
}

#[test]
fn a_json_patch_applies_in_order() {
    let target = json!({ "l": [1, 2], "m": {} });
    let got = json_patch(
        &target,
        &json!([
            { "op": "add", "path": "/l/-", "value": 3 },
            { "op": "remove", "path": "/l/0" },
            { "op": "test", "path": "/l", "value": [2, 3] },
            { "op": "copy", "from": "/l/0", "path": "/m/a~1b" },
            { "op": "move", "from": "/l/1", "path": "/l/0" },
        ]),
    );
    assert_eq!(got.unwrap(), json!({ "l": [3, 2], "m": { "a/b": 2 } }));
}

#[test]
fn what_is_no_list_of_objects_is_a_bad_request_and_what_does_not_apply_is_unprocessable() {
    let target = json!({ "l": [1] });
    for (patch, reason) in [
        (json!({}), Reason::BadRequest),
        (json!(null), Reason::BadRequest),
        (json!(["add"]), Reason::BadRequest),
        (json!([{ "op": "bogus", "path": "/l" }]), Reason::Invalid),
        (json!([{}]), Reason::Invalid),
        (json!([{ "op": "add", "path": 3, "value": 1 }]), Reason::Invalid),
        (json!([{ "op": "test", "path": "/l", "value": [2] }]), Reason::Invalid),
        (json!([{ "op": "remove", "path": "/none" }]), Reason::Invalid),
        (json!([{ "op": "replace", "path": "/none", "value": 1 }]), Reason::Invalid),
        (json!([{ "op": "add", "path": "/l/7", "value": 1 }]), Reason::Invalid),
        (json!([{ "op": "add", "path": "/none/a", "value": 1 }]), Reason::Invalid),
    ] {
        let problem = json_patch(&target, &patch).unwrap_err();
        assert_eq!(problem.reason, reason, "{patch}");
        if reason == Reason::Invalid {
            assert_eq!(
                problem.message,
                "the server rejected our request due to an error in our request"
            );
        }
    }
}

#[test]
fn one_request_may_not_carry_any_number_of_operations() {
    let op = json!({ "op": "test", "path": "", "value": {} });
    let problem = json_patch(&json!({}), &json!(vec![op; 10_001])).unwrap_err();
    assert_eq!(problem.reason, Reason::RequestEntityTooLarge);
    assert_eq!(
        problem.message,
        "The allowed maximum operations in a JSON patch is 10000, got 10001"
    );
}
