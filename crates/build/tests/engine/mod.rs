//! The real engine with a builder, for tests.

#![allow(dead_code, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

/// A running engine in a folder of its own.
pub struct Engine {
    pub dir: tempfile::TempDir,
    pub child: Child,
}

/// What these tests need and is not here.
pub fn missing() -> Option<&'static str> {
    let has = |program: &str| Command::new(program).arg("--help").output().is_ok();
    if !rustix::process::geteuid().is_root() {
        return Some("not root");
    }
    if !has("docker") {
        return Some("no docker CLI");
    }
    (!has("busybox")).then_some("no busybox")
}

fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/build-engine")
}

impl Engine {
    pub fn start() -> Self {
        Self::start_with("{}")
    }

    /// With this file about registries.
    pub fn start_with(registries: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        std::fs::write(dir.path().join("data/registries.json"), registries).unwrap();
        let child = spawn(dir.path());
        let engine = Self { dir, child };
        engine.wait();
        engine.base();
        engine
    }

    pub fn wait(&self) {
        let end = Instant::now() + Duration::from_secs(60);
        while std::os::unix::net::UnixStream::connect(self.dir.path().join("d.sock")).is_err() {
            assert!(Instant::now() < end, "the engine does not answer");
            std::thread::yield_now();
        }
    }

    /// The docker CLI, pointed here.
    pub fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command
            .current_dir(self.dir.path())
            .env("DOCKER_HOST", format!("unix://{}/d.sock", self.dir.path().display()))
            .env("DOCKER_BUILDKIT", "0");
        command
    }

    pub fn docker(&self, args: &[&str]) -> Output {
        self.command().args(args).output().unwrap()
    }

    pub fn ok(&self, args: &[&str]) -> String {
        let out = self.docker(args);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{args:?}: {text}{}", String::from_utf8_lossy(&out.stderr));
        text
    }

    pub fn fails(&self, args: &[&str]) -> String {
        let out = self.docker(args);
        assert!(!out.status.success(), "{args:?} succeeded");
        String::from_utf8_lossy(&out.stderr).into_owned()
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Sends a tar to `POST /build` and gives the answer's lines.
    pub fn post(&self, query: &str, tar: &[u8]) -> Vec<serde_json::Value> {
        let path = self.dir.path().join("d.sock");
        let mut socket = std::os::unix::net::UnixStream::connect(path).unwrap();
        let head = format!(
            "POST /build?{query} HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n",
            tar.len()
        );
        socket.write_all(head.as_bytes()).unwrap();
        socket.write_all(tar).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        let at = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let body = match String::from_utf8_lossy(&answer[..at]).contains("chunked") {
            true => chunks(&answer[at + 4..]),
            false => answer[at + 4..].to_vec(),
        };
        serde_json::Deserializer::from_slice(&body).into_iter().map_while(Result::ok).collect()
    }

    /// A folder of this engine as a tar.
    pub fn tar(&self, folder: &str) -> Vec<u8> {
        let folder = self.dir.path().join(folder);
        let out = Command::new("tar").arg("-C").arg(folder).args(["-cf", "-", "."]).output();
        out.unwrap().stdout
    }

    /// `busybox:latest` out of the machine's own program.
    fn base(&self) {
        let script = "mkdir -p base/bin base/etc && cp \"$(command -v busybox)\" base/bin/busybox \
            && for a in sh cat echo ls id sleep stat test; do ln -s busybox base/bin/$a; done \
            && echo 'app:x:7:8::/:/bin/sh' > base/etc/passwd \
            && tar -C base -cf base.tar .";
        let dir = self.dir.path();
        assert!(
            Command::new("sh").args(["-c", script]).current_dir(dir).status().unwrap().success()
        );
        self.ok(&["import", "base.tar", "busybox:latest"]);
    }
}

pub fn spawn(dir: &Path) -> Child {
    Command::new(program())
        .args(["--data-dir", &dir.join("data").display().to_string()])
        .args(["--host", &format!("unix://{}/d.sock", dir.display())])
        .args(["--name", &name()])
        .spawn()
        .unwrap()
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        reset(&self.dir.path().join("data"));
    }
}

fn name() -> String {
    format!("bt{}", std::process::id())
}

/// Ends the keeper and takes away what the instance has in the kernel.
fn reset(data: &Path) {
    if let Ok(keeper) = runtime::Keeper::connect(&data.join("keeper")) {
        let _ = runtime::stop(&keeper);
    }
    let instance = net::Instance::new(&name());
    let _ = instance.retain(|_| false);
    let _ = net::remove_tables(&instance);
    let Ok(v1) = std::fs::read_dir("/sys/fs/cgroup") else { return };
    for hierarchy in v1.flatten() {
        let _ = std::fs::remove_dir(hierarchy.path().join(name()));
    }
    let _ = std::fs::remove_dir(Path::new("/sys/fs/cgroup").join(name()));
}

/// The body of a chunked answer.
fn chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(at) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..at]).unwrap(), 16).unwrap();
        out.extend_from_slice(&rest[at + 2..at + 2 + size]);
        rest = &rest[(at + 4 + size).min(rest.len())..];
    }
    out
}
