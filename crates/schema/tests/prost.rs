//! The transcoder against `k8s-pb`, whose code `prost` generated from upstream's .proto files: what we
//! write decodes there into the same fields and comes back byte for byte.

#![allow(clippy::unwrap_used)]

use k8s_pb::api::apps::v1::Deployment;
use k8s_pb::api::core::v1::{Node, Pod, Service};
use k8s_pb::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use meta::{Gvk, Value};
use prost::Message;
use schema::{decode_json, decode_proto, encode_proto, kind};

fn round<M: Message + Default>(api_version: &str, name: &str, json: &str) -> M {
    let ty = kind(&Gvk::parse(api_version, name)).unwrap();
    let mut value = decode_json(json.as_bytes(), &ty).unwrap().value;
    let bytes = encode_proto(&value, &ty).unwrap();
    let theirs = M::decode(&*bytes).unwrap();
    assert_eq!(theirs.encode_to_vec(), bytes, "{name}: prost writes other bytes");
    if let Value::Object(map) = &mut value {
        map.remove("apiVersion");
        map.remove("kind");
    }
    assert_eq!(decode_proto(&theirs.encode_to_vec(), &ty).unwrap(), value);
    theirs
}

#[test]
fn pod() {
    let pod: Pod = round(
        "v1",
        "Pod",
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","labels":{"a":"1","b":"2"},
        "creationTimestamp":"2026-01-02T03:04:05Z","managedFields":[{"manager":"m","operation":"Apply",
        "fieldsV1":{"f:spec":{}}}]},"spec":{"containers":[{"name":"c","image":"nginx","resources":
        {"limits":{"cpu":"100m"}},"ports":[{"containerPort":80,"protocol":"TCP"}],
        "livenessProbe":{"httpGet":{"path":"/","port":"http"},"periodSeconds":5}}],
        "volumes":[{"name":"v","emptyDir":{}},{"name":"s","secret":{"secretName":"x","defaultMode":420}}],
        "securityContext":{},"tolerations":[{"operator":"Exists"}]},"status":{"podIP":"10.0.0.1"}}"#,
    );
    let spec = pod.spec.unwrap();
    assert_eq!(spec.containers[0].name.as_deref(), Some("c"));
    let probe = spec.containers[0].liveness_probe.as_ref().unwrap();
    let get = probe.handler.as_ref().unwrap().http_get.as_ref().unwrap();
    assert_eq!(get.port.as_ref().unwrap().str_val.as_deref(), Some("http"));
    assert!(spec.volumes[0].volume_source.as_ref().unwrap().empty_dir.is_some());
    let quantity = &spec.containers[0].resources.as_ref().unwrap().limits["cpu"];
    assert_eq!(quantity.string.as_deref(), Some("100m"));
    assert_eq!(pod.metadata.unwrap().creation_timestamp.unwrap().seconds, Some(1_767_323_045));
}

#[test]
fn others() {
    let deployment: Deployment = round(
        "apps/v1",
        "Deployment",
        r#"{"spec":{"replicas":0,"selector":{"matchLabels":{"a":"b"}},"strategy":{"rollingUpdate":
        {"maxSurge":"25%","maxUnavailable":1}},"template":{"spec":{"containers":[{"name":"x"}]}}}}"#,
    );
    assert_eq!(deployment.spec.unwrap().replicas, Some(0));
    let service: Service = round(
        "v1",
        "Service",
        r#"{"spec":{"ports":[{"port":80,"targetPort":8080}],"selector":{"a":"b"},"clusterIPs":["None"]}}"#,
    );
    assert_eq!(service.spec.unwrap().cluster_ips, ["None"]);
    let node: Node = round(
        "v1",
        "Node",
        r#"{"status":{"capacity":{"memory":"8Gi"},"nodeInfo":{"kubeletVersion":"v1.35.0"},
        "conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"2026-01-02T03:04:05Z"}]}}"#,
    );
    assert!(node.status.unwrap().node_info.is_some());
    let _: CustomResourceDefinition = round(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        r#"{"spec":{"group":"g","names":{"plural":"p","kind":"K"},"scope":"Namespaced","versions":[
        {"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object",
        "properties":{"a":{"type":"array","items":{"type":"string","default":"x"}},
        "b":{"additionalProperties":{"x-kubernetes-int-or-string":true}},"c":{"additionalProperties":false,
        "maximum":1.5}}}}}]}}"#,
    );
}
