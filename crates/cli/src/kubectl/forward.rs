//! `port-forward`: listens here, each connection a pair of channels to the pod.

use super::kinds::Kinds;
use super::logs::pods;
use super::{Cluster, cluster, select, text};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use meta::Value;
use remote::{Kube, Message, WebSocket, escape};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const PROTOCOL: &str = "v4.channel.k8s.io";

/// One forwarded port: here, and there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    here: u16,
    there: u16,
}

pub async fn forward(call: &Call) -> Result<u8, Failure> {
    let cluster = cluster(call)?;
    let kinds = Kinds::load(&cluster.kube).await?;
    let (word, ports) = call.args.split_first().expect("the row asks for one");
    if ports.is_empty() {
        return Err(Failure::plain(
            "error: TYPE/NAME and list of ports are required for port-forward",
        ));
    }
    let pod = pods(&cluster, &kinds, word).await?.remove(0);
    let name = text(&pod, "/metadata/name").to_owned();
    if text(&pod, "/status/phase") != "Running" {
        let phase = text(&pod, "/status/phase");
        return Err(Failure::plain(format!(
            "error: unable to forward port because pod is not running. Current status={phase}"
        )));
    }
    let service = service(&cluster, &kinds, word).await?;
    let path =
        format!("/api/v1/namespaces/{}/pods/{}/portforward", cluster.namespace, escape(&name));
    let mut tasks = JoinSet::new();
    for spec in ports {
        let pair = pair(spec, service.as_ref(), &pod)?;
        let addresses = call.get("address").unwrap_or("localhost");
        for address in addresses.split(',').flat_map(spelled) {
            let listener = listen(address, pair).await?;
            tasks.spawn(serve(listener, cluster.kube.clone(), path.clone(), pair.there));
        }
    }
    while tasks.join_next().await.is_some() {}
    Ok(0)
}

fn spelled(address: &str) -> Vec<&str> {
    if address == "localhost" { vec!["127.0.0.1", "::1"] } else { vec![address] }
}

async fn service(cluster: &Cluster, kinds: &Kinds, word: &str) -> Result<Option<Value>, Failure> {
    if !word.contains('/') {
        return Ok(None);
    }
    let wanted = select::slashed(kinds, word)?;
    if wanted.kind.kind != "Service" {
        return Ok(None);
    }
    let path = wanted.kind.path(Some(&cluster.namespace), wanted.names.first().map(String::as_str));
    cluster.kube.get(&path).await.map(Some).map_err(|e| Failure::kube(format!("get {word}"), &e))
}

/// `HERE:THERE`, `:THERE` or `PORT`; a Service's port means the pod's that stands behind it.
fn pair(spec: &str, service: Option<&Value>, pod: &Value) -> Result<Pair, Failure> {
    let bad = |why: &str| Failure::plain(format!("error: error parsing port '{spec}': {why}"));
    let (here, there) = spec.split_once(':').unwrap_or((spec, spec));
    let named = |name: &str| container_port(pod, name).ok_or_else(|| bad("no such port"));
    let target = match service {
        Some(service) => {
            let ports = service["spec"]["ports"].as_array().into_iter().flatten();
            let number = there.parse().ok();
            let fits = |p: &&Value| p["port"].as_u64() == number || p["name"] == there;
            let port =
                ports.into_iter().find(fits).ok_or_else(|| bad("the Service has no such port"))?;
            match &port["targetPort"] {
                Value::String(name) => named(name)?,
                target => target
                    .as_u64()
                    .or(port["port"].as_u64())
                    .and_then(|p| u16::try_from(p).ok())
                    .unwrap_or(0),
            }
        }
        None => match there.parse() {
            Ok(port) => port,
            Err(_) => named(there)?,
        },
    };
    let here = match here {
        "" => 0,
        here => here
            .parse()
            .or_else(|_| if here == there { Ok(target) } else { Err(bad("it is no number")) })?,
    };
    Ok(Pair { here, there: target })
}

fn container_port(pod: &Value, name: &str) -> Option<u16> {
    let containers = pod["spec"]["containers"].as_array()?.iter();
    let mut ports = containers.flat_map(|c| c["ports"].as_array().into_iter().flatten());
    let port = ports.find(|port| port["name"] == name)?;
    u16::try_from(port["containerPort"].as_u64()?).ok()
}

async fn listen(address: &str, pair: Pair) -> Result<TcpListener, Failure> {
    let failed = |e: std::io::Error| Failure::new(format!("listen on {address}:{}", pair.here), e);
    let listener = TcpListener::bind((address, pair.here)).await.map_err(failed)?;
    let here = listener.local_addr().map_err(failed)?;
    out::line(format!("Forwarding from {here} -> {}", pair.there));
    Ok(listener)
}

async fn serve(listener: TcpListener, kube: Kube, path: String, port: u16) {
    while let Ok((stream, _)) = listener.accept().await {
        out::line(format!("Handling connection for {port}"));
        let (kube, path) = (kube.clone(), path.clone());
        tokio::spawn(async move {
            if let Err(why) = carry(stream, &kube, &path, port).await {
                out::write_err(format!("error: forward to port {port}: {why}\n").as_bytes());
            }
        });
    }
}

const DATA: u8 = 0;
const ERROR: u8 = 1;

async fn carry(stream: TcpStream, kube: &Kube, path: &str, port: u16) -> Result<(), String> {
    let path = format!("{path}?ports={port}");
    let socket = WebSocket::open(kube, &path, &[PROTOCOL]).await.map_err(|e| e.to_string())?;
    let (mut sender, mut receiver) = (socket.sender, socket.receiver);
    let (mut reader, mut writer) = stream.into_split();
    let up = tokio::spawn(async move {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            if sender.send(&[&[DATA], &buffer[..count]]).await.is_err() {
                return;
            }
        }
        // This protocol cannot end one direction; the answer still comes, so the socket stays open.
        std::future::pending::<()>().await;
    });
    let mut announced = [false; 2];
    let done = loop {
        match receiver.next().await.map_err(|e| e.to_string())? {
            None => break Ok(()),
            Some(Message::Ping(_)) => {}
            Some(Message::Data(mut data)) if data.len() > 1 => {
                let channel = data.split_to(1)[0];
                // The first word of each channel is its port.
                match announced.get_mut(usize::from(channel)) {
                    Some(seen) if !*seen => *seen = true,
                    _ if channel == ERROR => break Err(String::from_utf8_lossy(&data).into_owned()),
                    _ if writer.write_all(&data).await.is_err() => break Ok(()),
                    _ => {}
                }
            }
            Some(Message::Data(_)) => {}
        }
    };
    up.abort();
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports() {
        let pod = json!({ "spec": { "containers": [{ "ports": [{ "name": "web", "containerPort": 8080 }] }] } });
        let service = json!({ "spec": { "ports": [{ "port": 80, "targetPort": "web" }] } });
        let of = |spec: &str, service: Option<&Value>| {
            pair(spec, service, &pod).ok().map(|p| (p.here, p.there))
        };
        assert_eq!(of("8080", None), Some((8080, 8080)));
        assert_eq!(of(":80", None), Some((0, 80)));
        assert_eq!(of("9000:web", None), Some((9000, 8080)));
        assert_eq!(of("9000:80", Some(&service)), Some((9000, 8080)));
        assert_eq!(of("80", Some(&service)), Some((80, 8080)));
        assert_eq!(of("x:y", None), None);
    }
}
