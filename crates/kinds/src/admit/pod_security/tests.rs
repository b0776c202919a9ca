#![allow(clippy::unwrap_used)]

use super::Standard;
use super::{Level, details, parse_version, policy};
use serde_json::{Value, json};

fn said(level: Level, minor: Option<u32>, spec: Value) -> String {
    details(&Standard { level, minor }.broken(&json!({}), &spec))
}

fn plain() -> Value {
    json!({ "containers": [{ "name": "a" }, { "name": "b" }] })
}

fn good() -> Value {
    json!({
        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{ "name": "a", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"], "add": ["NET_BIND_SERVICE"] } } }],
    })
}

#[test]
fn a_plain_pod_is_baseline_but_not_restricted() {
    assert_eq!(said(Level::Baseline, None, plain()), "");
    assert_eq!(
        said(Level::Restricted, None, plain()),
        concat!(
            r#"allowPrivilegeEscalation != false (containers "a", "b" must set securityContext.allowPrivilegeEscalation=false), "#,
            r#"unrestricted capabilities (containers "a", "b" must set securityContext.capabilities.drop=["ALL"]), "#,
            r#"runAsNonRoot != true (pod or containers "a", "b" must set securityContext.runAsNonRoot=true), "#,
            r#"seccompProfile (pod or containers "a", "b" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")"#,
        )
    );
    assert_eq!(said(Level::Restricted, None, good()), "");
}

#[test]
fn baseline_names_everything_of_the_host() {
    let spec = json!({
        "hostNetwork": true, "hostPID": true,
        "volumes": [{ "name": "v", "hostPath": { "path": "/" } }],
        "containers": [{ "name": "a", "ports": [{ "hostPort": 80 }, { "hostPort": 443 }],
            "securityContext": { "privileged": true, "capabilities": { "add": ["SYS_ADMIN", "CHOWN"] } },
            "livenessProbe": { "httpGet": { "host": "10.0.0.1" } } }],
    });
    assert_eq!(
        said(Level::Baseline, None, spec.clone()),
        concat!(
            r#"non-default capabilities (container "a" must not include "SYS_ADMIN" in securityContext.capabilities.add), "#,
            r#"host namespaces (hostNetwork=true, hostPID=true), hostPath volumes (volume "v"), "#,
            r#"hostPort (container "a" uses hostPorts 443, 80), "#,
            r#"probe or lifecycle host (container "a" uses probe or lifecycle host "10.0.0.1"), "#,
            r#"privileged (container "a" must not set securityContext.privileged=true)"#,
        )
    );
    let restricted = said(Level::Restricted, Some(33), spec);
    assert!(restricted.contains(
        r#"restricted volume types (volume "v" uses restricted volume type "hostPath")"#
    ));
    assert!(!restricted.contains("hostPath volumes") && !restricted.contains("probe or lifecycle"));
}

#[test]
fn older_versions_have_older_checks() {
    let sysctl = json!({ "securityContext": { "sysctls": [{ "name": "net.ipv4.tcp_rmem" }] } });
    assert_eq!(
        said(Level::Baseline, Some(31), sysctl.clone()),
        "forbidden sysctls (net.ipv4.tcp_rmem)"
    );
    assert_eq!(said(Level::Baseline, Some(32), sysctl), "");
    let mut root = good();
    root["securityContext"]["runAsUser"] = 0.into();
    assert_eq!(said(Level::Restricted, Some(22), root.clone()), "");
    assert_eq!(
        said(Level::Restricted, Some(99), root),
        "runAsUser=0 (pod must not set runAsUser=0)"
    );
}

#[test]
fn labels_are_read_as_upstream_reads_them() {
    let labels = |pairs: &[(&str, &str)]| {
        let all = pairs.iter().map(|(k, v)| (format!("pod-security.kubernetes.io/{k}"), json!(v)));
        Value::Object(all.collect())
    };
    let (p, faults) = policy(&labels(&[("enforce", "baseline"), ("enforce-version", "v1.24")]));
    assert!(faults.is_empty());
    assert_eq!(
        (p.enforce.shown(), p.warn.shown()),
        ("baseline:v1.24".into(), "baseline:v1.24".into())
    );
    let (p, faults) = policy(&labels(&[("enforce", "x"), ("warn-version", "1.2")]));
    assert_eq!((p.enforce.level, p.warn.level), (Level::Restricted, Level::Privileged));
    let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            r#"metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "x": must be one of privileged, baseline, restricted"#,
            r#"metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "1.2": must be "latest" or "v1.x""#,
        ]
    );
    assert_eq!(parse_version("v1.007"), None);
    assert_eq!(parse_version("v1.0"), Some(Some(0)));
}
