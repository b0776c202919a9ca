use super::compile;
use crate::{apply_defaults, decode_json, prune};
use serde_json::json;

#[test]
fn structural_rules() {
    let schema = json!({"properties": {"a": {}, "b": {"type": "array"},
        "c": {"type": "object", "x-kubernetes-embedded-resource": true},
        "d": {"type": "string", "anyOf": [{"type": "string"}], "pattern": "["},
        "e": {"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}},
        "metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}});
    let texts: Vec<String> =
        compile(&schema, "s").unwrap_err().iter().map(ToString::to_string).collect();
    let starts = [
        "s.properties[a].type: Required value: must not be empty for specified object fields",
        "s.properties[b].items: Required value: must be specified",
        "s.properties[c].properties: Required value: must not be empty if",
        "s.properties[d].anyOf[0].type: Forbidden: must be empty to be structural",
        "s.properties[d].pattern: Invalid value: \"[\": must be a valid regular expression",
        "s.properties[e].x-kubernetes-list-map-keys: Required value: must not be empty if",
        "s.properties[metadata]: Forbidden: must not specify anything other than name",
        "s.type: Required value: must not be empty at the root",
    ];
    assert_eq!(texts.len(), starts.len(), "{texts:#?}");
    for (text, start) in texts.iter().zip(starts) {
        assert!(text.starts_with(start), "{text}");
    }
}

#[test]
fn custom_resources_are_pruned_and_defaulted() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "size": {"type": "integer", "default": 1},
        "nest": {"type": "object", "default": {}, "properties": {"x": {"type": "string", "default": "y"}}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"known": {"type": "object"}}},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"k": {"type": "string"}}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}}},
        "pod": {"type": "object", "x-kubernetes-embedded-resource": true,
            "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}},
    }}}});
    let ty = compile(&schema, "s").unwrap();
    let text = r#"{"apiVersion":"g/v1","kind":"K","metadata":{"name":"x","bogus":1},"top":1,
        "spec":{"gone":{"a":1},"size":null,"free":{"a":1,"known":{"b":1}},"map":{"a":{"k":"1","z":2}},
        "list":[{"k":"1"},{"z":1}],"list2":1,"pod":{"kind":"Pod","metadata":{"a":1},"spec":{"c":1},"x":1},
        "gone":2}}"#;
    let decoded = decode_json(text.as_bytes(), &ty).unwrap();
    let texts: Vec<String> = decoded.findings.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["unknown field \"metadata.bogus\"", "duplicate field \"spec.gone\""]);
    let mut value = decoded.value;
    let pruned = prune(&mut value, &ty);
    let want = [
        "spec.free.known.b",
        "spec.gone",
        "spec.list2",
        "spec.list[1].z",
        "spec.map.a.z",
        "spec.pod.x",
        "top",
    ];
    assert_eq!(pruned, want);
    apply_defaults(&mut value, &ty);
    assert_eq!(
        value["spec"],
        json!({"size": 1, "nest": {"x": "y"}, "free": {"a": 1, "known": {}}, "map": {"a": {"k": "1"}},
            "list": [{"k": "1"}, {}], "pod": {"kind": "Pod", "metadata": {"a": 1}, "spec": {"c": 1}}})
    );
    assert_eq!(value["metadata"], json!({"name": "x"}));
}

#[test]
fn defaults_are_checked() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string", "default": 1},
        "b": {"type": "object", "default": {"x": 1, "y": "z"}, "properties": {"x": {"type": "string"}}}}});
    let texts: Vec<String> =
        compile(&schema, "s").unwrap_err().iter().map(|f| f.path.clone()).collect();
    assert_eq!(
        texts,
        ["s.properties[a].default", "s.properties[b].default.x", "s.properties[b].default"]
    );
}
