//! An etcd of its own to compare with: the one named by `--etcd`, on the path, or fetched (not installed) from Debian.

use super::Setup;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running etcd; killed when dropped.
pub struct Etcd {
    child: Child,
    /// `IP:PORT` of its clients' side, without TLS.
    pub address: String,
}

impl Etcd {
    /// # Errors
    /// When there is none, or it does not start.
    pub fn start(setup: &Setup, dir: &Path) -> Result<Self, String> {
        let program = find(setup)?;
        let (address, peers) = (free()?, free()?);
        let mut child = Command::new(&program)
            .arg("--data-dir")
            .arg(dir)
            .args(["--listen-client-urls", &format!("http://{address}")])
            .args(["--advertise-client-urls", &format!("http://{address}")])
            .args(["--listen-peer-urls", &format!("http://{peers}")])
            .env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}", program.display()))?;
        let stderr = child.stderr.take().expect("it is piped");
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let ready = lines.any(|line| line.contains("ready to serve client requests"));
        // To the end, so that it never blocks on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let etcd = Self { child, address };
        if ready { Ok(etcd) } else { Err("etcd ended before it was ready".into()) }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port nobody has now.
fn free() -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("a port for etcd: {e}"))?;
    listener.local_addr().map(|address| address.to_string()).map_err(|e| e.to_string())
}

fn find(setup: &Setup) -> Result<PathBuf, String> {
    if let Some(path) = setup.option("etcd") {
        return Ok(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|dir| dir.join("etcd")).find(|file| file.is_file());
    found.map_or_else(fetch, Ok)
}

/// Debian's package, unpacked next to what cargo builds.
fn fetch() -> Result<PathBuf, String> {
    let dir = super::target().join("peers/etcd");
    let program = dir.join("usr/bin/etcd");
    if program.is_file() {
        return Ok(program);
    }
    std::fs::create_dir_all(&dir).map_err(|e| format!("make `{}`: {e}", dir.display()))?;
    let script =
        "apt-get download etcd-server >/dev/null && dpkg -x etcd-server_*.deb . && rm *.deb";
    let done = Command::new("sh").args(["-c", script]).current_dir(&dir).output();
    match done {
        Ok(output) if output.status.success() && program.is_file() => Ok(program),
        _ => Err("none on the path, and apt-get does not fetch etcd-server".into()),
    }
}
