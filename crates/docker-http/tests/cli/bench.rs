//! A private engine for one test, and the real docker CLI pointed at it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use std::io::{BufRead, BufReader};

/// An engine with its own data directory, socket and instance name; gone with the value.
pub struct Bench {
    dir: tempfile::TempDir,
    name: String,
    daemon: Option<Child>,
    /// Holds the network namespace the daemon runs in, when it is not this one.
    netns: Option<Child>,
    registry: Option<Child>,
    /// What the daemon said when it was ready.
    pub ready: String,
    /// More arguments for the daemon.
    pub args: Vec<String>,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Bench {
    /// Starts an engine with a busybox image; `None`, with the reason printed, where that cannot
    /// work.
    pub fn start(test: &str) -> Option<Bench> {
        let mut bench = Self::new(test)?;
        bench.up();
        bench.import_busybox();
        Some(bench)
    }

    /// The same in a network namespace of its own.
    pub fn start_apart(test: &str) -> Option<Bench> {
        let mut bench = Self::new(test)?;
        let script = format!("{} ip link set lo up; echo; exec sleep inf", busybox()?.display());
        let mut holder = Command::new("unshare");
        holder.args(["-n", "sh", "-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut holder = holder.spawn().unwrap();
        first_line(&mut holder);
        bench.netns = Some(holder);
        bench.up();
        bench.import_busybox();
        Some(bench)
    }

    fn new(test: &str) -> Option<Bench> {
        let missing = reason_to_skip();
        if let Some(why) = missing {
            println!("skipped {test}: {why}");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let name = format!("t{}{}", std::process::id() % 10_000, &test[..test.len().min(3)]);
        Some(Bench {
            dir,
            name,
            daemon: None,
            netns: None,
            registry: None,
            ready: String::new(),
            args: Vec::new(),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interfaces of the bench's own network namespace, `lo` and bridges apart.
    pub fn links(&self) -> Vec<String> {
        let holder = self.netns.as_ref().unwrap().id();
        let text = std::fs::read_to_string(format!("/proc/{holder}/net/dev")).unwrap();
        let names = text.lines().skip(2).filter_map(|l| l.split(':').next());
        let bridge = self.instance().bridge_name("0123456789abcdef");
        let tag = bridge.split('-').next().unwrap().to_owned();
        let is_bridge = |n: &str| n.starts_with(&format!("{tag}-"));
        names.map(str::trim).filter(|n| *n != "lo" && !is_bridge(n)).map(str::to_owned).collect()
    }

    /// A command in the daemon's network namespace, whose process it becomes.
    fn inside(&self, program: &Path) -> Command {
        let Some(holder) = &self.netns else { return Command::new(program) };
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", holder.id())).arg("--").arg(program);
        command
    }

    /// Starts a registry beside the daemon; its address.
    pub fn registry(&mut self, args: &[&str]) -> String {
        let mut command = self.inside(&engine_program());
        command.args(["registry", "--data-dir"]).arg(self.path("registry")).args(args);
        let mut registry = command.stdout(Stdio::piped()).spawn().unwrap();
        let line = first_line(&mut registry);
        self.registry = Some(registry);
        line.trim().strip_prefix("ready on ").unwrap().to_owned()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn instance(&self) -> net::Instance {
        net::Instance::new(&self.name)
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub fn up(&mut self) {
        let data = self.path("data");
        let args = [
            "--data-dir".into(),
            data.display().to_string(),
            "--host".into(),
            self.host(),
            "--name".into(),
            self.name.clone(),
        ];
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut daemon = self.inside(&engine_program());
        let mut daemon =
            daemon.args(args).args(&self.args).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let line = first_line(&mut daemon);
        assert!(line.starts_with("ready"), "{line}: {}", self.log());
        self.daemon = Some(daemon);
        self.ready = line;
    }

    /// `kill -9` of the daemon; the keeper and the containers live on.
    pub fn kill_daemon(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Also for a second time, after somebody removed it.
    pub fn import_busybox(&self) {
        let tar = self.path("busybox.tar");
        if !tar.exists() {
            self.pack_busybox(&tar);
        }
        let tar = tar.display().to_string();
        self.ok(&["import", "-c", "CMD [\"sh\"]", &tar, "busybox"]);
    }

    fn pack_busybox(&self, tar: &Path) {
        let root = self.path("rootfs");
        for dir in ["bin", "etc", "root", "tmp", "data"] {
            std::fs::create_dir_all(root.join(dir)).unwrap();
        }
        std::fs::copy(busybox().unwrap(), root.join("bin/busybox")).unwrap();
        let list = Command::new(busybox().unwrap()).arg("--list").output().unwrap();
        for applet in String::from_utf8_lossy(&list.stdout).lines().filter(|a| *a != "busybox") {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        std::fs::write(
            root.join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\nann:x:7:8::/home:/bin/sh\n",
        )
        .unwrap();
        std::fs::write(root.join("etc/group"), "root:x:0:\nstaff:x:8:\n").unwrap();
        std::fs::write(root.join("data/seed"), "seed\n").unwrap();
        let done = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(tar).arg(".").status();
        assert!(done.unwrap().success());
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(args).env("DOCKER_HOST", self.host()).env("DOCKER_CONFIG", self.dir.path());
        command.env_remove("DOCKER_CONTEXT").stdin(Stdio::null());
        command
    }

    pub fn docker(&self, args: &[&str]) -> Said {
        said(self.command(args).output().unwrap())
    }

    /// A command that must succeed; its trimmed output.
    pub fn ok(&self, args: &[&str]) -> String {
        let said = self.docker(args);
        assert_eq!(said.code, 0, "docker {args:?}: {}{}\n{}", said.out, said.err, self.log());
        said.out.trim_end().to_owned()
    }
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line
}

pub fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            let all = self.docker(&["ps", "-aq"]).out;
            let ids: Vec<&str> = all.split_whitespace().collect();
            if !ids.is_empty() {
                self.docker(&[&["rm", "-fv"], &ids[..]].concat());
            }
            self.kill_daemon();
        }
        reset(&self.path("data"), &self.name);
        for mut helper in [self.registry.take(), self.netns.take()].into_iter().flatten() {
            let _ = helper.kill();
            let _ = helper.wait();
        }
    }
}

/// Ends the keeper and takes away what the instance has in the kernel.
fn reset(data: &Path, name: &str) {
    if let Ok(keeper) = runtime::Keeper::connect(&data.join("keeper")) {
        let _ = runtime::stop(&keeper);
    }
    let instance = net::Instance::new(name);
    let _ = instance.retain(|_| false);
    let _ = net::remove_tables(&instance);
    let Ok(v1) = std::fs::read_dir("/sys/fs/cgroup") else { return };
    for hierarchy in v1.flatten() {
        let _ = std::fs::remove_dir(hierarchy.path().join(name));
    }
    let _ = std::fs::remove_dir(Path::new("/sys/fs/cgroup").join(name));
}

fn busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"].iter().map(PathBuf::from).find(|p| p.exists())
}

fn reason_to_skip() -> Option<&'static str> {
    let docker = Command::new("docker").arg("--version").output().is_ok_and(|o| o.status.success());
    match () {
        () if !rustix::process::geteuid().is_root() => Some("it needs root"),
        () if !docker => Some("there is no docker CLI"),
        () if busybox().is_none() => Some("there is no busybox-static"),
        () => None,
    }
}

/// The example program beside this test's own executable.
fn engine_program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent().unwrap().parent().unwrap().join("examples").join("engine")
}
