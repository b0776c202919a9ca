use super::decode_json;
use crate::facts::kind;
use crate::graph::Type;
use meta::Gvk;
use proptest::prelude::*;

fn of(api_version: &str, name: &str) -> Type {
    kind(&Gvk::parse(api_version, name)).unwrap()
}

fn findings(text: &str, ty: &Type) -> Vec<String> {
    decode_json(text.as_bytes(), ty).unwrap().findings.iter().map(ToString::to_string).collect()
}

fn value(text: &str, ty: &Type) -> String {
    decode_json(text.as_bytes(), ty).unwrap().value.to_string()
}

fn error(text: &str, ty: &Type) -> String {
    decode_json(text.as_bytes(), ty).unwrap_err().message
}

#[test]
fn unknown_and_duplicate_fields_in_document_order() {
    let text = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x","unknownMeta":1},
        "spec":{"unknownField":{"a":1,"a":2},"replicas":2,"replicas":3,"Replicas":4,
        "template":{"metadata":{"labels":{"a":"1","a":"2"}},
        "spec":{"containers":[{"name":"c"},{"name":"d","foo":1,"ports":[{"bar":1}]}]}}}}"#;
    assert_eq!(
        findings(text, &of("apps/v1", "Deployment")),
        [
            r#"unknown field "metadata.unknownMeta""#,
            r#"unknown field "spec.unknownField""#,
            r#"duplicate field "spec.replicas""#,
            r#"unknown field "spec.Replicas""#,
            r#"duplicate field "spec.template.metadata.labels.a""#,
            r#"unknown field "spec.template.spec.containers[1].foo""#,
            r#"unknown field "spec.template.spec.containers[1].ports[0].bar""#,
        ]
    );
}

#[test]
fn go_type_errors() {
    let deployment = of("apps/v1", "Deployment");
    let pod = of("v1", "Pod");
    assert_eq!(
        error(r#"{"spec":{"replicas":"3"}}"#, &deployment),
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
    );
    assert_eq!(
        error(r#"{"spec":{"replicas":1.5}}"#, &deployment),
        "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"
    );
    assert_eq!(
        error(r#"{"spec":{"containers":{}}}"#, &pod),
        "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container"
    );
    assert_eq!(
        error(
            r#"{"spec":{"restartPolicy":1,"containers":[{"ports":[{"containerPort":"x"}]}]}}"#,
            &pod
        ),
        "json: cannot unmarshal number into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy"
    );
    assert_eq!(
        error(r#"{"metadata":{"labels":{"a":1}}}"#, &pod),
        "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"
    );
    assert_eq!(error("[]", &pod), "json: cannot unmarshal array into Go value of type v1.Pod");
    assert_eq!(
        error(r#"{"metadata":{"creationTimestamp":"x"}}"#, &pod),
        r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#
    );
    assert_eq!(
        error(r#"{"spec":{"containers":[{"resources":{"limits":{"cpu":"x"}}}]}}"#, &pod),
        "quantities must match the regular expression \
         '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    );
}

#[test]
fn syntax_errors_come_first() {
    let pod = of("v1", "Pod");
    let cases = [
        ("", "unexpected end of JSON input"),
        (r#"{"spec":{"nodeName":1}"#, "unexpected end of JSON input"),
        ("{'a':1}", r"invalid character '\'' looking for beginning of object key string"),
        (r#"{"a" 1}"#, "invalid character '1' after object key"),
        (r#"{"a":1 "b"}"#, "invalid character '\"' after object key:value pair"),
        (r#"{"a":[1 2]}"#, "invalid character '2' after array element"),
        ("{} x", "invalid character 'x' after top-level value"),
        (r#"{"a":trux}"#, "invalid character 'x' in literal true (expecting 'e')"),
        (r#"{"a":-}"#, "invalid character '}' in numeric literal"),
        (r#"{"a":"\x"}"#, "invalid character 'x' in string escape code"),
        ("apiVersion: v1", "invalid character 'a' looking for beginning of value"),
    ];
    for (text, want) in cases {
        assert_eq!(error(text, &pod), want, "{text}");
    }
    assert_eq!(error(&"[".repeat(100_000), &pod), "exceeded max depth");
    assert_eq!(error(&r#"{"spec":"#.repeat(100_000), &pod), "exceeded max depth");
}

#[test]
fn values_as_go_writes_them_again() {
    let pod = of("v1", "Pod");
    assert_eq!(value("{}", &pod), r#"{"metadata":{},"spec":{"containers":null},"status":{}}"#);
    assert_eq!(value("null", &pod), r#"{"metadata":{},"spec":{"containers":null},"status":{}}"#);
    assert_eq!(
        value(
            r#"{"metadata":{"creationTimestamp":null,"name":null,"labels":{}},
            "spec":{"nodeName":"","securityContext":{},"volumes":[],"hostNetwork":false,
            "containers":[{"name":"c","resources":{"limits":{"cpu":0.5,"memory":"1024Mi"}}}]},
            "status":{"conditions":[{"type":"Ready","status":"True"}]}}"#,
            &pod
        ),
        concat!(
            r#"{"metadata":{},"spec":{"containers":[{"name":"c","resources":{"limits":"#,
            r#"{"cpu":"500m","memory":"1Gi"}}}],"securityContext":{}},"status":{"conditions":"#,
            r#"[{"lastProbeTime":null,"lastTransitionTime":null,"status":"True","type":"Ready"}]}}"#
        )
    );
}

#[test]
fn times_and_numbers() {
    let lease = of("coordination.k8s.io/v1", "Lease");
    assert_eq!(
        value(r#"{"spec":{"renewTime":"2026-01-02T03:04:05.600000+01:00"}}"#, &lease),
        r#"{"metadata":{},"spec":{"renewTime":"2026-01-02T02:04:05.600000Z"}}"#
    );
    let service = of("v1", "Service");
    assert_eq!(
        value(r#"{"spec":{"ports":[{"port":80,"targetPort":"http"},{"port":81}]}}"#, &service),
        concat!(
            r#"{"metadata":{},"spec":{"ports":[{"port":80,"targetPort":"http"},"#,
            r#"{"port":81,"targetPort":0}]},"status":{"loadBalancer":{}}}"#
        )
    );
}

#[test]
fn schemas_inside_schemas() {
    let crd = of("apiextensions.k8s.io/v1", "CustomResourceDefinition");
    let text = r#"{"spec":{"versions":[{"name":"v1","schema":{"openAPIV3Schema":{"type":"array",
        "items":{"type":"object","default":{"b":1.0,"a":[]},"additionalProperties":true,"bogus":1}}}}]}}"#;
    let decoded = decode_json(text.as_bytes(), &crd).unwrap();
    assert!(decoded.findings.is_empty(), "strictness stops at a nested unmarshaller");
    let schema = &decoded.value["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    assert_eq!(
        schema.to_string(),
        concat!(
            r#"{"items":{"additionalProperties":true,"default":{"a":[],"b":1.0},"type":"object"},"#,
            r#""type":"array"}"#
        )
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Broken documents: bytes of a good one replaced, cut or repeated.
    #[test]
    fn broken_documents_never_panic(at in 0usize..400, byte in any::<u8>(), cut in 0usize..400) {
        let mut bytes = concat!(
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"\u00e9\ud83d\ude00","labels":{"a":"b"},"#,
            r#""creationTimestamp":"2026-01-02T03:04:05Z"},"spec":{"containers":[{"name":"c","ports":"#,
            r#"[{"containerPort":80}],"resources":{"limits":{"cpu":"1e3","memory":-1.5e-3}}}],"#,
            r#""securityContext":{"runAsUser":1}},"status":{"podIPs":[{"ip":"::1"}]}}"#
        ).as_bytes().to_vec();
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(length - cut % length / 4);
        let pod = of("v1", "Pod");
        if let Ok(decoded) = decode_json(&bytes, &pod) {
            let again = decode_json(decoded.value.to_string().as_bytes(), &pod).unwrap();
            prop_assert_eq!(again.value, decoded.value, "decoding is a fixpoint");
        }
        let _ = crate::decode_yaml(&bytes, &pod);
    }
}

#[test]
fn every_field_is_found_by_its_name() {
    for id in crate::messages() {
        let object = crate::message(id);
        for (at, field) in object.fields.iter().enumerate() {
            assert_eq!(object.position(&field.name), Some(at), "{} {}", object.name, field.name);
            assert_eq!(object.position(&format!("{}x", field.name)), None);
        }
        assert!(object.position("").is_none());
    }
}
