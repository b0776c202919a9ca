//! The contestants of `bench engine`: our daemon, Debian's dockerd, podman and runc, all in one
//! network namespace of the run's own.

use super::super::process::{self, Memory};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Runs a command and answers its output.
///
/// # Errors
/// When it cannot be started or fails, with what it wrote.
pub fn output(command: &mut Command) -> Result<String, String> {
    let what = format!("{command:?}");
    let out = command.stdin(Stdio::null()).output().map_err(|e| format!("{what}: {e}"))?;
    match out.status.success() {
        true => Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned()),
        false => Err(format!("{what}: {}", String::from_utf8_lossy(&out.stderr).trim())),
    }
}

/// A network namespace with loopback, for as long as it lives.
pub struct Netns(Child);

impl Netns {
    /// # Errors
    /// Without root, unshare or ip.
    pub fn new() -> Result<Self, String> {
        let script = "ip link set lo up && echo up && exec sleep inf";
        let mut holder = Command::new("unshare");
        holder.args(["-n", "sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = holder.spawn().map_err(|e| format!("unshare: {e}"))?;
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        let read = BufReader::new(stdout).read_line(&mut line);
        match read.is_ok() && line.trim() == "up" {
            true => Ok(Self(child)),
            false => Err("no network namespace: root and iproute2 are needed".into()),
        }
    }

    /// A command that becomes `program` inside.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.0.id())).arg("--").arg(program);
        command
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // The daemons inside are gone by now, and the namespace with them.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A daemon behind a Docker socket.
pub struct Daemon {
    pub name: &'static str,
    child: Child,
    dir: PathBuf,
}

impl Daemon {
    /// # Errors
    /// When it does not answer within half a minute.
    pub fn ours(netns: &Netns, binary: &Path, dir: &Path, name: &str) -> Result<Self, String> {
        let mut command = netns.command(binary);
        command.args(["engine", "--name", name, "--data-dir"]).arg(dir.join("data"));
        command.arg("--host").arg(format!("unix://{}", dir.join("sock").display()));
        Self::start("boxship", command, dir)
    }

    /// # Errors
    /// When there is none or it does not answer within half a minute.
    pub fn docker(netns: &Netns, peers: &Peers, dir: &Path) -> Result<Self, String> {
        let mut command = netns.command(&peers.find("dockerd")?);
        peers.environment(&mut command);
        command.arg("--data-root").arg(dir.join("data")).arg("--exec-root").arg(dir.join("run"));
        command.arg("--pidfile").arg(dir.join("pid"));
        command.arg("--host").arg(format!("unix://{}", dir.join("sock").display()));
        Self::start("docker", command, dir)
    }

    fn start(name: &'static str, mut command: Command, dir: &Path) -> Result<Self, String> {
        let what = |e: &dyn std::fmt::Display| format!("start {name}: {e}");
        fs::create_dir_all(dir).map_err(|e| what(&e))?;
        let log = fs::File::create(dir.join("log")).map_err(|e| what(&e))?;
        let errors = log.try_clone().map_err(|e| what(&e))?;
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        let mut daemon = Self { name, child: child.map_err(|e| what(&e))?, dir: dir.into() };
        let until = Instant::now() + Duration::from_secs(30);
        while output(daemon.cli().arg("version")).is_err() {
            let ended = daemon.child.try_wait().is_ok_and(|status| status.is_some());
            if ended || Instant::now() > until {
                let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
                return Err(what(&log.lines().last().unwrap_or("it does not answer")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(daemon)
    }

    /// The docker CLI pointed at this daemon.
    pub fn cli(&self) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", format!("unix://{}", self.dir.join("sock").display()));
        command.env("DOCKER_CONFIG", &self.dir).env_remove("DOCKER_CONTEXT");
        command
    }

    /// # Errors
    /// When the CLI fails.
    pub fn run(&self, words: &[&str]) -> Result<String, String> {
        output(self.cli().args(words))
    }

    /// The daemon with every process that was started from its directory (keeper, containerd,
    /// shims), and that part alone. Containers' own processes are not in it.
    ///
    /// # Errors
    /// When it has ended.
    pub fn memory(&self) -> Result<(Memory, Memory), String> {
        let daemon = process::memory(self.child.id())?;
        let mut others = Memory::default();
        let marker = self.dir.display().to_string();
        for entry in fs::read_dir("/proc").map_err(|e| e.to_string())?.flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let helper = String::from_utf8_lossy(&words).contains(&marker);
            if helper && pid != self.child.id() {
                let more = process::memory(pid).unwrap_or_default();
                others.resident += more.resident;
                others.own += more.own;
            }
        }
        let all =
            Memory { resident: daemon.resident + others.resident, own: daemon.own + others.own };
        Ok((all, others))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(all) = self.run(&["ps", "-aq"]) {
            let ids: Vec<&str> = all.split_whitespace().collect();
            if !ids.is_empty() {
                // What stays is told by the removal of the directory.
                let _ = self.run(&[&["rm", "-fv"], &ids[..]].concat());
            }
        }
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// Open files and processes that are enough for what is run here.
const ENOUGH: u64 = 20_000;

/// Where the peers' programs are: a directory that Debian's packages were unpacked to (`--peers`),
/// else the machine's own.
pub struct Peers {
    root: Option<PathBuf>,
    dir: PathBuf,
}

impl Peers {
    pub fn new(root: Option<&str>, dir: &Path) -> Self {
        Self { root: root.map(PathBuf::from), dir: dir.into() }
    }

    fn folders(&self) -> Vec<PathBuf> {
        let root = self.root.clone().unwrap_or_else(|| "/".into());
        ["usr/bin", "usr/sbin", "usr/local/bin"].map(|dir| root.join(dir)).to_vec()
    }

    /// # Errors
    /// When the program is not there.
    pub fn find(&self, name: &str) -> Result<PathBuf, String> {
        let found = self.folders().into_iter().map(|dir| dir.join(name)).find(|p| p.exists());
        found.ok_or_else(|| format!("{name} is not here (--peers DIR names unpacked packages)"))
    }

    fn environment(&self, command: &mut Command) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = self.folders().into_iter().chain(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(folders) {
            command.env("PATH", path);
        }
        if let Some(root) = &self.root {
            command.env("LD_LIBRARY_PATH", root.join("usr/lib/x86_64-linux-gnu"));
        }
    }

    /// podman with a store of its own, and runc below it.
    ///
    /// # Errors
    /// When there is none.
    pub fn podman(&self, netns: &Netns) -> Result<Command, String> {
        let program = self.find("podman")?;
        let config = self.dir.join("containers.conf");
        fs::write(&config, self.podman_config()).map_err(|e| format!("podman: {e}"))?;
        let mut command = netns.command(&program);
        self.environment(&mut command);
        command.env("CONTAINERS_CONF", config);
        command.args(["--log-level", "error", "--events-backend", "file"]);
        command.args(["--cgroup-manager", "cgroupfs"]);
        for (option, path) in [
            ("--root", self.dir.join("root")),
            ("--runroot", self.dir.join("run")),
            ("--runtime", self.find("runc")?),
            ("--conmon", self.find("conmon")?),
        ] {
            command.arg(option).arg(path);
        }
        Ok(command)
    }

    /// podman asks for more than a process without CAP_SYS_RESOURCE may have.
    fn podman_config(&self) -> String {
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let hard = |name: &str| {
            let line = limits.lines().find(|l| l.starts_with(name)).unwrap_or_default();
            let hard = line[name.len().min(line.len())..].split_whitespace().nth(1);
            hard.and_then(|h| h.parse::<u64>().ok()).map_or(ENOUGH, |h| h.min(ENOUGH))
        };
        let (files, processes) = (hard("Max open files"), hard("Max processes"));
        let root = self.root.clone().unwrap_or_else(|| "/".into());
        format!(
            "[containers]\nlog_driver=\"k8s-file\"\ndefault_ulimits=[\"nofile={files}:{files}\",\"nproc={processes}:{processes}\"]\n\
             [engine]\nhelper_binaries_dir=[\"{}\"]\n\
             [network]\nnetwork_backend=\"netavark\"\nnetwork_config_dir=\"{}\"\n",
            root.join("usr/lib/podman").display(),
            self.dir.join("net").display()
        )
    }
}
