//! Loads a node from outside, through its API: the measuring half of `cargo xtask bench node`.
//!
//! `pods --kubeconfig FILE start COUNT` creates pods all at once and prints, as JSON, how long each took from its
//! create to Running; `first` waits for an app's answer through its Service; `service` and `dns` measure the data
//! path. Everything it makes it removes.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]

use remote::Kube;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let args: Vec<String> = std::env::args().collect();
    let at = args.iter().position(|a| a == "--kubeconfig").ok_or("--kubeconfig FILE is missing")?;
    let kube = Kube::from_file(std::path::Path::new(&args[at + 1]))?;
    let rest: Vec<&str> = args[at + 2..].iter().map(String::as_str).collect();
    let told = match rest.as_slice() {
        ["start", count] => start(&kube, count.parse()?).await?,
        ["keep", count] => keep(&kube, count.parse()?).await?,
        ["first"] => first(&kube).await?,
        ["service"] => service(&kube).await?,
        ["endpoints", services, endpoints] => {
            endpoint_changes(&kube, services.parse()?, endpoints.parse()?).await?
        }
        ["dns"] => dns(&kube).await?,
        other => return Err(format!("unknown command {other:?}").into()),
    };
    println!("{told}");
    Ok(())
}

const PODS: &str = "/api/v1/namespaces/default/pods";

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "bench": "pods" } },
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "c", "image": "busybox", "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "100000"],
            }],
        },
    })
}

/// Creates `count` pods at once; milliseconds of each until Running was seen.
async fn start(kube: &Kube, count: usize) -> Result<Value, Failed> {
    let took = run(kube, count).await?;
    for name in took.keys() {
        kube.delete(&format!("{PODS}/{name}"), None).await?;
    }
    let began = Instant::now();
    while !kube.get(PODS).await?["items"].as_array().is_some_and(Vec::is_empty) {
        if began.elapsed() > Duration::from_secs(120) {
            return Err("the pods do not go".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ms: Vec<f64> = took.into_values().map(|t| t.as_secs_f64() * 1e3).collect();
    Ok(json!({ "ms": ms, "gone_ms": began.elapsed().as_secs_f64() * 1e3 }))
}

async fn keep(kube: &Kube, count: usize) -> Result<Value, Failed> {
    Ok(json!({ "pods": run(kube, count).await?.len() }))
}

async fn run(kube: &Kube, count: usize) -> Result<BTreeMap<String, Duration>, Failed> {
    let version = kube.get(PODS).await?["metadata"]["resourceVersion"].clone();
    let version = version.as_str().unwrap_or_default().to_string();
    let path = format!("{PODS}?watch=true&resourceVersion={version}");
    let mut watch = kube.watch(&path, "application/json").await?;
    let names: Vec<String> = (0..count).map(|i| format!("bench-{i:03}")).collect();
    let mut began = BTreeMap::new();
    let mut creates = tokio::task::JoinSet::new();
    for name in &names {
        began.insert(name.clone(), Instant::now());
        let (kube, name) = (kube.clone(), name.clone());
        creates.spawn(async move { kube.post(PODS, &pod(&name)).await.map(drop) });
    }
    let mut took = BTreeMap::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    while took.len() < count {
        let event = tokio::time::timeout_at(deadline, watch.next()).await??;
        let event = event.ok_or("the watch ended")?;
        let name = event.object["metadata"]["name"].as_str().unwrap_or_default().to_string();
        if event.object["status"]["phase"] == "Running"
            && let Some(began) = began.get(&name)
        {
            took.entry(name).or_insert_with(|| began.elapsed());
        }
    }
    while let Some(created) = creates.join_next().await {
        created??;
    }
    Ok(took)
}

// === the data path ===

/// A deployment and its Service are created; milliseconds until the Service answers by address.
async fn first(kube: &Kube) -> Result<Value, Failed> {
    let began = Instant::now();
    let script = "mkdir -p /www; echo hi > /www/index.html; exec httpd -f -p 8080 -h /www";
    let mut web = pod("first");
    web["metadata"]["labels"] = json!({ "app": "first" });
    web["spec"]["containers"][0]["command"] = json!(["sh", "-c", script]);
    let services = "/api/v1/namespaces/default/services";
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "first" },
        "spec": { "selector": { "app": "first" }, "ports": [{ "port": 80, "targetPort": 8080 }] },
    });
    kube.post(PODS, &web).await?;
    let made = kube.post(services, &service).await?;
    let address = made["spec"]["clusterIP"].as_str().unwrap_or_default().to_string();
    let resolver = resolver(kube).await?;
    loop {
        let name = ask(&resolver, "first.default.svc.cluster.local");
        if name && get(&format!("{address}:80")).is_ok() {
            break;
        }
        if began.elapsed() > Duration::from_secs(60) {
            return Err("the Service does not answer".into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed();
    kube.delete(&format!("{PODS}/first"), None).await?;
    kube.delete(&format!("{services}/first"), None).await?;
    Ok(json!({ "ms": took.as_secs_f64() * 1e3 }))
}

fn get(address: &str) -> Result<(), Failed> {
    let mut stream = TcpStream::connect_timeout(&address.parse()?, Duration::from_millis(200))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.contains("200 OK") { Ok(()) } else { Err("no 200".into()) }
}

/// A server in this process behind a Service of its own, against the same server reached directly.
async fn service(kube: &Kube) -> Result<Value, Failed> {
    let nodes = kube.get("/api/v1/nodes").await?;
    let node = nodes["items"][0]["status"]["addresses"][0]["address"].as_str().unwrap_or_default();
    let listener = TcpListener::bind("0.0.0.0:0")?;
    let port = listener.local_addr()?.port();
    let stop = Arc::new(AtomicBool::new(false));
    std::thread::spawn(move || {
        listener.incoming().flatten().for_each(|s| drop(std::thread::spawn(|| echo(s))))
    });
    let address = expose(kube, "bench", &[(node.to_string(), port)]).await?;
    let service: SocketAddr = format!("{address}:80").parse()?;
    let direct: SocketAddr = format!("{node}:{port}").parse()?;
    let began = Instant::now();
    while TcpStream::connect_timeout(&service, Duration::from_millis(100)).is_err() {
        if began.elapsed() > Duration::from_secs(10) {
            return Err("the Service does not answer".into());
        }
    }
    let mut out = json!({});
    for (name, at) in
        [("direct", direct), ("service", service), ("direct2", direct), ("service2", service)]
    {
        out[name] = json!({ "requests": requests(at, &stop)?, "connects": connects(at)? });
    }
    unexpose(kube, "bench").await?;
    Ok(out)
}

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 128];
    while let Ok(1..) = stream.read(&mut buffer) {
        if stream.write_all(&[b'x'; 512]).is_err() {
            return;
        }
    }
}

/// Round trips per second over four connections that stay.
fn requests(at: SocketAddr, stop: &Arc<AtomicBool>) -> Result<f64, Failed> {
    stop.store(false, Ordering::Relaxed);
    let done = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (stop, done) = (stop.clone(), done.clone());
            std::thread::spawn(move || -> std::io::Result<()> {
                let mut stream = TcpStream::connect(at)?;
                stream.set_nodelay(true)?;
                let mut answer = [0; 512];
                while !stop.load(Ordering::Relaxed) {
                    stream.write_all(&[b'q'; 100])?;
                    stream.read_exact(&mut answer)?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        })
        .collect();
    let began = Instant::now();
    std::thread::sleep(Duration::from_secs(2));
    let rate = done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.join().map_err(|_| "a worker panicked")??;
    }
    Ok(rate)
}

/// Connections with one round trip each, per second, one after another.
fn connects(at: SocketAddr) -> Result<f64, Failed> {
    let began = Instant::now();
    let mut done = 0;
    while began.elapsed() < Duration::from_secs(2) {
        let mut stream = TcpStream::connect(at)?;
        stream.write_all(b"q")?;
        stream.read_exact(&mut [0; 512])?;
        done += 1;
    }
    Ok(f64::from(done) / began.elapsed().as_secs_f64())
}

const SERVICES: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

/// A Service without selector on these addresses; gives its own.
async fn expose(kube: &Kube, name: &str, to: &[(String, u16)]) -> Result<String, Failed> {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "ports": [{ "port": 80 }] },
    });
    let made = kube.post(SERVICES, &service).await?;
    kube.post(SLICES, &slice(name, to)).await?;
    Ok(made["spec"]["clusterIP"].as_str().unwrap_or_default().to_string())
}

fn slice(name: &str, to: &[(String, u16)]) -> Value {
    let port = to.first().map_or(80, |(_, port)| *port);
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": format!("{name}-1"), "labels": { "kubernetes.io/service-name": name } },
        "endpoints": to.iter().map(|(a, _)| json!({ "addresses": [a] })).collect::<Vec<_>>(),
        "ports": [{ "port": port, "protocol": "TCP", "name": "" }],
    })
}

async fn unexpose(kube: &Kube, name: &str) -> Result<(), Failed> {
    kube.delete(&format!("{SERVICES}/{name}"), None).await?;
    Ok(kube.delete(&format!("{SLICES}/{name}-1"), None).await.map(drop)?)
}

/// With `services` Services of `endpoints` endpoints in all: milliseconds from the write of an endpoint until a
/// connection through its Service arrives there, ten times.
async fn endpoint_changes(kube: &Kube, services: usize, endpoints: usize) -> Result<Value, Failed> {
    let each = endpoints / services.max(1);
    let mut made = tokio::task::JoinSet::new();
    for i in 0..services {
        let to: Vec<_> =
            (0..each).map(|j| (format!("192.0.2.{}", (i + j) % 250 + 1), 80)).collect();
        let kube = kube.clone();
        made.spawn(async move { expose(&kube, &format!("many-{i}"), &to).await });
        if made.len() >= 16 {
            made.join_next().await.ok_or("nothing under way")???;
        }
    }
    while let Some(one) = made.join_next().await {
        one??;
    }
    let nodes = kube.get("/api/v1/nodes").await?;
    let node = nodes["items"][0]["status"]["addresses"][0]["address"].as_str().unwrap_or_default();
    let servers: Vec<TcpListener> =
        (0..2).map(|_| TcpListener::bind("0.0.0.0:0")).collect::<Result<_, _>>()?;
    let ports: Vec<u16> = servers.iter().map(|s| s.local_addr().unwrap().port()).collect();
    for (index, server) in servers.into_iter().enumerate() {
        std::thread::spawn(move || {
            for mut stream in server.incoming().flatten() {
                let _ = stream.write_all(&[b'0' + u8::try_from(index).unwrap_or(0)]);
            }
        });
    }
    let address = expose(kube, "moving", &[(node.to_string(), ports[0])]).await?;
    let service: SocketAddr = format!("{address}:80").parse()?;
    arrive(service, b'0', Duration::from_secs(60))?;
    let mut ms = Vec::new();
    for round in 1..=10 {
        let to = round % 2;
        let body = slice("moving", &[(node.to_string(), ports[to])]);
        let began = Instant::now();
        kube.put(&format!("{SLICES}/moving-1"), &body).await?;
        arrive(service, b'0' + u8::try_from(to)?, Duration::from_secs(30))?;
        ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(json!({ "ms": ms }))
}

fn arrive(at: SocketAddr, wanted: u8, patience: Duration) -> Result<(), Failed> {
    let began = Instant::now();
    let mut said = [0];
    while began.elapsed() < patience {
        let connected = TcpStream::connect_timeout(&at, Duration::from_millis(500));
        if connected.and_then(|mut s| s.read_exact(&mut said)).is_ok() && said[0] == wanted {
            return Ok(());
        }
    }
    Err("the packet path does not follow".into())
}

// === DNS ===

async fn resolver(kube: &Kube) -> Result<SocketAddr, Failed> {
    let service = kube.get("/api/v1/namespaces/kube-system/services/kube-dns").await?;
    Ok(format!("{}:53", service["spec"]["clusterIP"].as_str().unwrap_or_default()).parse()?)
}

fn query(id: u16, name: &str) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).unwrap_or(0));
        out.extend(label.bytes());
    }
    out.extend([0, 0, 1, 0, 1]);
    out
}

/// Whether the name has an address.
fn ask(resolver: &SocketAddr, name: &str) -> bool {
    let answered = || -> std::io::Result<bool> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        socket.connect(resolver)?;
        socket.send(&query(7, name))?;
        let mut answer = [0; 1500];
        let size = socket.recv(&mut answer)?;
        Ok(size > 12 && answer[7] > 0)
    };
    answered().unwrap_or(false)
}

/// Queries per second for the API server's own name, 32 under way at a time.
async fn dns(kube: &Kube) -> Result<Value, Failed> {
    let resolver = resolver(kube).await?;
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    socket.connect(resolver)?;
    let query = query(1, "kubernetes.default.svc.cluster.local");
    for _ in 0..32 {
        socket.send(&query)?;
    }
    let (began, mut done, mut answer) = (Instant::now(), 0_u64, [0; 1500]);
    while began.elapsed() < Duration::from_secs(3) {
        socket.recv(&mut answer)?;
        done += 1;
        socket.send(&query)?;
    }
    Ok(json!({ "per_second": done as f64 / began.elapsed().as_secs_f64() }))
}
