//! One `boxship up` of a test's own, driven by unmodified clients.

#![allow(dead_code, reason = "each test uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Instances of one machine share its Service addresses, so tests take turns.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub struct Instance {
    name: String,
    dir: PathBuf,
    port: u16,
    child: Child,
    _turn: MutexGuard<'static, ()>,
}

/// Slow machines get this long for anything that should happen soon.
const PATIENCE: Duration = Duration::from_secs(90);

impl Instance {
    /// Starts an instance; `None`, with the reason printed, where it cannot run.
    pub fn start(name: &str) -> Option<Self> {
        Self::prepared(name, |_| {})
    }

    /// Starts an instance whose data directory is a disk of `size` (`192m`).
    pub fn start_on_small_disk(name: &str, size: &str) -> Option<Self> {
        Self::prepared(name, |dir| {
            let data = dir.join("data");
            std::fs::create_dir_all(&data).unwrap();
            let options = format!("size={size}");
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]);
            assert!(mount.arg(&data).status().unwrap().success());
        })
    }

    fn prepared(name: &str, prepare: impl FnOnce(&Path)) -> Option<Self> {
        if !can_run() {
            return None;
        }
        // A test that failed while it had the turn says so itself.
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("t{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&dir).unwrap();
        prepare(&dir);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = spawn(&name, &dir, port);
        Some(Self { name, dir, port, child, _turn: turn })
    }

    /// `kill -9`, as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.child = spawn(&self.name, &self.dir, self.port);
    }

    /// Where the test may put files; removed with the instance.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.dir.join("docker.sock").display())
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// As [`Instance::kubectl`]; what it complained about when it failed.
    pub fn try_kubectl(&self, args: &[&str]) -> Result<String, String> {
        attempt(Command::new("kubectl").args(args).env("KUBECONFIG", self.kubeconfig()))
    }

    pub fn try_docker(&self, args: &[&str]) -> Result<String, String> {
        attempt(Command::new("docker").args(args).env("DOCKER_HOST", self.docker_host()))
    }

    /// Runs kubectl and gives what it printed.
    pub fn kubectl(&self, args: &[&str]) -> String {
        run(Command::new("kubectl").args(args).env("KUBECONFIG", self.kubeconfig()), args)
    }

    pub fn docker(&self, args: &[&str]) -> String {
        run(Command::new("docker").args(args).env("DOCKER_HOST", self.docker_host()), args)
    }

    pub fn apply(&self, manifests: &str) {
        let path = self.dir.join("manifests.yaml");
        std::fs::write(&path, manifests).unwrap();
        self.kubectl(&["apply", "-f", path.to_str().unwrap()]);
    }

    /// Builds a Dockerfile with the classic `docker build`, in an empty context.
    pub fn build(&self, tag: &str, dockerfile: &str) {
        let context = self.dir.join("context");
        std::fs::create_dir_all(&context).unwrap();
        std::fs::write(context.join("Dockerfile"), dockerfile).unwrap();
        self.docker(&["build", "-q", "-t", tag, context.to_str().unwrap()]);
    }

    /// An image of nothing but busybox, brought in as users bring in root file systems.
    pub fn import_busybox(&self) {
        let root = self.dir.join("rootfs");
        let bin = root.join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        for applet in
            ["sh", "echo", "cat", "ls", "sleep", "mkdir", "hostname", "httpd", "wget", "id", "true"]
        {
            let _ = std::os::unix::fs::symlink("busybox", bin.join(applet));
        }
        let tar = self.dir.join("rootfs.tar");
        let made = Command::new("tar")
            .arg("-C")
            .arg(&root)
            .arg("-cf")
            .arg(&tar)
            .arg(".")
            .status()
            .unwrap();
        assert!(made.success());
        self.docker(&["import", tar.to_str().unwrap(), "busybox:latest"]);
    }
}

fn spawn(name: &str, dir: &Path, port: u16) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(dir.join("log")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_boxship"))
        .args(["up", "--name", name])
        .arg("--data-dir")
        .arg(dir.join("data"))
        .arg("--listen")
        .arg(format!("127.0.0.1:{port}"))
        .arg("--write-kubeconfig")
        .arg(dir.join("kubeconfig"))
        .arg("--docker-host")
        .arg(format!("unix://{}", dir.join("docker.sock").display()))
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(
        line.starts_with("ready in "),
        "boxship up said {line:?}; its log is in {}",
        dir.display()
    );
    child
}

impl Drop for Instance {
    /// As a user leaves: SIGTERM, then `boxship reset`, which must leave nothing.
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("the log of the instance is in {}", self.dir.display());
        }
        let reset = Command::new(env!("CARGO_BIN_EXE_boxship"))
            .args(["reset", "--name", &self.name, "--data-dir"])
            .arg(self.dir.join("data"))
            .output();
        if std::thread::panicking() {
            return;
        }
        let reset = reset.unwrap();
        assert!(reset.status.success(), "{}", String::from_utf8_lossy(&reset.stderr));
        assert!(!self.dir.join("data").exists());
        for root in [
            "/sys/fs/cgroup",
            "/sys/fs/cgroup/memory",
            "/sys/fs/cgroup/pids",
            "/sys/fs/cgroup/freezer",
        ] {
            assert!(!Path::new(root).join(&self.name).exists(), "{root} still has {}", self.name);
        }
        let tables = Command::new("nft").args(["list", "tables"]).output();
        let tables =
            tables.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
        assert!(!tables.contains(&self.name), "{tables}");
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

fn run(command: &mut Command, args: &[&str]) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?} failed:\n{text}{errors}");
    text
}

fn attempt(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Whether instances can run here; the reason is printed where they cannot.
pub fn can_run() -> bool {
    let needs = [
        ("root", is_root()),
        ("kubectl", on_path("kubectl")),
        ("docker", on_path("docker")),
        ("/bin/busybox", Path::new("/bin/busybox").exists()),
    ];
    for (what, _) in needs.iter().filter(|(_, there)| !there) {
        println!("skipped: this test needs {what}");
    }
    needs.iter().all(|(_, there)| *there)
}

/// Waits until `holds`; what is waited for is named when it does not come.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The body a server on this machine answers a GET with.
pub fn http_get(address: &str, path: &str) -> String {
    get(address, path).unwrap()
}

/// As [`http_get`]; nothing while nobody answers.
pub fn try_http_get(address: &str, path: &str) -> String {
    get(address, path).unwrap_or_default()
}

fn get(address: &str, path: &str) -> std::io::Result<String> {
    let target = address.parse().map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&target, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_string()).unwrap_or_default())
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .lines()
        .any(|l| l.starts_with("Uid:\t0\t"))
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).exists()))
}
