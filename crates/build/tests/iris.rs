//! `examples/iris-sklearn` for real: its base image out of our registry by way of a mirror, built by
//! the docker CLI, served on a published port, predictions checked.
//!
//! Needs what `cli.rs` needs, debootstrap, a Debian mirror and a Python package index; says so and
//! passes where they are missing.

#![allow(clippy::unwrap_used)]

mod engine;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use engine::{Engine, missing};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/iris-sklearn")
}

/// The base image's archive; made once.
fn base() -> Result<PathBuf, String> {
    let archive = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-python.tar");
    if archive.exists() {
        return Ok(archive);
    }
    let fresh = archive.with_extension("new");
    let out = Command::new(example().join("base.sh")).arg(&fresh).output();
    let out = out.map_err(|e| format!("base.sh does not run: {e}"))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        return Err(said.lines().last().unwrap_or("debootstrap failed").to_owned());
    }
    std::fs::rename(&fresh, &archive).map_err(|e| e.to_string())?;
    Ok(archive)
}

/// Our registry, on a store of its own; gives its address. It ends with the runtime.
fn registry(dir: &Path) -> (tokio::runtime::Runtime, String) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let store = image::ImageStore::open(dir, image::RegistriesConfig::default()).unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    runtime.spawn(registry_http::serve(listener, store, registry_http::Options::default()));
    (runtime, address)
}

#[test]
fn a_model_is_trained_and_served() {
    let why = missing().map(str::to_owned).map_or_else(|| base().map_err(Some), |w| Err(Some(w)));
    let archive = match why {
        Ok(archive) => archive,
        Err(why) => return println!("skipped: {}", why.unwrap_or_default()),
    };
    let folder = tempfile::tempdir().unwrap();
    let (_registry, address) = registry(folder.path());
    let mirrors = format!(r#"{{"registries":{{"docker.io":{{"mirrors":["http://{address}"]}}}}}}"#);
    let engine = Engine::start_with(&mirrors);
    let name = format!("{address}/library/debian:bookworm");
    engine.ok(&["import", &archive.display().to_string(), &name]);
    engine.ok(&["push", "-q", &name]);
    engine.ok(&["rmi", &name]);
    let source = example().display().to_string();
    let out = engine.docker(&["build", "-t", "iris-sklearn", &source]);
    let said = [out.stdout, out.stderr].map(|o| String::from_utf8_lossy(&o).into_owned()).concat();
    if ["NewConnectionError", "No matching distribution"].iter().any(|w| said.contains(w)) {
        return println!("skipped: no Python package index is reached from RUN");
    }
    assert!(out.status.success() && said.contains("accuracy on 30 unseen flowers: "), "{said}");
    assert!(said.contains("Pulling debian:bookworm"), "{said}");
    nothing_of_the_machine(&engine);
    serves(&engine);
    agents(&engine);
    // What was built is found again, pip's downloads included.
    let again = engine.ok(&["build", "-t", "iris-sklearn", &source]);
    assert!(!again.contains("Running in"), "{again}");
}

/// Proxies and CA bundle were there for RUN and are not in the image.
fn nothing_of_the_machine(engine: &Engine) {
    let config = engine.ok(&["image", "inspect", "iris-sklearn"]);
    let script = "ls -a /run /root/.cache/pip 2>&1; ls /etc/ssl/certs | head -1";
    let files = engine.ok(&["run", "--rm", "iris-sklearn", "sh", "-c", script]);
    for word in ["PIP_CERT", "SSL_CERT_FILE", "boxship/ca", "http_proxy", "HTTPS_PROXY"] {
        assert!(!config.contains(word), "{word} in {config}");
    }
    assert!(!files.contains("boxship") && !files.contains("http-v2"), "{files}");
}

/// Whoever connects inside reaches the agent that the caller named.
fn agents(engine: &Engine) {
    let path = engine.dir.path().join("agent.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let heard = std::thread::spawn(move || {
        let mut said = String::new();
        listener.accept().unwrap().0.read_to_string(&mut said).unwrap();
        said
    });
    let script = "import os, socket as s; c = s.socket(s.AF_UNIX); \
                  c.connect(os.environ['SSH_AUTH_SOCK']); c.sendall(b'hello')";
    let text = format!("FROM debian:bookworm\nRUN --mount=type=ssh python3 -c \"{script}\"\n");
    engine.write("ssh/Dockerfile", &text);
    let query = format!("ssh=%7B%22default%22:%22{}%22%7D", path.display());
    let lines = engine.post(&query, &engine.tar("ssh"));
    let failed = lines.iter().find(|l| l.get("error").is_some());
    assert!(failed.is_none(), "{failed:?}");
    assert_eq!(heard.join().unwrap(), "hello");
}

fn serves(engine: &Engine) {
    engine.ok(&["run", "-d", "--name", "iris", "-p", "8080", "iris-sklearn"]);
    let port = engine.ok(&["port", "iris", "8080"]);
    let port = port.lines().next().unwrap().rsplit(':').next().unwrap().to_owned();
    let end = Instant::now() + Duration::from_secs(120);
    let rows = r#"{"rows": [[5.1, 3.5, 1.4, 0.2], [6.0, 2.7, 4.5, 1.2], [6.7, 3.0, 5.5, 2.2]]}"#;
    let answer = loop {
        match post(&port, rows) {
            Some(answer) => break answer,
            None => assert!(Instant::now() < end, "{}", engine.ok(&["logs", "iris"])),
        }
    };
    let species = answer.split("\r\n\r\n").nth(1).unwrap().trim().replace([' ', '\n'], "");
    assert_eq!(species, r#"{"species":["setosa","versicolor","virginica"]}"#, "{answer}");
    assert!(post(&port, "{}").unwrap().starts_with("HTTP/1.1 400"));
    engine.ok(&["rm", "-f", "iris"]);
}

/// The whole answer, once there is one.
fn post(port: &str, body: &str) -> Option<String> {
    let mut socket = TcpStream::connect(format!("127.0.0.1:{port}")).ok()?;
    let head = format!(
        "POST /predict HTTP/1.1\r\nHost: iris\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    (!answer.is_empty()).then_some(answer)
}
