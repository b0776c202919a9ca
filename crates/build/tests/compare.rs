//! Twelve Dockerfiles built here and by Debian's dockerd, with its classic builder and with
//! BuildKit: the same files and the same configurations, apart from times.
//!
//! Needs what `cli.rs` needs and dockerd 20.10, which bundles both builders and whose CLI speaks to
//! both: on the machine, or unpacked below `BOXSHIP_PEERS`. A case with a `Dockerfile.plain` uses
//! words that this docker does not know yet; docker builds the plain file then, which spells the
//! same. Says what is missing and passes.

#![allow(clippy::unwrap_used)]

mod engine;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use engine::{Engine, missing};
use serde_json::Value;

struct Case {
    name: &'static str,
    /// Whether the classic builder knows all words of it.
    words: Words,
    /// Stands on Debian, needs the network.
    base: &'static str,
    /// Mount points that the BuildKit of docker 20.10 leaves in the image; later ones do not.
    leftovers: &'static [&'static str],
}

#[derive(PartialEq)]
enum Words {
    Classic,
    BuildKit,
}

const fn case(name: &'static str, words: Words, base: &'static str) -> Case {
    Case { name, words, base, leftovers: &[] }
}

const fn leaves(case: Case, leftovers: &'static [&'static str]) -> Case {
    Case { leftovers, ..case }
}

const CASES: &[Case] = &[
    case("01-stages", Words::Classic, "busybox"),
    case("02-settings", Words::Classic, "busybox"),
    case("03-copy-rules", Words::Classic, "busybox"),
    case("04-archives", Words::Classic, "busybox"),
    case("05-onbuild", Words::Classic, "busybox"),
    leaves(case("06-mounts", Words::BuildKit, "busybox"), &["/cache", "/m", "/scratch", "/ctx"]),
    leaves(case("07-secrets", Words::BuildKit, "busybox"), &["/run", "/run/secrets", "/etc/token"]),
    case("08-heredocs", Words::Classic, "busybox"),
    case("09-link", Words::Classic, "busybox"),
    case("10-parents", Words::Classic, "busybox"),
    case("11-apt", Words::Classic, "debian"),
    leaves(case("12-pip", Words::BuildKit, "debian"), &["/run/secrets"]),
];

/// dockerd with everything it keeps below one folder.
struct Docker {
    child: Child,
    dir: PathBuf,
    cli: PathBuf,
}

impl Docker {
    fn start(dir: &Path) -> Result<Self, String> {
        let root = std::env::var_os("BOXSHIP_PEERS").map_or("/".into(), PathBuf::from);
        let (daemon, cli) = (root.join("usr/sbin/dockerd"), root.join("usr/bin/docker"));
        let version = Command::new(&daemon).arg("--version").output().map_err(|e| e.to_string());
        let version = String::from_utf8_lossy(&version?.stdout).into_owned();
        if !version.contains("version 20.10") {
            return Err(format!("dockerd 20.10 is needed; here is {version}"));
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{0}/usr/bin:{0}/usr/sbin:{path}", root.display());
        let log = std::fs::File::create(dir.join("dockerd.log")).unwrap();
        let child = Command::new(&daemon)
            .args(["--bridge=none", "--iptables=false", "--data-root"])
            .arg(dir.join("docker"))
            .arg("--exec-root")
            .arg(dir.join("exec"))
            .arg("--pidfile")
            .arg(dir.join("pid"))
            .arg(format!("--host=unix://{}/docker.sock", dir.display()))
            .env("PATH", path)
            .env("LD_LIBRARY_PATH", root.join("usr/lib/x86_64-linux-gnu"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| e.to_string())?;
        let docker = Self { child, dir: dir.to_owned(), cli };
        let end = Instant::now() + Duration::from_secs(60);
        while run(docker.command("0").arg("version")).is_err() {
            if Instant::now() > end {
                return Err("dockerd does not answer".to_owned());
            }
        }
        Ok(docker)
    }

    fn command(&self, buildkit: &str) -> Command {
        let mut command = Command::new(&self.cli);
        let host = format!("unix://{}/docker.sock", self.dir.display());
        command.env("DOCKER_HOST", host).env("DOCKER_BUILDKIT", buildkit);
        command.env("DOCKER_CONFIG", &self.dir).current_dir(&self.dir);
        command
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        // dockerd leaves its namespace mounted.
        let _ = Command::new("umount").arg(self.dir.join("exec/netns/default")).status();
    }
}

fn run(command: &mut Command) -> Result<String, String> {
    let out = command.stdin(Stdio::null()).output().map_err(|e| format!("{command:?}: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match out.status.success() {
        true => Ok(text(&out.stdout)),
        false => Err(format!("{command:?}: {}{}", text(&out.stdout), text(&out.stderr))),
    }
}

/// What must be the same: configuration, and by path what a file is.
#[derive(Debug, PartialEq)]
struct Seen {
    config: BTreeMap<String, Value>,
    files: BTreeMap<String, String>,
}

const CONFIG: &[&str] = &[
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "OnBuild",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
];

/// What engines put into a container themselves.
const NOT_COMPARED: &[&str] = &[
    "/.dockerenv",
    "/dev",
    "/proc",
    "/sys",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/mtab",
];

/// Contents with times in them.
const CONTENT_VARIES: &[&str] =
    &["/var/log/", "/var/cache/", "/var/lib/apt/", "/etc/shadow", "/var/lib/dpkg/"];

fn look(docker: &dyn Fn() -> Command, dir: &Path) -> Result<Seen, String> {
    let text = run(docker().args(["image", "inspect", "it", "--format", "{{json .Config}}"]))?;
    let whole: Value = serde_json::from_str(&text).unwrap();
    let empty = |v: &Value| match v {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        other => other.is_null(),
    };
    let kept = CONFIG.iter().filter(|k| !empty(&whole[**k]));
    let config = kept.map(|k| ((*k).to_owned(), whole[*k].clone())).collect();
    let tree = dir.join("tree");
    let _ = std::fs::remove_dir_all(&tree);
    std::fs::create_dir(&tree).unwrap();
    let id = run(docker().args(["create", "--network", "host", "it", "x"]))?;
    let archive = dir.join("tree.tar");
    run(docker().args(["export", "-o"]).arg(&archive).arg(id.trim()))?;
    run(docker().args(["rm", "-v", id.trim()]))?;
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "-xpf"]).arg(&archive).arg("-C").arg(&tree);
    // Device nodes may not be allowed here; they are not compared.
    let _ = run(&mut tar);
    let mut files = BTreeMap::new();
    walk(&tree, "", &mut files);
    Ok(Seen { config, files })
}

fn walk(dir: &Path, at: &str, out: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let name = format!("{at}/{}", entry.file_name().to_string_lossy());
        if NOT_COMPARED.contains(&name.as_str()) {
            continue;
        }
        let meta = entry.metadata().unwrap();
        let what = if meta.is_symlink() {
            format!("-> {}", std::fs::read_link(entry.path()).unwrap().display())
        } else if meta.is_file() && !CONTENT_VARIES.iter().any(|p| name.starts_with(p)) {
            let digest = oci::Digest::sha256(&std::fs::read(entry.path()).unwrap());
            format!("{:o} {} links {}", meta.mode(), digest.short(), meta.nlink())
        } else {
            format!("{:o}", meta.mode())
        };
        out.insert(name.clone(), format!("{what} {}:{}", meta.uid(), meta.gid()));
        if meta.is_dir() {
            walk(&entry.path(), &name, out);
        }
    }
}

/// The differing rows only; not those where docker's two builders disagree and ours is as `other`.
fn compare(what: &str, ours: &Seen, theirs: &Seen, other: Option<&Seen>) -> Vec<String> {
    let mut out = Vec::new();
    for key in ours.config.keys().chain(theirs.config.keys()) {
        let (a, b) = (ours.config.get(key), theirs.config.get(key));
        if a != b && other.is_none_or(|o| o.config.get(key) != a) {
            out.push(format!("{what}: config {key}: ours {a:?}, theirs {b:?}"));
        }
    }
    for name in ours.files.keys().chain(theirs.files.keys()) {
        let (a, b) = (ours.files.get(name), theirs.files.get(name));
        if a != b && other.is_none_or(|o| o.files.get(name) != a) {
            out.push(format!("{what}: {name}: ours {a:?}, theirs {b:?}"));
        }
    }
    out.sort();
    out.dedup();
    out
}

#[test]
fn twelve_dockerfiles() {
    if let Some(why) = missing() {
        return println!("skipped: {why}");
    }
    let dir = tempfile::tempdir().unwrap();
    let docker = match Docker::start(dir.path()) {
        Ok(docker) => docker,
        Err(why) => return println!("skipped: {why} (BOXSHIP_PEERS names unpacked packages)"),
    };
    let engine = Engine::start();
    let base = engine.dir.path().join("base.tar").display().to_string();
    run(docker.command("0").args(["import", &base, "busybox:latest"])).unwrap();
    let debian = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-python.tar");
    if debian.exists() {
        let (path, name) = (debian.display().to_string(), "debian:bookworm");
        run(docker.command("0").args(["import", &path, name])).unwrap();
        engine.ok(&["import", &path, name]);
    }
    std::fs::write(dir.path().join("token"), "hush").unwrap();
    let mut different = Vec::new();
    for case in CASES.iter().filter(|c| wanted(c.name)) {
        if case.base == "debian" && !debian.exists() {
            println!("skipped: {} (the test of iris-sklearn makes its base image)", case.name);
            continue;
        }
        different.extend(one(&engine, &docker, case, dir.path()));
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// `BOXSHIP_CASE` picks one.
fn wanted(name: &str) -> bool {
    std::env::var("BOXSHIP_CASE").map_or(true, |only| name.contains(&only))
}

fn one(engine: &Engine, docker: &Docker, case: &Case, dir: &Path) -> Vec<String> {
    let context = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/compare").join(case.name);
    let ours = || engine.command();
    let built = built_by_us(engine, &context, dir);
    let seen = match built.and_then(|()| look(&ours, dir)) {
        Ok(seen) => seen,
        Err(e) => return vec![format!("{}: ours fails: {e}", case.name)],
    };
    let (mut out, mut other) = (Vec::new(), None);
    for (builder, name) in [("1", "BuildKit"), ("0", "classic")] {
        if builder == "0" && case.words == Words::BuildKit {
            continue;
        }
        let what = format!("{} ({name})", case.name);
        let mut build = docker.command(builder);
        build.args(["build", "--network", "host", "-t", "it"]).arg(&context);
        let plain = context.join("Dockerfile.plain");
        if plain.exists() {
            build.arg("-f").arg(plain);
        }
        if builder == "1" {
            build.args(["--secret", "id=token,src=token", "--secret"]);
            build.arg(format!("id=ca,src={}", ca(dir)));
        }
        let theirs = || docker.command(builder);
        match run(&mut build).and_then(|_| look(&theirs, dir)) {
            Ok(mut theirs) => {
                theirs.files.retain(|f, _| !case.leftovers.contains(&f.as_str()));
                out.extend(compare(&what, &seen, &theirs, other.as_ref()));
                other = Some(theirs);
            }
            Err(e) => out.push(format!("{what} fails: {e}")),
        }
        println!("{what}: compared {} files", seen.files.len());
    }
    out
}

/// The machine's CA bundle, or an empty file.
fn ca(dir: &Path) -> String {
    let named = std::env::var("PIP_CERT").or_else(|_| std::env::var("SSL_CERT_FILE"));
    let empty = dir.join("no-ca");
    std::fs::write(&empty, "").unwrap();
    named.unwrap_or_else(|_| empty.display().to_string())
}

/// The context with the request's secrets beside.
fn built_by_us(engine: &Engine, context: &Path, dir: &Path) -> Result<(), String> {
    let folder = dir.join("context");
    let _ = std::fs::remove_dir_all(&folder);
    run(Command::new("cp").arg("-a").arg(context).arg(&folder))?;
    std::fs::create_dir_all(folder.join(".boxship/secrets")).unwrap();
    std::fs::copy(dir.join("token"), folder.join(".boxship/secrets/token")).unwrap();
    std::fs::copy(ca(dir), folder.join(".boxship/secrets/ca")).unwrap();
    let tar = Command::new("tar")
        .args(["--owner=0", "--group=0", "--numeric-owner", "-cf", "-", "-C"])
        .arg(&folder)
        .arg(".")
        .output()
        .unwrap();
    let lines = engine.post("t=it&boxship=1&networkmode=host", &tar.stdout);
    match lines.iter().find_map(|l| l["error"].as_str()) {
        Some(e) => Err(e.to_owned()),
        None => Ok(()),
    }
}
