//! Ingress as users meet it: kubectl applies it, curl goes through it by host, path and TLS name, and a rollout
//! behind it loses no request.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod instance;

use instance::{Instance, eventually};
use std::process::Command;

/// A server whose every answer is its own name.
fn app(name: &str) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: busybox
        imagePullPolicy: IfNotPresent
        command:
        - sh
        - -c
        - "mkdir -p /www/api; echo {name} > /www/index.html; echo {name} > /www/api/index.html; exec httpd -f -p 8080 -h /www"
        readinessProbe: {{httpGet: {{path: /index.html, port: 8080}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: http, port: 80, targetPort: 8080}}]
---
"#
    )
}

const INGRESS: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  tls: [{hosts: [shop.test], secretName: shop-tls}]
  rules:
  - host: shop.test
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: front, port: {number: 80}}}}
      - {path: /api, pathType: Prefix, backend: {service: {name: back, port: {name: http}}}}
  - host: "*.wild.test"
    http:
      paths:
      - {path: /index.html, pathType: Exact, backend: {service: {name: back, port: {number: 80}}}}
  - host: lost.test
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: nowhere, port: {number: 80}}}}
"#;

/// What curl prints for a URL whose host is at `ip`: the body and, in the last line, the status.
fn curl(ip: &str, url: &str, more: &[&str]) -> String {
    let rest = url.split_once("://").unwrap().1;
    let host = rest.split('/').next().unwrap();
    let at = [format!("{host}:80:{ip}"), format!("{host}:443:{ip}")];
    let mut command = Command::new("curl");
    command.args(["-s", "--max-time", "10", "-w", "%{http_code}", "--noproxy", "*"]);
    command.args(["--resolve", &at[0], "--resolve", &at[1]]).args(more).arg(url);
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        println!("skipped: this test needs {program}");
    }
    there
}

#[test]
fn hosts_paths_and_certificates_lead_where_they_say() {
    if !(is_there("curl") && is_there("openssl")) {
        return;
    }
    let Some(up) = Instance::start("ingress") else { return };
    up.import_busybox();
    up.apply(&(app("front") + &app("back") + INGRESS));
    for name in ["deployment/front", "deployment/back"] {
        up.kubectl(&["rollout", "status", name, "--timeout=60s"]);
    }
    let address = "jsonpath={.status.loadBalancer.ingress[0].ip}";
    let ip = || up.kubectl(&["get", "ingress", "shop", "-o", address]);
    eventually("an address of the Ingress", || !ip().is_empty());
    let ip = ip();
    let class = up.kubectl(&["get", "ingress", "shop", "-o", "jsonpath={.spec.ingressClassName}"]);
    assert_eq!(class, "boxship", "the default class is filled in");

    eventually("the first answer", || curl(&ip, "http://shop.test/", &[]) == "front\n200");
    assert_eq!(curl(&ip, "http://shop.test/api/", &[]), "back\n200");
    assert_eq!(curl(&ip, "http://a.wild.test/index.html", &[]), "back\n200");
    assert!(curl(&ip, "http://a.wild.test/other", &[]).ends_with("404"));
    assert!(curl(&ip, "http://other.test/", &[]).ends_with("404"));
    let lost = curl(&ip, "http://lost.test/", &[]);
    assert!(lost.contains("default/nowhere:80: it does not exist") && lost.ends_with("503"));

    let (cert, key) = certificate(&up, "shop.test");
    up.kubectl(&["create", "secret", "tls", "shop-tls", "--cert", &cert, "--key", &key]);
    eventually("the certificate", || {
        curl(&ip, "https://shop.test/", &["--cacert", &cert]) == "front\n200"
    });
    assert_eq!(curl(&ip, "https://shop.test/api/", &["--http1.1", "--cacert", &cert]), "back\n200");
    assert!(curl(&ip, "https://a.wild.test/", &["--cacert", &cert]).ends_with("000"));

    up.kubectl(&["set", "env", "deployment/front", "COLOUR=green"]);
    let rolled = || {
        let wait = ["rollout", "status", "deployment/front", "--watch=false"];
        up.kubectl(&wait).contains("successfully")
    };
    let (mut sent, mut done) = (0, false);
    while !done {
        done = rolled();
        for _ in 0..20 {
            assert_eq!(curl(&ip, "http://shop.test/", &[]), "front\n200", "request {sent}");
            sent += 1;
        }
    }

    up.kubectl(&["delete", "ingress", "shop"]);
    eventually("the rules to go", || curl(&ip, "http://shop.test/", &[]).ends_with("404"));
}

/// Paths of a self-signed certificate and its key.
fn certificate(up: &Instance, host: &str) -> (String, String) {
    let path = |name: &str| up.dir().join(name).to_str().unwrap().to_string();
    let (cert, key) = (path("tls.crt"), path("tls.key"));
    let (subject, names) = (format!("/CN={host}"), format!("subjectAltName=DNS:{host}"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", &subject, "-addext", &names])
        .args(["-keyout", &key, "-out", &cert])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (cert, key)
}
