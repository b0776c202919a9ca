//! Further processes in running containers.
//!
//! Execs live in memory only: after a restart of the engine they run on, but nobody can ask for
//! them any more, as with dockerd.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use runtime::{ExecSpec, ProcessSpec, TtySize};
use tokio::sync::watch;

use crate::config::{List, items};
use crate::engine::Engine;
use crate::error::{EngineError, Kind, Result};
use crate::ident::fresh_id;
use crate::launch::overlaid;
use crate::pipe::Streams;
use crate::record::{Phase, Record};
use crate::security;
use crate::time::Stamp;
use crate::users;

/// Ended execs that can still be inspected, per engine.
const REMEMBERED: usize = 1024;

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecConfig {
    pub cmd: Vec<String>,
    pub user: String,
    pub env: List<String>,
    pub working_dir: String,
    pub privileged: bool,
    pub tty: bool,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    pub detach_keys: String,
    /// Rows and columns of the terminal; 0 leaves them.
    pub console_size: [u16; 2],
}

/// An exec as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    pub id: String,
    pub container: String,
    pub config: ExecConfig,
    pub running: bool,
    /// `None` until it ended.
    pub exit_code: Option<i32>,
    pub pid: i32,
    pub ended: Stamp,
}

#[derive(Default)]
pub struct Execs(Mutex<BTreeMap<String, watch::Sender<Exec>>>);

impl Execs {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, watch::Sender<Exec>>> {
        self.0.lock().expect("no panic happens under this lock")
    }

    pub fn get(&self, id: &str) -> Result<Exec> {
        let missing = || EngineError::not_found(format!("No such exec instance: {id}"));
        self.lock().get(id).map(|e| e.borrow().clone()).ok_or_else(missing)
    }

    /// Running execs of a container.
    pub fn of(&self, container: &str) -> Vec<String> {
        let all = self.lock();
        let ours = |e: &watch::Sender<Exec>| {
            let exec = e.borrow();
            exec.container == container && (exec.running || exec.exit_code.is_none())
        };
        all.iter().filter(|(_, e)| ours(e)).map(|(id, _)| id.clone()).collect()
    }

    fn insert(&self, exec: Exec) {
        let mut all = self.lock();
        if all.len() >= REMEMBERED {
            let oldest = all.iter().filter(|(_, e)| e.borrow().exit_code.is_some());
            let oldest = oldest.min_by_key(|(_, e)| e.borrow().ended).map(|(id, _)| id.clone());
            oldest.and_then(|id| all.remove(&id));
        }
        all.insert(exec.id.clone(), watch::Sender::new(exec));
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Exec)) {
        if let Some(exec) = self.lock().get(id) {
            exec.send_modify(change);
        }
    }

    pub(crate) fn ended(&self, id: &str, code: i32, at: Stamp) {
        self.change(id, |exec| {
            exec.running = false;
            exec.exit_code = Some(code);
            exec.ended = at;
            exec.pid = 0;
        });
    }

    /// The container has ended, and with it all that ran inside.
    pub(crate) fn forget(&self, container: &str) {
        self.lock().retain(|_, e| {
            let exec = e.borrow();
            exec.container != container || exec.running || exec.exit_code.is_some()
        });
    }

    fn changes(&self, id: &str) -> Option<watch::Receiver<Exec>> {
        self.lock().get(id).map(watch::Sender::subscribe)
    }
}

impl Engine {
    pub fn exec_create(self: &Arc<Self>, wanted: &str, config: ExecConfig) -> Result<String> {
        if config.cmd.is_empty() {
            return Err(EngineError::invalid("No exec command specified"));
        }
        let container = self.containers.find(wanted)?;
        let record = container.record();
        check_running(&record)?;
        let id = fresh_id();
        let words = config.cmd.join(" ");
        self.execs.insert(Exec {
            id: id.clone(),
            container: container.id.clone(),
            config,
            running: false,
            exit_code: None,
            pid: 0,
            ended: Stamp::NEVER,
        });
        self.tell(&record, &format!("exec_create: {words}"), &[("execID", &id)]);
        Ok(id)
    }

    pub fn exec(&self, id: &str) -> Result<Exec> {
        self.execs.get(id)
    }

    /// An exec that can be started now, and its container.
    pub fn exec_ready(&self, id: &str) -> Result<(Exec, Arc<Record>)> {
        let exec = self.execs.get(id)?;
        if exec.running || exec.exit_code.is_some() {
            let text = match exec.running {
                true => format!("Error: Exec command {id} is already running"),
                false => format!("Error: Exec command {id} has already run"),
            };
            return Err(EngineError::conflict(text));
        }
        let record = self.containers.find(&exec.container)?.record();
        check_running(&record)?;
        Ok((exec, record))
    }

    /// Starts an exec that was created. On an error its exit code tells docker's 126 or 127.
    pub async fn exec_start(self: &Arc<Self>, id: &str, size: Option<TtySize>) -> Result<Streams> {
        let (exec, record) = self.exec_ready(id)?;
        let words = exec.config.cmd.join(" ");
        self.execs.change(id, |e| e.running = true);
        let started = self.exec_launch(exec, record.clone(), size).await;
        self.tell(&record, &format!("exec_start: {words}"), &[("execID", id)]);
        match started {
            Ok((pid, streams)) => {
                // It may have ended already: then the end stands.
                self.execs.change(id, |e| {
                    if e.exit_code.is_none() {
                        e.pid = pid;
                    }
                });
                Ok(streams)
            }
            Err((e, code)) => {
                self.execs.ended(id, code, Stamp::now());
                Err(e)
            }
        }
    }

    async fn exec_launch(
        self: &Arc<Self>,
        exec: Exec,
        record: Arc<Record>,
        size: Option<TtySize>,
    ) -> std::result::Result<(i32, Streams), (EngineError, i32)> {
        let started = self
            .blocking(move |e| {
                let spec = e.exec_spec(&exec, &record, size)?;
                Ok(e.runtime.exec(&spec).map_err(|error| (exec_code(error.kind), error)))
            })
            .await
            .map_err(|e| (e, 126))?;
        let started = started.map_err(|(code, e)| {
            let e = EngineError::from(e);
            (e.context("OCI runtime exec failed: exec failed"), code)
        })?;
        let streams = Streams::new(started.stdio).map_err(|e| (EngineError::from(e), 126))?;
        Ok((started.seen.pid, streams))
    }

    fn exec_spec(&self, exec: &Exec, record: &Record, size: Option<TtySize>) -> Result<ExecSpec> {
        let config = &exec.config;
        let snapshot = self.images.snapshots().get(&record.id)?;
        let databases = self.databases(&snapshot);
        let user = if config.user.is_empty() { &record.config.user } else { &config.user };
        let identity = users::identify(user, items(&record.host.group_add), &databases)?;
        let capabilities = match config.privileged {
            true => security::all_capabilities(),
            false => security::capabilities(&record.host, identity.uid),
        };
        let [rows, cols] = config.console_size;
        let cwd = match config.working_dir.as_str() {
            "" => record.config.working_dir.clone(),
            cwd => cwd.to_owned(),
        };
        let mut env = crate::launch::environment(record, &identity.home, config.tty);
        env = overlaid(env, items(&config.env));
        Ok(ExecSpec {
            id: exec.id.clone(),
            container: record.id.clone(),
            stdin: config.attach_stdin,
            process: ProcessSpec {
                args: config.cmd.clone(),
                env,
                cwd,
                user: identity.user(),
                tty: config.tty.then(|| size.unwrap_or(TtySize { rows, cols })),
                capabilities,
                no_new_privileges: security::no_new_privileges(&record.host),
                seccomp: match config.privileged {
                    true => runtime::Seccomp::Unconfined,
                    false => security::seccomp(&record.host)?,
                },
                ..ProcessSpec::default()
            },
        })
    }

    pub async fn exec_resize(self: &Arc<Self>, id: &str, size: TtySize) -> Result<()> {
        let exec = self.execs.get(id)?;
        if !exec.running {
            return Err(EngineError::conflict(format!("exec process is not running: {id}")));
        }
        let id = id.to_owned();
        self.blocking(move |e| Ok(e.runtime.exec_resize(&id, size)?)).await
    }

    /// Waits for the end of a started exec.
    pub async fn exec_wait(&self, id: &str) -> Result<i32> {
        let gone = || EngineError::not_found(format!("No such exec instance: {id}"));
        let mut changes = self.execs.changes(id).ok_or_else(gone)?;
        let ended = changes.wait_for(|e| e.exit_code.is_some()).await.map_err(|_| gone())?;
        Ok(ended.exit_code.unwrap_or_default())
    }

    pub(crate) async fn exec_kill(self: &Arc<Self>, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.blocking(move |e| Ok(e.runtime.exec_signal(&id, crate::signal::KILL)?)).await
    }

    /// Ids of the execs of a container that have not ended.
    pub fn exec_ids(&self, container: &str) -> Vec<String> {
        self.execs.of(container)
    }
}

fn exec_code(kind: runtime::ErrorKind) -> i32 {
    if kind == runtime::ErrorKind::ExecNotFound { 127 } else { 126 }
}

fn check_running(record: &Record) -> Result<()> {
    let id = &record.id;
    match record.state.phase {
        Phase::Running => Ok(()),
        Phase::Paused => Err(EngineError::conflict(format!(
            "Container {id} is paused, unpause the container before exec"
        ))),
        Phase::Restarting => Err(EngineError::new(
            Kind::Conflict,
            format!("Container {id} is restarting, wait until the container is running"),
        )),
        _ => Err(EngineError::conflict(format!("container {id} is not running"))),
    }
}
