//! A runtime in memory, for simulations and the tests of engine and kubelet.
//!
//! Passes [`crate::suite`]. It starts no processes: programs are the few words the suite
//! uses, or whatever [`FakeRuntime::finish`] says. Time is the caller's when it was built with
//! [`FakeRuntime::with_clock`]; `sleep` then lasts until `finish`.

mod program;

use crate::api::{Events, Runtime};
use crate::error::{Error, ErrorKind, Result};
use crate::plan;
use crate::resources::Resources;
use crate::seen::{
    ContainerSeen, Event, ExecSeen, ExecStarted, Exit, Nanos, NodeSeen, SandboxSeen, State, Stats,
    Stdio,
};
use crate::spec::{AttachSpec, ContainerSpec, ExecSpec, SandboxSpec, TtySize};
use program::Program;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};

type Clock = Arc<dyn Fn() -> Nanos + Send + Sync>;

#[derive(Clone)]
pub struct FakeRuntime {
    state: Arc<Mutex<Machine>>,
    clock: Clock,
    /// Whether programs run by themselves (in real time) or only by `finish`.
    runs: bool,
}

#[derive(Default)]
struct Machine {
    containers: BTreeMap<String, Fake>,
    sandboxes: BTreeMap<String, SandboxSeen>,
    execs: BTreeMap<String, ExecSeen>,
    subscribers: Vec<Sender<Event>>,
    next_pid: i32,
}

struct Fake {
    spec: ContainerSpec,
    seen: ContainerSeen,
    resources: Resources,
    outputs: Vec<File>,
    input: Option<File>,
}

impl Default for FakeRuntime {
    fn default() -> Self {
        Self { state: Arc::default(), clock: Arc::new(crate::sys::now), runs: true }
    }
}

impl FakeRuntime {
    /// Nothing happens by itself; every time stamp comes from `clock`.
    pub fn with_clock(clock: impl Fn() -> Nanos + Send + Sync + 'static) -> Self {
        Self { state: Arc::default(), clock: Arc::new(clock), runs: false }
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Ends a running container's program as if by itself (or by a signal, code 128 and more).
    pub fn finish(&self, id: &str, code: i32, oom: bool) -> Result<()> {
        let at = (self.clock)();
        let mut machine = self.lock();
        let fake = machine.live(id)?;
        let signal = (code > 128 && code < 128 + 65).then_some(code - 128);
        let exit = Exit { code, signal, oom, at, lost: false };
        let started = fake.seen.started.is_some();
        fake.seen.state = State::Exited;
        fake.seen.pid = 0;
        fake.seen.paused = false;
        fake.seen.oom |= oom;
        fake.seen.exit = Some(exit.clone());
        fake.outputs = Vec::new();
        fake.input = None;
        if started {
            machine.publish(&Event::Exited { id: id.to_string(), exit });
        }
        Ok(())
    }

    /// The specification a container was made from, with later updates of its limits.
    pub fn spec(&self, id: &str) -> Result<(ContainerSpec, Resources)> {
        let mut machine = self.lock();
        let fake = machine.container(id)?;
        Ok((fake.spec.clone(), fake.resources.clone()))
    }

    fn set_paused(&self, id: &str, paused: bool) -> Result<()> {
        self.lock().live(id)?.seen.paused = paused;
        Ok(())
    }
}

impl Machine {
    fn container(&mut self, id: &str) -> Result<&mut Fake> {
        self.containers.get_mut(id).ok_or_else(|| Error::not_found("container", id))
    }

    fn live(&mut self, id: &str) -> Result<&mut Fake> {
        let fake = self.container(id)?;
        match fake.seen.state {
            State::Exited => Err(wrong_state(id, "is not running")),
            _ => Ok(fake),
        }
    }

    fn publish(&mut self, event: &Event) {
        self.subscribers.retain(|subscriber| subscriber.send(event.clone()).is_ok());
    }

    fn pid(&mut self) -> i32 {
        self.next_pid += 1;
        self.next_pid
    }

    fn exec_ended(&mut self, id: &str, code: i32, at: Nanos) {
        if let Some(exec) = self.execs.remove(id) {
            let (id, container) = (exec.id, exec.container);
            self.publish(&Event::ExecExited { id, container, code, at });
        }
    }
}

fn wrong_state(id: &str, what: &str) -> Error {
    Error::new(ErrorKind::WrongState, format!("container `{id}` {what}"))
}

fn pair() -> Result<(File, std::os::fd::OwnedFd)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()
        .map_err(|error| Error::kernel("make", "socket pair", &error))?;
    Ok((File::from(std::os::fd::OwnedFd::from(ours)), theirs.into()))
}

struct FakeEvents(Receiver<Event>);

impl Events for FakeEvents {
    fn next(&mut self) -> Result<Event> {
        self.0.recv().map_err(|_| Error::new(ErrorKind::KeeperLost, "the fake runtime is gone"))
    }
}

impl Runtime for FakeRuntime {
    fn create_sandbox(&self, spec: &SandboxSpec) -> Result<SandboxSeen> {
        plan::check_sandbox(spec)?;
        let created = (self.clock)();
        let mut machine = self.lock();
        if machine.sandboxes.contains_key(&spec.id) {
            return Err(Error::exists("sandbox", &spec.id));
        }
        let path = |kind: &str, wanted: bool| {
            wanted.then(|| PathBuf::from(format!("/fake/{}/{kind}", spec.id)))
        };
        let seen = SandboxSeen {
            id: spec.id.clone(),
            net: path("net", spec.net),
            ipc: path("ipc", spec.ipc),
            uts: path("uts", spec.uts),
            pid: if spec.pid { machine.pid() } else { 0 },
            created,
            labels: spec.labels.clone(),
        };
        machine.sandboxes.insert(spec.id.clone(), seen.clone());
        Ok(seen)
    }

    fn delete_sandbox(&self, id: &str) -> Result<()> {
        let mut machine = self.lock();
        let inside = |fake: &Fake| {
            fake.seen.sandbox.as_deref() == Some(id) && fake.seen.state != State::Exited
        };
        if let Some(fake) = machine.containers.values().find(|fake| inside(fake)) {
            let text = format!("sandbox `{id}` holds container `{}`", fake.seen.id);
            return Err(Error::new(ErrorKind::WrongState, text));
        }
        machine.sandboxes.remove(id);
        Ok(())
    }

    fn create(&self, spec: &ContainerSpec) -> Result<ContainerSeen> {
        let created = (self.clock)();
        let host = plan::Host {
            layout: program::v2_layout(),
            capabilities: u64::MAX,
            ..Default::default()
        };
        let warnings = plan::container(spec, &host, &plan::Joins::default())?.warnings;
        program::check(&spec.process)?;
        let mut machine = self.lock();
        if machine.containers.contains_key(&spec.id) {
            return Err(Error::exists("container", &spec.id));
        }
        if let Some(id) = spec.sandbox.as_ref().filter(|id| !machine.sandboxes.contains_key(*id)) {
            return Err(Error::not_found("sandbox", id));
        }
        let seen = ContainerSeen {
            id: spec.id.clone(),
            sandbox: spec.sandbox.clone(),
            pid: machine.pid(),
            state: State::Created,
            paused: false,
            oom: false,
            created,
            started: None,
            exit: None,
            warnings,
            labels: spec.labels.clone(),
            cgroup: format!("{}/{}", spec.cgroup_parent, spec.id),
        };
        let resources = spec.resources.clone();
        let fake = Fake {
            spec: spec.clone(),
            seen: seen.clone(),
            resources,
            outputs: Vec::new(),
            input: None,
        };
        machine.containers.insert(spec.id.clone(), fake);
        Ok(seen)
    }

    fn start(&self, id: &str) -> Result<ContainerSeen> {
        let at = (self.clock)();
        let mut machine = self.lock();
        let fake = machine.container(id)?;
        if fake.seen.state != State::Created {
            return Err(wrong_state(id, "is not waiting for its start"));
        }
        (fake.seen.state, fake.seen.started) = (State::Running, Some(at));
        let seen = fake.seen.clone();
        let program = Program::new(&fake.spec.process);
        let input = fake.input.take();
        machine.publish(&Event::Started { id: id.to_string(), pid: seen.pid, at });
        drop(machine);
        if self.runs {
            let (runtime, id) = (self.clone(), id.to_string());
            let pid = seen.pid;
            std::thread::spawn(move || runtime.play(&id, pid, &program, input));
        }
        Ok(seen)
    }

    fn signal(&self, id: &str, signal: i32) -> Result<()> {
        self.lock().live(id)?;
        match signal {
            libc::SIGKILL | libc::SIGTERM => self.finish(id, 128 + signal, false),
            _ => Ok(()),
        }
    }

    fn kill_all(&self, id: &str) -> Result<()> {
        self.signal(id, libc::SIGKILL)
    }

    fn pause(&self, id: &str) -> Result<()> {
        self.set_paused(id, true)
    }

    fn unpause(&self, id: &str) -> Result<()> {
        self.set_paused(id, false)
    }

    fn update(&self, id: &str, resources: &Resources) -> Result<()> {
        self.lock().live(id)?.resources = resources.clone();
        Ok(())
    }

    fn stats(&self, id: &str) -> Result<Stats> {
        self.lock().live(id)?;
        Ok(Stats { at: (self.clock)(), ..Stats::default() })
    }

    fn attach(&self, id: &str, spec: &AttachSpec) -> Result<Stdio> {
        let mut machine = self.lock();
        let fake = machine.live(id)?;
        let mut stdio = Stdio::default();
        if spec.stdout {
            let (ours, theirs) = pair()?;
            fake.outputs.push(ours);
            stdio.stdout = Some(theirs);
        }
        if spec.stderr && fake.spec.process.tty.is_none() {
            stdio.stderr = Some(pair()?.1);
        }
        if spec.stdin && fake.spec.stdin != crate::spec::Stdin::Closed {
            let (ours, theirs) = pair()?;
            fake.input = Some(ours);
            stdio.stdin = Some(theirs);
        }
        Ok(stdio)
    }

    fn resize(&self, id: &str, _size: TtySize) -> Result<()> {
        match self.lock().live(id)?.spec.process.tty {
            Some(_) => Ok(()),
            None => Err(wrong_state(id, "has no terminal")),
        }
    }

    fn exec(&self, spec: &ExecSpec) -> Result<ExecStarted> {
        program::check(&spec.process)?;
        let mut machine = self.lock();
        machine.live(&spec.container)?;
        let (id, container) = (spec.id.clone(), spec.container.clone());
        let seen = ExecSeen { id, container, pid: machine.pid(), warnings: Vec::new() };
        machine.execs.insert(spec.id.clone(), seen.clone());
        drop(machine);
        let (mut out, theirs) = pair()?;
        let (runtime, id, program) = (self.clone(), spec.id.clone(), Program::new(&spec.process));
        std::thread::spawn(move || {
            let code = program.run(None, |text| {
                // A client that is gone misses its output.
                let _ = out.write_all(text);
            });
            let at = (runtime.clock)();
            runtime.lock().exec_ended(&id, code, at);
        });
        let stdio = Stdio { stdout: Some(theirs), ..Stdio::default() };
        Ok(ExecStarted { seen, stdio })
    }

    fn exec_resize(&self, exec: &str, _size: TtySize) -> Result<()> {
        self.lock().execs.get(exec).map(drop).ok_or_else(|| Error::not_found("exec", exec))
    }

    fn exec_signal(&self, exec: &str, signal: i32) -> Result<()> {
        let at = (self.clock)();
        let mut machine = self.lock();
        if !machine.execs.contains_key(exec) {
            return Err(Error::not_found("exec", exec));
        }
        machine.exec_ended(exec, 128 + signal, at);
        Ok(())
    }

    fn reopen_log(&self, id: &str) -> Result<()> {
        self.lock().container(id).map(drop)
    }

    fn delete(&self, id: &str) -> Result<()> {
        let live = self.lock().live(id).is_ok();
        if live {
            self.finish(id, 137, false)?;
        }
        self.lock().containers.remove(id);
        Ok(())
    }

    fn observe(&self) -> Result<NodeSeen> {
        let machine = self.lock();
        Ok(NodeSeen {
            containers: machine.containers.values().map(|fake| fake.seen.clone()).collect(),
            sandboxes: machine.sandboxes.values().cloned().collect(),
            execs: machine.execs.values().cloned().collect(),
        })
    }

    fn events(&self) -> Result<Box<dyn Events>> {
        let (sender, receiver) = channel();
        self.lock().subscribers.push(sender);
        Ok(Box::new(FakeEvents(receiver)))
    }
}

impl FakeRuntime {
    /// Runs a container's program in real time. The id may mean another container meanwhile: the
    /// pid does not.
    fn play(&self, id: &str, pid: i32, program: &Program, input: Option<File>) {
        let code = program.run(input, |text| {
            let mut machine = self.lock();
            let Some(fake) = machine.containers.get_mut(id) else { return };
            for out in fake.outputs.iter_mut().filter(|_| fake.seen.pid == pid) {
                // A client that is gone misses its output.
                let _ = out.write_all(text);
            }
        });
        if self.lock().containers.get(id).is_some_and(|fake| fake.seen.pid == pid) {
            // Fails when somebody killed it meanwhile.
            let _ = self.finish(id, code, false);
        }
    }
}
