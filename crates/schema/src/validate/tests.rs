use super::validate;
use crate::compile;
use serde_json::json;

fn faults(schema: serde_json::Value, value: serde_json::Value) -> Vec<String> {
    let ty = compile(&schema, "s").unwrap();
    validate(&value, &ty, "").iter().map(ToString::to_string).collect()
}

#[test]
fn upstream_messages() {
    let schema = json!({"type": "object", "required": ["spec"], "properties": {"spec": {
    "type": "object", "required": ["image"], "properties": {
        "image": {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^[a-z]+$"},
        "size": {"type": "integer", "minimum": 1, "maximum": 3},
        "mode": {"type": "string", "enum": ["b", "a"]},
        "list": {"type": "array", "maxItems": 1, "items": {"type": "string"}},
        "port": {"x-kubernetes-int-or-string": true},
        "when": {"type": "string", "format": "date-time", "nullable": true},
        "one": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    }}}});
    assert_eq!(faults(schema.clone(), json!({})), ["spec: Required value"]);
    let value = json!({"spec": {"size": 9, "mode": "x", "list": ["a", 1], "port": 1.5,
        "when": "soon", "one": {}, "image": "A"}});
    assert_eq!(
        faults(schema.clone(), value),
        [
            "spec.image: Invalid value: \"A\": spec.image in body should be at least 2 chars long",
            "spec.image: Invalid value: \"A\": spec.image in body should match '^[a-z]+$'",
            "spec.list: Too many: 2: must have at most 1 item",
            "spec.list[1]: Invalid value: \"integer\": spec.list[1] in body must be of type string: \"integer\"",
            "spec.mode: Unsupported value: \"x\": supported values: \"a\", \"b\"",
            "<nil>: Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). Found none valid",
            "spec.one.a: Required value",
            "spec.port: Invalid value: \"number\": spec.port in body must be of type integer,string: \"number\"",
            "spec.size: Invalid value: 9: spec.size in body should be less than or equal to 3",
            "spec.when: Invalid value: \"soon\": spec.when in body must be of type date-time: \"soon\"",
        ]
    );
    let fine = json!({"spec": {"image": "abc", "when": null, "port": "http", "one": {"a": "x"}}});
    assert_eq!(faults(schema, fine), [""; 0]);
}

#[test]
fn built_in_types() {
    let pod = crate::kind(&meta::Gvk::parse("v1", "Pod")).unwrap();
    let value = json!({"spec": {"containers": [{"name": ""}], "restartPolicy": "Maybe"}});
    let texts: Vec<String> = validate(&value, &pod, "").iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "spec.containers[0].name: Required value",
            "spec.restartPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \"Never\", \"OnFailure\"",
        ]
    );
}
