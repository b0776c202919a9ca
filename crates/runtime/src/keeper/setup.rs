//! From command line to a running loop, and recovery of what an earlier keeper left.

use super::record::{Records, lost};
use super::state::{Container, ContainerIo, Source};
use super::{IN, Keeper, SOCKET};
use crate::cgroup::{self, Layout};
use crate::plan::Host;
use crate::seen::State;
use crate::sys::process::{self, Forked};
use crate::sys::{self, Epoll, mount};
use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
struct Options {
    root: PathBuf,
    favor_dynmods: bool,
    /// Already running from the read-only copy of the program.
    sealed: bool,
}

/// `--root DIR [--favor-dynmods]`. Returns in the foreground process once the keeper listens in
/// the background (or listened already).
pub fn main(args: impl IntoIterator<Item = String>) -> ExitCode {
    let args: Vec<String> = args.into_iter().collect();
    let result = parse(&args).and_then(|options| {
        if !options.sealed {
            seal();
        }
        launch(&options)
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("keeper: {}", crate::errno::text(&error));
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> io::Result<Options> {
    let mut options = Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--root" => options.root = args.next().map(PathBuf::from).unwrap_or_default(),
            "--favor-dynmods" => options.favor_dynmods = true,
            "--sealed" => options.sealed = true,
            other => return Err(io::Error::other(format!("unknown argument `{other}`"))),
        }
    }
    match options.root.is_absolute() {
        true => Ok(options),
        false => Err(io::Error::other("--root needs an absolute directory")),
    }
}

/// Executes the program again from a read-only mount of its file that nobody can reach or remount:
/// what a container may find behind `/proc/<pid>/exe` cannot be written (CVE-2019-5736).
/// Goes on unsealed where the kernel does not allow it.
fn seal() {
    let try_seal = || -> io::Result<()> {
        let exe = mount::clone_tree(sys::cwd(), c"/proc/self/exe", mount::Depth::One)?;
        mount::set_attr(exe.as_fd(), mount::ATTR_RDONLY, 0, 0, mount::Depth::One)?;
        let mut args: Vec<CString> = std::env::args_os()
            .filter_map(|arg| CString::new(arg.into_encoded_bytes()).ok())
            .collect();
        args.push(c"--sealed".to_owned());
        Err(process::exec_fd(exe.as_fd(), &args))
    };
    if let Err(error) = try_seal() {
        eprintln!("keeper: runs from a writable file: {}", crate::errno::text(&error));
    }
}

fn launch(options: &Options) -> io::Result<()> {
    process::close_all_but(&[0, 1, 2])?;
    fs::create_dir_all(&options.root)?;
    fs::set_permissions(&options.root, fs::Permissions::from_mode(0o700))?;
    let Some(lock) = lock_or_other(&options.root)? else { return Ok(()) };
    let socket = options.root.join(SOCKET);
    let _ = fs::remove_file(&socket);
    process::umask(0o077);
    let listener = UnixListener::bind(&socket)?;
    listener.set_nonblocking(true)?;
    match process::fork(0, None)? {
        Forked::Parent(_) => process::exit_now(0),
        Forked::Child => background(options, listener.into(), lock),
    }
}

/// One keeper per root, for as long as the file stays open.
fn lock(root: &Path) -> io::Result<Option<File>> {
    let path = root.join("keeper.lock");
    let file = File::options().create(true).append(true).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// The lock, or `None` when a living keeper has it. One that is just being killed, or has not
/// come up yet, is waited for: a matter of milliseconds.
fn lock_or_other(root: &Path) -> io::Result<Option<File>> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let start = Instant::now();
    loop {
        if let Some(lock) = lock(root)? {
            return Ok(Some(lock));
        }
        if crate::client::Keeper::connect(root).is_ok() {
            return Ok(None);
        }
        if start.elapsed() > PATIENCE {
            return Err(io::Error::other("another keeper holds the lock but does not answer"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn background(options: &Options, listener: OwnedFd, _lock: File) -> ! {
    let result = serve(options, listener);
    if let Err(error) = &result {
        eprintln!("keeper: {}", crate::errno::text(error));
    }
    process::exit_now(i32::from(result.is_err()))
}

fn serve(options: &Options, listener: OwnedFd) -> io::Result<()> {
    detach(&options.root)?;
    let _dynmods = favor_dynmods(options);
    let mut keeper = build(&options.root, listener)?;
    keeper.recover()?;
    sys::trim_heap();
    keeper.run()
}

/// Away from the daemon's session, terminal and streams; hidden from containers' eyes.
fn detach(root: &Path) -> io::Result<()> {
    process::set_sid()?;
    process::set_name(c"boxship-keeper")?;
    process::prctl(libc::PR_SET_DUMPABLE, 0)?;
    process::prctl(libc::PR_SET_CHILD_SUBREAPER, 1)?;
    process::set_signal_mask(SIGNALS)?;
    let log = File::options().create(true).append(true).open(root.join("keeper.log"))?;
    process::dup2(log.as_fd(), 1)?;
    process::dup2(log.as_fd(), 2)
}

const SIGNALS: &[i32] = &[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT];

/// An unattached v1 hierarchy without controllers whose only purpose is its mount option. It goes
/// with the keeper; newer kernels keep the setting until the machine reboots.
fn favor_dynmods(options: &Options) -> Option<OwnedFd> {
    let wanted = options.favor_dynmods && !Layout::detect().v1.is_empty();
    let mount = || -> io::Result<OwnedFd> {
        let fs = mount::fsopen(c"cgroup")?;
        mount::fsconfig_flag(fs.as_fd(), c"none")?;
        mount::fsconfig_string(fs.as_fd(), c"name", c"boxship")?;
        mount::fsconfig_flag(fs.as_fd(), c"favordynmods")?;
        mount::fsconfig_create(fs.as_fd())?;
        mount::fsmount(fs.as_fd(), 0)
    };
    match wanted.then(mount)? {
        Ok(fd) => Some(fd),
        Err(error) => {
            eprintln!("keeper: favordynmods left out: {}", crate::errno::text(&error));
            None
        }
    }
}

fn build(root: &Path, listener: OwnedFd) -> io::Result<Keeper> {
    let mount_point = root.join("mnt");
    fs::create_dir_all(&mount_point)?;
    let capabilities = crate::caps::own_bounding();
    let mut keeper = Keeper {
        host: Host { layout: Layout::detect(), capabilities, mount_point },
        records: Records::open(root)?,
        epoll: Epoll::new()?,
        sources: HashMap::new(),
        conns: BTreeMap::new(),
        next_conn: 0,
        containers: BTreeMap::new(),
        sandboxes: BTreeMap::new(),
        execs: BTreeMap::new(),
        own_pid_ns: sys::open("/proc/self/ns/pid", libc::O_RDONLY)?,
        listener,
        signals: sys::signalfd(SIGNALS)?,
        timer: sys::timerfd()?,
        retry_ms: 0,
        ending: false,
    };
    for (fd, source) in [
        (sys::clone_raw(&keeper.listener), Source::Listener),
        (sys::clone_raw(&keeper.signals), Source::Signals),
        (sys::clone_raw(&keeper.timer), Source::Timer),
    ] {
        keeper.watch(sys::borrow(fd), source, IN)?;
    }
    Ok(keeper)
}

impl Keeper {
    /// Ends what an earlier keeper left running and keeps the verdicts.
    fn recover(&mut self) -> io::Result<()> {
        for mut record in self.records.load()? {
            let id = record.seen.id.clone();
            if record.seen.state != State::Exited {
                if self.records.is_alive(&record) {
                    let _ = process::kill(record.seen.pid, libc::SIGKILL);
                }
                self.clear_cgroup(&record.seen.cgroup);
                lost(&mut record.seen);
            }
            if !record.answered {
                self.records.remove(&id)?;
                continue;
            }
            self.records.save(&record)?;
            self.containers.insert(id, Container::over(record));
        }
        Ok(())
    }

    /// Blocks: nobody is being served yet, or nobody is left to be served.
    pub(super) fn clear_cgroup(&self, cgroup: &str) {
        for attempt in 1..200 {
            let _ = cgroup::freeze::thaw(&self.host.layout, cgroup);
            cgroup::apply::kill(&self.host.layout, cgroup);
            match cgroup::apply::remove(&self.host.layout, cgroup) {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => return eprintln!("keeper: {error}"),
            }
            std::thread::sleep(std::time::Duration::from_millis(attempt.min(20)));
        }
        eprintln!("keeper: cgroup `{cgroup}` does not get empty");
    }
}

impl Container {
    /// One that has no process any more.
    fn over(record: super::record::Record) -> Self {
        Self {
            record,
            own_pids: true,
            report: None,
            start: None,
            waiting: Vec::new(),
            failure: None,
            status: None,
            io: ContainerIo::default(),
            oom_watch: None,
            oom_kills: 0,
        }
    }
}
