use super::{CustomSchema, ServedResource, ServedSubresource, encode_v2, openapi_v2, openapi_v3};
use meta::{Gvk, Value};
use serde_json::json;

fn verbs(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_string).collect()
}

fn deployments() -> ServedResource {
    let gvk = Gvk::parse("apps/v1", "Deployment");
    let scale = Gvk::parse("autoscaling/v1", "Scale");
    let below = |name: &str, gvk: &Gvk| ServedSubresource {
        name: name.into(),
        gvk: gvk.clone(),
        verbs: verbs("get update patch"),
    };
    ServedResource {
        subresources: vec![below("status", &gvk), below("scale", &scale)],
        gvk,
        plural: "deployments".into(),
        namespaced: true,
        verbs: verbs("get list watch create update patch delete deletecollection"),
        custom: None,
    }
}

fn custom(schema: Value) -> ServedResource {
    ServedResource {
        gvk: Gvk::parse("stable.example.com/v1", "CronTab"),
        plural: "crontabs".into(),
        custom: Some(CustomSchema { schema, list_kind: "CronTabList".into() }),
        subresources: Vec::new(),
        ..deployments()
    }
}

/// Every `$ref` of a document leads to a definition.
fn check_references(value: &Value, document: &Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get("$ref") {
                let found = document.pointer(target.trim_start_matches('#'));
                assert!(found.is_some(), "nothing at {target}");
            }
            map.values().for_each(|value| check_references(value, document));
        }
        Value::Array(items) => items.iter().for_each(|value| check_references(value, document)),
        _ => {}
    }
}

#[test]
fn version_3() {
    let document = openapi_v3(&[deployments()], "v1.35.0");
    check_references(&document, &document);
    let schemas = &document["components"]["schemas"];
    let deployment = &schemas["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(
        deployment["x-kubernetes-group-version-kind"],
        json!([{"group": "apps", "kind": "Deployment", "version": "v1"}])
    );
    assert!(deployment["description"].as_str().unwrap().starts_with("Deployment enables"));
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(
        containers["items"]["allOf"][0]["$ref"],
        "#/components/schemas/io.k8s.api.core.v1.Container"
    );
    let path = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
    assert_eq!(path["patch"]["operationId"], "patchAppsV1NamespacedDeployment");
    assert_eq!(path["get"]["x-kubernetes-group-version-kind"]["kind"], "Deployment");
    let all = &document["paths"]["/apis/apps/v1/deployments"]["get"]["operationId"];
    assert_eq!(all, "listAppsV1DeploymentForAllNamespaces");
    assert!(
        document["paths"]
            .get("/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale")
            .is_some()
    );
}

#[test]
fn version_2_and_its_protobuf() {
    let schema = json!({"type": "object", "description": "d", "properties": {
    "spec": {"type": "object", "required": ["a", "b"], "properties": {
        "a": {"type": "string", "nullable": true, "default": "x"},
        "b": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"z": {"type": "string"}}},
        "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
    }}}});
    let document = openapi_v2(&[deployments(), custom(schema)], "v1.35.0");
    check_references(&document, &document);
    let crontab = &document["definitions"]["com.example.stable.v1.CronTab"];
    assert_eq!(
        crontab["properties"]["spec"],
        json!({"type": "object", "required": ["b"], "properties": {
            "a": {},
            "b": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "free": {"x-kubernetes-preserve-unknown-fields": true},
            "port": {"x-kubernetes-int-or-string": true},
        }})
    );
    assert!(document["definitions"].get("com.example.stable.v1.CronTabList").is_some());
    let bytes = encode_v2(&document);
    assert!(bytes.starts_with(b"\x0a\x032.0\x12"), "swagger, then info");
    assert!(bytes.len() > 20_000);
}

#[test]
fn custom_resources_without_schema_say_nothing() {
    let bare = json!({"type": "object", "x-kubernetes-group-version-kind":
        [{"group": "stable.example.com", "version": "v1", "kind": "CronTab"}]});
    for schema in [
        Value::Null,
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true,
        "properties": {"spec": {"type": "object"}}}),
    ] {
        let document = openapi_v2(&[custom(schema)], "v");
        assert_eq!(document["definitions"]["com.example.stable.v1.CronTab"], bare);
    }
}

#[test]
fn every_kind_has_a_schema_without_loose_ends() {
    let resources: Vec<ServedResource> = crate::messages()
        .filter(|id| crate::message(*id).is_kind)
        .map(|id| {
            let (group, version) = crate::group_version(id);
            let kind = &crate::message(id).go_name;
            let gvk = Gvk::new(group, version, kind);
            ServedResource {
                plural: kind.to_lowercase(),
                gvk,
                subresources: Vec::new(),
                ..deployments()
            }
        })
        .collect();
    let document = openapi_v2(&resources, "v");
    check_references(&document, &document);
    let described = document["definitions"].as_object().unwrap();
    let silent = described.values().filter(|d| d.get("description").is_none()).count();
    assert!(silent < described.len() / 3, "{silent} of {} without a description", described.len());
    encode_v2(&document);
}
