use super::{apply_defaults, normalise, prune};
use crate::{decode_json, kind};
use meta::Gvk;
use serde_json::json;

#[test]
fn normalising_agrees_with_decoding() {
    let pod = kind(&Gvk::parse("v1", "Pod")).unwrap();
    let text = r#"{"metadata":{"creationTimestamp":null,"labels":{"a":null}},"spec":{"nodeName":"",
        "containers":[null,{"name":"c","resources":{"requests":{"cpu":1.5,"memory":"1024Ki"}}}]},
        "status":{"startTime":"2026-01-02T03:04:05.6+01:00"}}"#;
    let mut value = serde_json::from_str(text).unwrap();
    normalise(&mut value, &pod);
    assert_eq!(value, decode_json(text.as_bytes(), &pod).unwrap().value);
}

#[test]
fn built_in_types_are_pruned_and_defaulted_too() {
    let pod = kind(&Gvk::parse("v1", "Pod")).unwrap();
    let mut value = json!({"spec": {"x": 1, "containers": [{"name": "c", "ports": [{"containerPort": 1}],
        "livenessProbe": {"grpc": {"port": 1}}}]}});
    assert_eq!(prune(&mut value, &pod), ["spec.x"]);
    apply_defaults(&mut value, &pod);
    let container = &value["spec"]["containers"][0];
    assert_eq!(container["ports"][0]["protocol"], "TCP");
    assert_eq!(container["livenessProbe"]["grpc"]["service"], "");

    let mut set = json!({"spec": {"selector": {}, "serviceName": "s", "template": {}}});
    apply_defaults(&mut set, &kind(&Gvk::parse("apps/v1", "StatefulSet")).unwrap());
    assert!(set["spec"].get("minReadySeconds").is_none(), "a zero default is not written");
}
