//! The same requests to a real dockerd and to us: same status, same shape of JSON.
//!
//! `BOXSHIP_DOCKERD` names a directory that Debian's docker.io, containerd and runc were unpacked
//! to; without it dockerd is looked for on the machine. It runs in namespaces of its own.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::{Bench, said};

/// Method, path below `/v1.41`, body. In this order; `{exec}` is the newest exec's id.
const REQUESTS: &[(&str, &str, &str)] = &[
    ("GET", "/_ping", ""),
    ("GET", "/version", ""),
    ("GET", "/info", ""),
    ("GET", "/nope", ""),
    ("GET", "/containers/json?all=1", ""),
    ("GET", "/containers/json?filters=%7B%22status%22%3A%5B%22odd%22%5D%7D", ""),
    ("GET", "/containers/json?filters=odd", ""),
    ("POST", "/containers/create?name=dc", r#"{"Image":"nope"}"#),
    ("POST", "/containers/create?name=a%20b", r#"{"Image":"busybox","Cmd":["true"]}"#),
    ("POST", "/containers/create?name=dc", r#"{"Image":"busybox","HostConfig":{"Memory":5}}"#),
    ("POST", "/containers/create?name=dc", "{"),
    ("POST", "/containers/create?name=dc", ""),
    (
        "POST",
        "/containers/create?name=dc",
        r#"{"Image":"busybox","Cmd":["sleep","1000"],"Labels":{"a":"b"},"ExposedPorts":{"80/tcp":{}},"Volumes":{"/v":{}}}"#,
    ),
    ("POST", "/containers/create?name=dc", r#"{"Image":"busybox"}"#),
    ("GET", "/containers/dc/json", ""),
    ("POST", "/containers/dc/kill", ""),
    ("POST", "/containers/dc/pause", ""),
    ("POST", "/containers/dc/exec", r#"{"Cmd":["true"]}"#),
    ("POST", "/containers/dc/start", ""),
    ("POST", "/containers/dc/start", ""),
    ("GET", "/containers/dc/json?size=1", ""),
    ("GET", "/containers/json", ""),
    ("GET", "/containers/json?size=1", ""),
    ("GET", "/containers/dc/top", ""),
    ("GET", "/containers/dc/logs", ""),
    ("GET", "/containers/dc/logs?stdout=1", ""),
    ("GET", "/containers/dc/stats?stream=0&one-shot=1", ""),
    ("GET", "/containers/dc/changes", ""),
    ("POST", "/containers/dc/exec", r#"{"Cmd":[]}"#),
    ("POST", "/containers/dc/exec", r#"{"Cmd":["true"],"AttachStdout":true}"#),
    ("GET", "/exec/{exec}/json", ""),
    ("POST", "/exec/{exec}/start", r#"{"Detach":true}"#),
    ("GET", "/exec/nope/json", ""),
    ("POST", "/exec/nope/start", "{}"),
    ("POST", "/containers/dc/resize?h=1&w=x", ""),
    ("POST", "/containers/dc/pause", ""),
    ("POST", "/containers/dc/pause", ""),
    ("POST", "/containers/dc/unpause", ""),
    ("POST", "/containers/dc/unpause", ""),
    ("POST", "/containers/dc/rename?name=", ""),
    ("POST", "/containers/dc/rename?name=dc", ""),
    ("POST", "/containers/dc/rename?name=dd", ""),
    ("POST", "/containers/dd/rename?name=dc", ""),
    ("POST", "/containers/dc/update", r#"{"CpuShares":512}"#),
    ("POST", "/containers/dc/update", r#"{"RestartPolicy":{"Name":"odd"}}"#),
    ("HEAD", "/containers/dc/archive?path=/etc/passwd", ""),
    ("GET", "/containers/dc/archive?path=/nope", ""),
    ("GET", "/containers/dc/archive", ""),
    ("DELETE", "/containers/dc", ""),
    ("POST", "/containers/dc/kill?signal=ODD", ""),
    ("POST", "/containers/dc/stop?t=0", ""),
    ("POST", "/containers/dc/stop?t=0", ""),
    ("POST", "/containers/dc/kill", ""),
    ("POST", "/containers/dc/wait", ""),
    ("GET", "/containers/dc/top", ""),
    ("POST", "/commit?container=dc&repo=made&tag=1", ""),
    ("POST", "/commit?container=nope", ""),
    ("DELETE", "/containers/dc?v=1", ""),
    ("DELETE", "/containers/dc", ""),
    ("GET", "/containers/nope/json", ""),
    ("POST", "/containers/nope/start", ""),
    ("GET", "/containers/nope/logs?stdout=1", ""),
    ("POST", "/containers/prune", ""),
    ("GET", "/images/json", ""),
    ("GET", "/images/json?digests=1", ""),
    ("GET", "/images/busybox/json", ""),
    ("GET", "/images/made:1/json", ""),
    ("GET", "/images/busybox/history", ""),
    ("GET", "/images/nope/json", ""),
    ("GET", "/images/nope/history", ""),
    ("POST", "/images/busybox/tag?repo=other&tag=1", ""),
    ("POST", "/images/busybox/tag?repo=BAD", ""),
    ("POST", "/images/nope/tag?repo=x", ""),
    ("DELETE", "/images/other:1", ""),
    ("DELETE", "/images/made:1", ""),
    ("DELETE", "/images/nope", ""),
    ("POST", "/images/prune", ""),
    ("POST", "/images/create?fromImage=BAD", ""),
    ("GET", "/networks", ""),
    ("POST", "/networks/create", r#"{"Name":"dn","CheckDuplicate":true}"#),
    ("POST", "/networks/create", r#"{"Name":"dn","CheckDuplicate":true}"#),
    ("POST", "/networks/create", r#"{"Name":"dm","Driver":"odd"}"#),
    ("POST", "/networks/create", r#"{"Name":"bridge"}"#),
    ("GET", "/networks/dn", ""),
    ("GET", "/networks/nope", ""),
    ("POST", "/networks/dn/connect", r#"{"Container":"nope"}"#),
    ("DELETE", "/networks/dn", ""),
    ("DELETE", "/networks/dn", ""),
    ("DELETE", "/networks/bridge", ""),
    ("POST", "/networks/prune", ""),
    ("GET", "/volumes", ""),
    ("POST", "/volumes/create", r#"{"Name":"dv","Labels":{"a":"b"}}"#),
    ("POST", "/volumes/create", r#"{"Name":"a b"}"#),
    ("POST", "/volumes/create", r#"{"Name":"dw","Driver":"odd"}"#),
    ("GET", "/volumes", ""),
    ("GET", "/volumes/dv", ""),
    ("GET", "/volumes/nope", ""),
    ("DELETE", "/volumes/dv", ""),
    ("DELETE", "/volumes/dv", ""),
    ("DELETE", "/volumes/dv?force=1", ""),
    ("POST", "/volumes/prune", ""),
    ("GET", "/system/df", ""),
    ("GET", "/events?since=1&until=2", ""),
    ("GET", "/events?since=x", ""),
    ("GET", "/swarm", ""),
    ("GET", "/services", ""),
    ("GET", "/nodes", ""),
    ("GET", "/secrets", ""),
    ("GET", "/configs", ""),
    ("GET", "/tasks", ""),
    ("GET", "/plugins", ""),
    ("GET", "/plugins/nope/json", ""),
    ("POST", "/auth", "{"),
];

/// Where we differ on purpose: path of the request, what is different, why.
/// "The release" is Docker 28, whose API 1.50 we speak; the peer is Debian's 20.10.
const INTENDED: &[(&str, &str, &str)] = &[
    ("/info", "BridgeNfIp", "gone in the release (API 1.50)"),
    ("/info", "Commit.Expected", "gone in the release"),
    ("/info", ".KernelMemory", "gone since API 1.42"),
    ("/info", "AllowNondistributableArtifacts", "gone in the release"),
    ("/info", ".Runtimes.io.containerd", "our runtime is our own and has one name"),
    ("/info", "CDISpecDirs", "since API 1.44"),
    ("/info", "FirewallBackend", "since API 1.49"),
    ("/containers/json", "DNSNames", "since API 1.44"),
    ("/containers/json", "GwPriority", "since API 1.48"),
    ("/containers/json", "[].SizeRw", "left out when zero; we count the root's own files"),
    ("/containers/json", "status: 500", "a filter that is no JSON is 400 in the release"),
    ("/containers/create", "status: 500", "a body that is no JSON is 400 since 23.0"),
    ("/auth", "status: 500", "a body that is no JSON is 400 since 23.0"),
    ("/events", "status: 500", "a time that is none is the client's fault"),
    ("/images/busybox/tag", "status: 500", "a bad reference is 400 since 23.0"),
    ("/containers/dc/json", "DNSNames", "since API 1.44"),
    ("/containers/dc/json", "GwPriority", "since API 1.48"),
    ("/containers/dc/json", "HostConfig.KernelMemory", "gone since API 1.42"),
    ("/containers/dc/json", "HostConfig.Runtime", "filled at creation, not at the first start"),
    (
        "/containers/dc/json",
        ".GraphDriver.Data",
        "the overlay is mounted only inside the container",
    ),
    ("/containers/dc/stats", "more:", "20.10 answers one-shot with an empty sample here"),
    ("/containers/dc/wait", "missing: .Error null", "left out when there is none, since 1.42"),
    ("/images/json", "RepoDigests", "null became an empty list in 25.0"),
    ("/images/busybox/json", ".Container", "gone since API 1.45"),
    ("/images/made:1/json", ".Container", "gone since API 1.45"),
    ("/images/busybox/json", ".GraphDriver.Data", "layers are not directories of their own names"),
    ("/images/made:1/json", ".GraphDriver.Data", "layers are not directories of their own names"),
    ("/networks", "EnableIPv4", "since API 1.47"),
    ("/networks", "IPAM.Config[]", "the first row is another network: we list by name"),
    ("/networks/dn", "EnableIPv4", "since API 1.47"),
    ("/system/df", "BuildCache", "null became an empty list"),
    ("/system/df", "RepoDigests", "null became an empty list in 25.0"),
];

struct Dockerd {
    child: Child,
    dir: tempfile::TempDir,
}

impl Dockerd {
    fn start() -> Result<Self, String> {
        let root = std::env::var_os("BOXSHIP_DOCKERD").map_or_else(|| "/".into(), PathBuf::from);
        let folders = ["usr/bin", "usr/sbin", "usr/local/bin"].map(|dir| root.join(dir));
        let program = folders.iter().map(|dir| dir.join("dockerd")).find(|p| p.exists());
        let program = program.ok_or("there is no dockerd (BOXSHIP_DOCKERD names its packages)")?;
        let dir = tempfile::tempdir().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = folders.into_iter().chain(std::env::split_paths(&path));
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new("unshare");
        command.args(["-m", "-n"]).arg(program).env("PATH", std::env::join_paths(path).unwrap());
        command.env("LD_LIBRARY_PATH", root.join("usr/lib/x86_64-linux-gnu"));
        for (option, name) in
            [("--data-root", "data"), ("--exec-root", "run"), ("--pidfile", "pid")]
        {
            command.arg(option).arg(dir.path().join(name));
        }
        command.arg("--host").arg(format!("unix://{}", dir.path().join("sock").display()));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().map_err(|e| format!("unshare: {e}"))?;
        let mut dockerd = Self { child, dir };
        let start = Instant::now();
        while UnixStream::connect(dockerd.socket()).is_err() {
            let ended = dockerd.child.try_wait().unwrap().is_some();
            if ended || start.elapsed() > Duration::from_secs(60) {
                let log = std::fs::read_to_string(dockerd.dir.path().join("log")).unwrap();
                return Err(format!("dockerd does not come up: {:?}", log.lines().last()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(dockerd)
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}

/// Status and body. HTTP/1.0, so that nothing is chunked.
fn ask(socket: &Path, (method, path, body): (&str, &str, &str)) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = body.len();
    let head = format!(
        "{method} /v1.41{path} HTTP/1.0\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.get(9..12).and_then(|s| s.parse().ok()).unwrap_or(0), body.to_owned())
}

/// Paths and types of everything in a document; of lists the first element counts.
fn shape(value: &Value, at: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            out.insert(format!("{at} object"));
            for (key, inner) in fields {
                // Keys that are data: names of networks, ports, ids, labels.
                let data = key.len() == 64 || key.contains('/') || key == "dn";
                let key = if data { "*" } else { key };
                shape(inner, &format!("{at}.{key}"), out);
            }
        }
        Value::Array(rows) => {
            out.insert(format!("{at} list"));
            if let Some(row) = rows.first() {
                shape(row, &format!("{at}[]"), out);
            }
        }
        Value::String(_) => drop(out.insert(format!("{at} string"))),
        Value::Number(_) => drop(out.insert(format!("{at} number"))),
        Value::Bool(_) => drop(out.insert(format!("{at} bool"))),
        Value::Null => drop(out.insert(format!("{at} null"))),
    }
}

fn shapes(body: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for line in body.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()) {
        shape(&line, "", &mut out);
    }
    out
}

/// What one request shows of a difference, one line each.
fn differences(path: &str, theirs: &(u16, String), ours: &(u16, String)) -> Vec<String> {
    let mut out = Vec::new();
    if theirs.0 != ours.0 {
        let said = |(status, body): &(u16, String)| {
            format!("{status} {}", body.trim().chars().take(160).collect::<String>())
        };
        out.push(format!("status: {} | ours {}", said(theirs), said(ours)));
    }
    let same = out.is_empty();
    let of = |body: &str| if same { shapes(body) } else { BTreeSet::new() };
    let (a, b) = (of(&theirs.1), of(&ours.1));
    out.extend(a.difference(&b).map(|line| format!("missing: {line}")));
    out.extend(b.difference(&a).map(|line| format!("more: {line}")));
    let route = path.split('?').next().unwrap_or(path);
    out.retain(|line| {
        let told =
            |row: &&(&str, &str, &str)| (row.0 == "*" || row.0 == route) && line.contains(row.1);
        !INTENDED.iter().any(|row| told(&row))
    });
    out
}

#[test]
fn as_dockerd_answers() {
    let dockerd = match Dockerd::start() {
        Ok(dockerd) => dockerd,
        Err(why) => return println!("skipped as_dockerd_answers: {why}"),
    };
    let Some(b) = Bench::start_apart("dif") else { return };
    let tar = b.path("busybox.tar").display().to_string();
    let host = format!("unix://{}", dockerd.socket().display());
    let mut import = b.command(&["-H", &host, "import", "-c", "CMD [\"sh\"]", &tar, "busybox"]);
    let done = said(import.env_remove("DOCKER_HOST").output().unwrap());
    assert_eq!(done.code, 0, "{}", done.err);
    let ours = PathBuf::from(b.host().trim_start_matches("unix://"));
    let (mut execs, mut wrong) = ([String::new(), String::new()], Vec::new());
    for (method, path, body) in REQUESTS {
        let answer = |socket: &Path, exec: &mut String| {
            let path = path.replace("{exec}", exec);
            let answer = ask(socket, (method, &path, body));
            let id = serde_json::from_str::<Value>(&answer.1).ok();
            if let Some(id) = id.as_ref().and_then(|v| v["Id"].as_str())
                && path.ends_with("/exec")
            {
                id.clone_into(exec);
            }
            answer
        };
        let theirs = answer(&dockerd.socket(), &mut execs[0]);
        let mine = answer(&ours, &mut execs[1]);
        for line in differences(path, &theirs, &mine) {
            wrong.push(format!("{method} {path} {line}"));
        }
    }
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong.join("\n"));
}
