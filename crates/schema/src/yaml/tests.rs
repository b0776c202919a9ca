use super::{decode_yaml, yaml_to_json};
use crate::facts::kind;
use meta::Gvk;

fn json(text: &str) -> String {
    yaml_to_json(text.as_bytes()).unwrap().value.to_string()
}

#[test]
fn scalars_of_yaml_1_1() {
    let cases = [
        ("a: yes", r#"{"a":true}"#),
        ("a: off", r#"{"a":false}"#),
        ("a: 'yes'", r#"{"a":"yes"}"#),
        ("a: 0644", r#"{"a":420}"#),
        ("a: 0o644", r#"{"a":420}"#),
        ("a: 0x1F", r#"{"a":31}"#),
        ("a: 1_000", r#"{"a":1000}"#),
        ("a: 1e3", r#"{"a":"1e3"}"#),
        ("a: 1e+3", r#"{"a":1000}"#),
        ("a: 1.5", r#"{"a":1.5}"#),
        ("a: 1.2.3", r#"{"a":"1.2.3"}"#),
        ("a: 0899", r#"{"a":899}"#),
        ("a: 2026-01-02", r#"{"a":"2026-01-02"}"#),
        ("a: ~", r#"{"a":null}"#),
        ("a:", r#"{"a":null}"#),
        ("a: !!str 12", r#"{"a":"12"}"#),
        ("a: |\n  x\n  y\n", r#"{"a":"x\ny\n"}"#),
        ("1: a\ntrue: b", r#"{"1":"a","true":"b"}"#),
        ("- 1\n- a: [b, {c: d}]", r#"[1,{"a":["b",{"c":"d"}]}]"#),
        ("{\"a\": \"\\u00e9\"}", "{\"a\":\"\u{e9}\"}"),
        ("x: &x {a: 1, b: 2}\nz: {<<: *x, b: 3}", r#"{"x":{"a":1,"b":2},"z":{"a":1,"b":3}}"#),
        ("", "null"),
        ("# only a comment", "null"),
        ("--- \na: 1\n---\nb: 2", r#"{"a":1}"#),
    ];
    for (text, want) in cases {
        assert_eq!(json(text), want, "{text}");
    }
}

#[test]
fn duplicates_name_their_line() {
    let deployment = kind(&Gvk::parse("apps/v1", "Deployment")).unwrap();
    let text =
        "apiVersion: apps/v1\nkind: Deployment\nspec:\n  replicas: 1\n  replicas: 2\n  foo: 1\n";
    let decoded = decode_yaml(text.as_bytes(), &deployment).unwrap();
    let texts: Vec<String> = decoded.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "error converting YAML to JSON: yaml: unmarshal errors:\n  \
             line 5: key \"replicas\" already set in map",
            "unknown field \"spec.foo\"",
        ]
    );
}

#[test]
fn hostile_documents() {
    let laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_string()
        + &('b'..='k')
            .map(|c| {
                let before = (c as u8 - 1) as char;
                format!("{c}: &{c} [{}]\n", [format!("*{before}").as_str(); 9].join(","))
            })
            .collect::<String>();
    for text in [laughs, "[".repeat(50_000), "- ".repeat(50_000), "a: *b".into(), "a: [".into()] {
        assert!(yaml_to_json(text.as_bytes()).is_err());
    }
    assert!(yaml_to_json(b"\xff\xfe").is_err());
}
