//! Services on the wire: affinity, host ports, traffic policies, hairpins, and UDP that follows its endpoints.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod instance;

use instance::{Instance, eventually, http_get, try_http_get};
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::time::Duration;

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: busybox
        imagePullPolicy: IfNotPresent
        command: [sh, -c, "mkdir -p /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www"]
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  internalTrafficPolicy: Local
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
"#;

fn of_service(up: &Instance, name: &str, path: &str) -> String {
    up.kubectl(&["get", "service", name, "-o", &format!("jsonpath={{{path}}}")])
}

fn node_address(up: &Instance) -> String {
    let path = "jsonpath={.items[0].status.addresses[?(@.type==\"InternalIP\")].address}";
    up.kubectl(&["get", "nodes", "-o", path])
}

fn answers(address: &str, times: usize) -> BTreeSet<String> {
    (0..times).map(|_| try_http_get(address, "/index.html").trim().to_string()).collect()
}

#[test]
fn affinity_policies_node_ports_and_hairpins() {
    let Some(up) = Instance::start("affinity") else { return };
    up.import_busybox();
    up.apply(WEB);
    up.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    let cluster = format!("{}:80", of_service(&up, "web", ".spec.clusterIP"));
    let port = of_service(&up, "web", ".spec.ports[0].nodePort");
    let node = format!("{}:{port}", node_address(&up));
    for address in [&cluster, &node] {
        eventually("every pod to be asked", || {
            let all = answers(address, 20);
            all.len() == 3 && !all.contains("")
        });
    }
    let sticky = r#"{"spec":{"sessionAffinity":"ClientIP"}}"#;
    up.kubectl(&["patch", "service", "web", "-p", sticky]);
    for address in [&cluster, &node] {
        eventually("one pod to be asked", || answers(address, 20).len() == 1);
        let all = answers(address, 30);
        assert!(all.len() == 1 && !all.contains(""), "{all:?}");
    }
    let free = r#"{"spec":{"sessionAffinity":"None"}}"#;
    up.kubectl(&["patch", "service", "web", "-p", free]);
    eventually("every pod to be asked again", || answers(&cluster, 20).len() == 3);

    up.kubectl(&["scale", "deployment/web", "--replicas=1"]);
    up.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    eventually("one endpoint to be left", || {
        let path = "jsonpath={.items[0].endpoints[*].addresses[0]}";
        let label = "kubernetes.io/service-name=web";
        up.kubectl(&["get", "endpointslices", "-l", label, "-o", path]).split(' ').count() == 1
    });
    // The only pod behind the Service reaches itself through it.
    let script = format!(
        "printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | /bin/busybox nc -w 5 {} 80",
        of_service(&up, "web", ".spec.clusterIP")
    );
    let own = up.kubectl(&["exec", "deployment/web", "--", "sh", "-c", &script]);
    assert!(own.contains("\nweb-"), "{own}");

    up.kubectl(&["scale", "deployment/web", "--replicas=0"]);
    eventually("a Service without endpoints to refuse", || {
        std::net::TcpStream::connect_timeout(&cluster.parse().unwrap(), Duration::from_secs(1))
            .is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused)
    });
    up.kubectl(&["delete", "deployment/web", "service/web", "--timeout=60s"]);
}

/// Answers every datagram with `answer`, until the test ends; gives its port.
fn echo(answer: &'static str) -> u16 {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((_, from)) = socket.recv_from(&mut [0; 64]) {
            let _ = socket.send_to(answer.as_bytes(), from);
        }
    });
    port
}

/// What comes back to a client that keeps its own port.
fn ask(socket: &UdpSocket, address: &str) -> String {
    let mut answer = [0; 64];
    let asked = socket.send_to(b"?", address).and_then(|_| socket.recv(&mut answer));
    asked.map(|n| String::from_utf8_lossy(&answer[..n]).trim().to_string()).unwrap_or_default()
}

/// Endpoints on the node itself, where this test answers: the same client port goes to the new endpoint, though the
/// kernel remembers the old one.
#[test]
fn udp_follows_its_endpoints() {
    let Some(up) = Instance::start("udp") else { return };
    let (one, two) = (echo("one"), echo("two"));
    let node = node_address(&up);
    let slice = |port: u16| {
        format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: udp-1, labels: {{kubernetes.io/service-name: udp}}}}\naddressType: IPv4\nendpoints: [{{addresses: [{node}]}}]\nports: [{{port: {port}, protocol: UDP, name: \"\"}}]\n"
        )
    };
    up.apply("apiVersion: v1\nkind: Service\nmetadata: {name: udp}\nspec:\n  ports: [{port: 53, protocol: UDP}]\n");
    up.apply(&slice(one));
    let service = format!("{}:53", of_service(&up, "udp", ".spec.clusterIP"));
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    eventually("the first endpoint to answer", || ask(&socket, &service) == "one");
    up.apply(&slice(two));
    eventually("the second endpoint to answer the same client", || ask(&socket, &service) == "two");
    up.kubectl(&["delete", "endpointslice/udp-1", "service/udp", "--timeout=60s"]);
}

#[test]
fn host_ports_over_tcp_on_loopback_and_the_nodes_address() {
    let Some(up) = Instance::start("hostport") else { return };
    up.import_busybox();
    for (name, host_ip) in [("any", ""), ("loop", ", hostIP: 127.0.0.1")] {
        let port = if name == "any" { 18082 } else { 18083 };
        up.apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  - name: c\n    image: busybox\n    imagePullPolicy: IfNotPresent\n    command: [sh, -c, \"mkdir -p /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www\"]\n    ports: [{{containerPort: 8080, hostPort: {port}{host_ip}}}]\n    readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}\n"
        ));
        up.kubectl(&["wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=60s"]);
    }
    let node = node_address(&up);
    for address in [format!("{node}:18082"), "127.0.0.1:18082".into()] {
        assert_eq!(http_get(&address, "/index.html").trim(), "any", "{address}");
    }
    assert_eq!(http_get("127.0.0.1:18083", "/index.html").trim(), "loop");
    assert_eq!(try_http_get(&format!("{node}:18083"), "/index.html"), "");
    up.kubectl(&["delete", "pod", "--all", "--timeout=60s"]);
}
