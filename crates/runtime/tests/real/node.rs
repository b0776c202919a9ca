//! One keeper with its own root, root file system and cgroup parent; gone when dropped.

use runtime::{
    AttachSpec, ContainerSeen, ContainerSpec, Event, Events, ExecSpec, Exit, Keeper, KeeperOptions,
    LogFormat, LogSpec, Namespace, ProcessSpec, Rootfs, Runtime, State, defaults,
};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub struct Node {
    pub keeper: Keeper,
    pub dir: tempfile::TempDir,
    pub parent: String,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Node {
    /// `None` (with the reason printed) where the kernel cannot be used.
    pub fn new() -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let root = status.lines().any(|line| line.starts_with("Uid:\t0\t0"));
        if !root || !Path::new("/bin/busybox").exists() {
            eprintln!("skipped: needs root and /bin/busybox");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let rootfs = dir.path().join("rootfs");
        for sub in ["bin", "tmp", "etc", "home", "proc", "sys", "dev"] {
            fs::create_dir_all(rootfs.join(sub)).unwrap();
        }
        fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
        for tool in TOOLS {
            std::os::unix::fs::symlink("busybox", rootfs.join("bin").join(tool)).unwrap();
        }
        fs::write(rootfs.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/home:\n")
            .unwrap();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let parent = format!("/boxship-test-{}-{number}", std::process::id());
        let keeper = Keeper::open(&options(dir.path())).unwrap();
        Some(Self { keeper, dir, parent })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn rootfs(&self) -> PathBuf {
        self.path("rootfs")
    }

    /// `sh -c script` (errors go to stdout, so that the order is certain) with docker's defaults,
    /// the host's network and a CRI log.
    pub fn spec(&self, id: &str, script: &str) -> ContainerSpec {
        let mut spec = ContainerSpec {
            id: id.to_string(),
            rootfs: Rootfs::Dir(self.rootfs()),
            process: process(&format!("exec 2>&1; {script}")),
            hostname: "box".to_string(),
            mounts: defaults::mounts(64 << 20),
            masked_paths: defaults::masked_paths(),
            readonly_paths: defaults::readonly_paths(),
            device_rules: defaults::device_rules(),
            cgroup_parent: self.parent.clone(),
            logs: LogSpec {
                format: LogFormat::Cri,
                path: self.path(&format!("{id}.log")),
                ..LogSpec::default()
            },
            ..ContainerSpec::default()
        };
        spec.namespaces.net = Namespace::Host;
        spec.namespaces.cgroup = Namespace::Host;
        spec
    }

    /// An overlay of the root file system with an upper directory of its own.
    pub fn overlay(&self, id: &str) -> Rootfs {
        let (upper, work) = (self.path(&format!("{id}.upper")), self.path(&format!("{id}.work")));
        fs::create_dir_all(&upper).unwrap();
        fs::create_dir_all(&work).unwrap();
        Rootfs::Overlay { lower: vec![self.rootfs()], upper, work }
    }

    pub fn launch(&self, spec: &ContainerSpec) -> ContainerSeen {
        self.keeper.create(spec).unwrap();
        self.keeper.start(&spec.id).unwrap()
    }

    /// To its end: exit and output (stdout and stderr mixed, without time stamps).
    pub fn run(&self, spec: &ContainerSpec) -> (Exit, String) {
        let mut events = self.keeper.events().unwrap();
        self.launch(spec);
        let exit = wait(&mut *events, &spec.id);
        (exit, self.output(&spec.id))
    }

    /// Runs a script in a container of its own; its output.
    pub fn sh(&self, id: &str, script: &str) -> String {
        self.run(&self.spec(id, script)).1
    }

    pub fn output(&self, id: &str) -> String {
        let log = fs::read_to_string(self.path(&format!("{id}.log"))).unwrap();
        log.lines().fold(String::new(), |mut out, line| {
            let mut words = line.splitn(4, ' ');
            let (tag, text) = (words.nth(2).unwrap(), words.next().unwrap());
            out.push_str(text);
            out.push_str(if tag == "F" { "\n" } else { "" });
            out
        })
    }

    pub fn seen(&self, id: &str) -> Option<ContainerSeen> {
        self.keeper.observe().unwrap().containers.into_iter().find(|seen| seen.id == id)
    }

    /// Runs a script inside; its exit code and output.
    pub fn exec(&self, container: &str, script: &str) -> (i32, String) {
        let id = format!("exec-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut events = self.keeper.events().unwrap();
        let spec = ExecSpec {
            id: id.clone(),
            container: container.to_string(),
            process: process(script),
            stdin: false,
        };
        let started = self.keeper.exec(&spec).unwrap();
        let out = read_all(started.stdio.stdout.unwrap());
        (wait_exec(&mut *events, &id), out)
    }

    pub fn attach(&self, id: &str) -> runtime::Stdio {
        let all = AttachSpec { stdin: true, stdout: true, stderr: true };
        self.keeper.attach(id, &all).unwrap()
    }

    /// Directories of this node's cgroups that still exist.
    pub fn cgroups(&self, id: &str) -> Vec<PathBuf> {
        let dirs = self.keeper.layout().dirs(&format!("{}/{id}", self.parent));
        dirs.into_iter().filter(|dir| dir.exists()).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // The test may have killed the keeper itself: then another one clears up.
        let keeper = Keeper::open(&options(self.dir.path())).unwrap();
        for seen in keeper.observe().unwrap().containers {
            keeper.delete(&seen.id).unwrap();
        }
        runtime::stop(&keeper).unwrap();
        for dir in keeper.layout().dirs(&self.parent) {
            let _ = fs::remove_dir(dir);
        }
        let log = fs::read_to_string(self.path("keeper/keeper.log")).unwrap_or_default();
        if !log.is_empty() {
            eprintln!("keeper.log: {log}");
        }
    }
}

pub fn options(dir: &Path) -> KeeperOptions {
    KeeperOptions {
        root: dir.join("keeper"),
        program: env!("CARGO_BIN_EXE_boxship-keeper").into(),
        args: Vec::new(),
        favor_dynmods: false,
    }
}

const TOOLS: &[&str] = &[
    "sh", "cat", "echo", "sleep", "id", "pwd", "env", "true", "false", "mount", "hostname", "ls",
    "touch", "mkdir", "stty", "tty", "dd", "head", "kill", "ps", "grep", "stat", "unshare", "wc",
    "ulimit", "chown", "yes", "ipcs", "ip", "readlink", "seq", "printf", "test", "mknod", "trap",
    "nproc", "tail", "sync", "umount", "su",
];

pub fn process(script: &str) -> ProcessSpec {
    ProcessSpec {
        args: ["sh", "-c", script].map(str::to_string).to_vec(),
        env: vec!["PATH=/bin".to_string()],
        capabilities: defaults::capabilities(0),
        ..ProcessSpec::default()
    }
}

pub fn wait(events: &mut dyn Events, wanted: &str) -> Exit {
    loop {
        match events.next().unwrap() {
            Event::Exited { id, exit } if id == wanted => return exit,
            _ => {}
        }
    }
}

pub fn wait_exec(events: &mut dyn Events, wanted: &str) -> i32 {
    loop {
        match events.next().unwrap() {
            Event::ExecExited { id, code, .. } if id == wanted => return code,
            _ => {}
        }
    }
}

/// To the end of the stream; a terminal ends with EIO.
pub fn read_all(fd: OwnedFd) -> String {
    let (mut out, mut buffer) = (Vec::new(), [0; 4096]);
    let mut file = File::from(fd);
    while let Ok(n @ 1..) = file.read(&mut buffer) {
        out.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Reads until the text has come; panics at the end of the stream.
pub fn read_until(file: &mut File, wanted: &str) -> String {
    let (mut out, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&out).contains(wanted) {
        assert_eq!(file.read(&mut byte).unwrap(), 1, "got {:?}", String::from_utf8_lossy(&out));
        out.push(byte[0]);
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub fn is_exited(seen: &ContainerSeen) -> bool {
    seen.state == State::Exited
}
