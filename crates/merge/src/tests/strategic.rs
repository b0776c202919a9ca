//! Strategic merge patches over Pods, Deployments and ServiceAccounts
//! (cases of apimachinery `pkg/util/strategicpatch/patch_test.go`, by meaning).

use super::type_of;
use crate::{At, strategic};
use meta::{Problem, Value};
use serde_json::json;

fn patched(kind: (&str, &str), original: Value, patch: Value) -> Result<Value, Problem> {
    let ty = type_of(kind.0, kind.1);
    strategic(&original, &patch, At(Some(&ty)))
}

const POD: (&str, &str) = ("v1", "Pod");

fn spec(original: Value, patch: Value) -> Value {
    patched(POD, json!({ "spec": original }), json!({ "spec": patch })).unwrap()["spec"].clone()
}

fn refused(patch: Value) -> String {
    let original = json!({ "spec": { "containers": [{ "name": "a" }] } });
    patched(POD, original, json!({ "spec": patch })).unwrap_err().message
}

#[test]
fn maps_merge_scalars_replace_null_deletes() {
    assert_eq!(
        spec(
            json!({ "nodeSelector": { "a": "1", "b": "2" }, "hostname": "h", "priority": 1 }),
            json!({ "nodeSelector": { "b": null, "c": "3" }, "hostname": null, "priority": 2 }),
        ),
        json!({ "nodeSelector": { "a": "1", "c": "3" }, "priority": 2 })
    );
}

#[test]
fn lists_merge_by_key_and_new_items_come_first() {
    assert_eq!(
        spec(
            json!({ "containers": [{ "name": "a", "image": "x" }, { "name": "b", "image": "y" }] }),
            json!({ "containers": [{ "name": "c", "image": "z" }, { "name": "b", "tty": true }] }),
        ),
        json!({ "containers": [
            { "name": "c", "image": "z" },
            { "name": "a", "image": "x" },
            { "name": "b", "image": "y", "tty": true },
        ] })
    );
}

#[test]
fn lists_without_a_strategy_replace() {
    assert_eq!(
        spec(
            json!({ "tolerations": [{ "key": "a" }] }),
            json!({ "tolerations": [{ "key": "b" }] })
        ),
        json!({ "tolerations": [{ "key": "b" }] })
    );
}

#[test]
fn items_are_deleted_and_lists_replaced_by_directive() {
    let original = json!({ "containers": [{ "name": "a", "image": "x" }, { "name": "b" }] });
    assert_eq!(
        spec(original.clone(), json!({ "containers": [{ "name": "a", "$patch": "delete" }] })),
        json!({ "containers": [{ "name": "b" }] })
    );
    assert_eq!(
        spec(original, json!({ "containers": [{ "name": "c" }, { "$patch": "replace" }] })),
        json!({ "containers": [{ "name": "c" }] })
    );
}

#[test]
fn maps_are_replaced_and_emptied_by_directive() {
    let original = json!({ "nodeSelector": { "a": "1" }, "securityContext": { "runAsUser": 1 } });
    assert_eq!(
        spec(
            original,
            json!({
                "nodeSelector": { "$patch": "replace", "b": "2" },
                "securityContext": { "$patch": "delete" },
            }),
        ),
        json!({ "nodeSelector": { "b": "2" }, "securityContext": {} })
    );
}

#[test]
fn set_element_order_puts_items_where_it_says_and_the_servers_own_where_they_stood() {
    let names = |v: Value| -> Vec<String> {
        v["containers"].as_array().unwrap().iter().map(|c| c["name"].to_string()).collect()
    };
    let list = |names: &[&str]| -> Value { names.iter().map(|n| json!({ "name": n })).collect() };
    for (original, patch, order, want) in [
        (&["a", "b", "c"][..], &[][..], &["c", "b", "a"][..], &["c", "b", "a"][..]),
        (&["a", "s", "b"], &["n"], &["b", "n", "a"], &["s", "b", "n", "a"]),
        (&["s", "a"], &["n"], &["n", "a"], &["n", "s", "a"]),
        (&[], &["b", "a"], &["b", "a"], &["b", "a"]),
    ] {
        let mut change = json!({ "$setElementOrder/containers": list(order) });
        if !patch.is_empty() {
            change["containers"] = list(patch);
        }
        let got = names(spec(json!({ "containers": list(original) }), change));
        assert_eq!(got, want.iter().map(|n| format!("{n:?}")).collect::<Vec<_>>(), "{order:?}");
    }
}

#[test]
fn an_order_that_contradicts_the_patch_is_refused() {
    let message = refused(json!({
        "$setElementOrder/containers": [{ "name": "a" }],
        "containers": [{ "name": "z" }],
    }));
    assert!(message.contains("doesn't match $setElementOrder list"), "{message}");
}

#[test]
fn primitive_lists_are_merged_and_deleted_from() {
    let metadata = |original: Value, patch: Value| {
        patched(POD, json!({ "metadata": original }), json!({ "metadata": patch })).unwrap()
            ["metadata"]["finalizers"]
            .clone()
    };
    let original = json!({ "finalizers": ["a", "b"] });
    assert_eq!(
        metadata(original.clone(), json!({ "finalizers": ["c", "a"] })),
        json!(["c", "a", "b"])
    );
    assert_eq!(
        metadata(original, json!({ "$deleteFromPrimitiveList/finalizers": ["a", "q"] })),
        json!(["b"])
    );
    assert_eq!(
        metadata(json!({}), json!({ "$deleteFromPrimitiveList/finalizers": ["a"] })),
        Value::Null
    );
}

#[test]
fn retain_keys_drops_what_it_does_not_name() {
    let strategy = |patch: Value| {
        let original = json!({ "spec": { "strategy": {
            "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1 }
        } } });
        patched(("apps/v1", "Deployment"), original, json!({ "spec": { "strategy": patch } }))
    };
    assert_eq!(
        strategy(json!({ "$retainKeys": ["type"], "type": "Recreate" })).unwrap()["spec"]["strategy"],
        json!({ "type": "Recreate" })
    );
    assert_eq!(
        strategy(json!({ "$retainKeys": [], "type": "Recreate" })).unwrap_err().message,
        "invalid patch format of retainKeys"
    );
}

/// `removeDirectives` and `discardNullValuesFromPatch`.
#[test]
fn where_there_is_nothing_to_merge_with_nulls_and_directives_mean_nothing() {
    assert_eq!(
        spec(
            json!({}),
            json!({
                "nodeSelector": { "a": null, "b": "1" },
                "containers": [{ "name": "a", "$patch": "delete" }, { "name": "b", "tty": null }],
                "securityContext": { "$patch": "delete" },
                "affinity": { "nodeAffinity": { "$retainKeys": ["x"] } },
                "hostname": null,
            }),
        ),
        json!({
            "nodeSelector": { "b": "1" },
            "containers": [{ "name": "b" }],
            "affinity": { "nodeAffinity": {} },
        })
    );
}

#[test]
fn malformed_directives_are_refused() {
    for (patch, words) in [
        (json!({ "nodeSelector": {}, "$patch": "merge" }), "unknown patch type found: merge"),
        (json!({ "$patch": 7 }), "unknown patch type found: 7"),
        (json!({ "containers": [{ "image": "x" }] }), "does not contain declared merge key: name"),
        (json!({ "containers": [{ "$patch": "merge" }] }), "merging lists cannot yet be specified"),
        (json!({ "containers": [{ "name": "a", "$patch": "x" }] }), "unknown patch type found: x"),
        (json!({ "containers": [7] }), "7"),
        (json!({ "$setElementOrder/containers": 7 }), "setElementOrder"),
        (json!({ "$deleteFromPrimitiveList/x": 7 }), "primitive list"),
        (json!({ "$retainKeys": 7 }), "retainKeys"),
    ] {
        let message = refused(patch.clone());
        assert!(message.contains(words), "{patch}: {message}");
    }
}
