//! Running a probe or a hook once (pkg/kubelet/prober/prober.go, pkg/kubelet/lifecycle/handlers.go).

use super::{Hands, container};
use crate::streams::Duplex;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, LifecycleHandler, Pod};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kubelet::{Hook, ProbeKind};
use std::time::Duration;
use tokio::net::TcpStream;

pub(crate) async fn probe(
    hands: &Hands,
    pod: &Pod,
    (id, name): (&str, &str),
    kind: ProbeKind,
) -> Result<(), String> {
    let Some(container) = container::find(pod, name) else { return Ok(()) };
    let probe = match kind {
        ProbeKind::Startup => container.startup_probe.clone(),
        ProbeKind::Liveness => container.liveness_probe.clone(),
        ProbeKind::Readiness => container.readiness_probe.clone(),
    };
    let Some(probe) = probe else { return Ok(()) };
    let secs = u64::try_from(probe.timeout_seconds.unwrap_or(1).max(1)).unwrap_or(1);
    let limit = Duration::from_secs(secs);
    let host = pod_ip(hands, pod);
    let run = async {
        if let Some(exec) = &probe.exec {
            exec_ok(hands, id, exec.command.clone().unwrap_or_default(), secs).await
        } else if let Some(get) = &probe.http_get {
            http_ok(&host, &container, get, "kube-probe/1.35").await
        } else if let Some(tcp) = &probe.tcp_socket {
            let host = tcp.host.clone().filter(|h| !h.is_empty()).unwrap_or(host);
            tcp_ok(&host, port(&container, &tcp.port)?).await
        } else if let Some(grpc) = &probe.grpc {
            let port = u16::try_from(grpc.port).map_err(|_| "invalid port number".to_string())?;
            super::grpc::check(&host, port, grpc.service.as_deref().unwrap_or_default()).await
        } else {
            Err("this kind of probe is not supported by this node yet".into())
        }
    };
    match tokio::time::timeout(limit, run).await {
        Ok(result) => result,
        Err(_) => Err(format!("probe timed out after {secs}s (context deadline exceeded)")),
    }
}

pub(crate) async fn hook(
    hands: &Hands,
    pod: &Pod,
    (id, name): (&str, &str),
    hook: Hook,
) -> Result<(), String> {
    let Some(container) = container::find(pod, name) else { return Ok(()) };
    let lifecycle = container.lifecycle.clone().unwrap_or_default();
    let handler = match hook {
        Hook::PostStart => lifecycle.post_start,
        Hook::PreStop => lifecycle.pre_stop,
    };
    let Some(handler) = handler else { return Ok(()) };
    handle(hands, pod, &container, id, &handler).await
}

async fn handle(
    hands: &Hands,
    pod: &Pod,
    container: &Container,
    id: &str,
    handler: &LifecycleHandler,
) -> Result<(), String> {
    if let Some(exec) = &handler.exec {
        return exec_ok(hands, id, exec.command.clone().unwrap_or_default(), 0).await;
    }
    if let Some(get) = &handler.http_get {
        return http_ok(&pod_ip(hands, pod), container, get, "kube-lifecycle/1.35").await;
    }
    if let Some(sleep) = &handler.sleep {
        tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
    }
    Ok(())
}

fn pod_ip(hands: &Hands, pod: &Pod) -> String {
    let seen = crate::observe::observe(&hands.engine, &hands.config, hands.uid(pod));
    let ip = seen.sandboxes.last().and_then(|s| s.ips.first().cloned());
    ip.or_else(|| hands.policy.host_ips.first().cloned()).unwrap_or_default()
}

async fn exec_ok(hands: &Hands, id: &str, command: Vec<String>, secs: u64) -> Result<(), String> {
    let output = hands.engine.exec_sync(id, command, secs).await.map_err(|e| e.to_string())?;
    if output.exit_code == 0 {
        return Ok(());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(text)
}

fn port(container: &Container, port: &IntOrString) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let ports = container.ports.iter().flatten();
            let named = ports.clone().find(|p| p.name.as_deref() == Some(name));
            named.map(|p| p.container_port).or_else(|| name.parse().ok())
        }
    };
    let number = number.and_then(|n| u16::try_from(n).ok());
    number.ok_or_else(|| format!("invalid port number: {port:?}"))
}

async fn tcp_ok(host: &str, port: u16) -> Result<(), String> {
    TcpStream::connect((host, port))
        .await
        .map(drop)
        .map_err(|e| format!("dial tcp {host}:{port}: {e}"))
}

async fn http_ok(
    pod_ip: &str,
    container: &Container,
    get: &HTTPGetAction,
    agent: &str,
) -> Result<(), String> {
    let https = get.scheme.as_deref() == Some("HTTPS");
    let scheme = if https { "https" } else { "http" };
    let host = get.host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| pod_ip.to_string());
    let port = port(container, &get.port)?;
    let path = get.path.clone().filter(|p| !p.is_empty()).unwrap_or_else(|| "/".into());
    let failed = |e: &dyn std::fmt::Display| format!("Get \"{scheme}://{host}:{port}{path}\": {e}");
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(|e| failed(&e))?;
    let stream: Box<dyn Duplex> = match https {
        true => Box::new(crate::tls::anyone(&host, stream).await.map_err(|e| failed(&e))?),
        false => Box::new(stream),
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| failed(&e))?;
    let driver = tokio::spawn(connection);
    let mut request = http::Request::get(&path)
        .header("host", format!("{host}:{port}"))
        .header("user-agent", agent)
        .header("accept", "*/*")
        .header("connection", "close");
    for header in get.http_headers.iter().flatten() {
        request = request.header(&header.name, &header.value);
    }
    let request = request.body(Empty::<bytes::Bytes>::new()).map_err(|e| failed(&e))?;
    let response = sender.send_request(request).await.map_err(|e| failed(&e));
    driver.abort();
    match response?.status().as_u16() {
        200..=399 => Ok(()),
        code => Err(format!("HTTP probe failed with statuscode: {code}")),
    }
}
