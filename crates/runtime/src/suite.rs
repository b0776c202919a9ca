//! What every [`Runtime`] must do, real or fake: the licence for using the fake in simulations.
//!
//! Programs are limited to what both understand: `exit N`, `sleep N`, `echo TEXT` and `cat`,
//! joined by `; `, as the last word of `sh -c`.

use crate::api::{Events, Runtime};
use crate::error::ErrorKind;
use crate::seen::{ContainerSeen, Event, Exit, State};
use crate::spec::{
    AttachSpec, ContainerSpec, ExecSpec, Namespace, ProcessSpec, SandboxSpec, Stdin,
};
use std::fs::File;
use std::io::{Read, Write};

/// Runs all checks; panics with what differs. `base` is a specification whose id, program,
/// stdin and namespaces the checks may change.
pub fn run(runtime: &dyn Runtime, base: &ContainerSpec) {
    let suite = RuntimeSuite { runtime, base };
    for (name, check) in CHECKS {
        eprintln!("runtime suite: {name}");
        check(&suite);
        let left = runtime.observe().expect("observe after a check");
        assert!(left.containers.is_empty() && left.sandboxes.is_empty(), "{name} left {left:?}");
    }
}

type Check = fn(&RuntimeSuite<'_>);

const CHECKS: &[(&str, Check)] = &[
    ("life of a container", life),
    ("exit codes", exit_codes),
    ("signals", signals),
    ("wrong calls", wrong_calls),
    ("programs that are not there", missing_program),
    ("attach", attach),
    ("exec", exec),
    ("pause", pause),
    ("sandboxes", sandboxes),
    ("deleting what lives", delete_live),
];

struct RuntimeSuite<'a> {
    runtime: &'a dyn Runtime,
    base: &'a ContainerSpec,
}

impl RuntimeSuite<'_> {
    fn spec(&self, id: &str, script: &str) -> ContainerSpec {
        let mut spec = self.base.clone();
        spec.id = id.to_string();
        spec.process.args = ["sh", "-c", script].map(str::to_string).to_vec();
        spec
    }

    fn launch(&self, id: &str, script: &str) -> ContainerSeen {
        self.runtime.create(&self.spec(id, script)).expect("create");
        self.runtime.start(id).expect("start")
    }

    fn events(&self) -> Box<dyn Events> {
        self.runtime.events().expect("subscribe")
    }

    fn seen(&self, id: &str) -> ContainerSeen {
        let seen = self.runtime.observe().expect("observe").containers;
        seen.into_iter().find(|seen| seen.id == id).expect("the container is observed")
    }
}

fn wait(events: &mut dyn Events, wanted: &str) -> Exit {
    loop {
        match events.next().expect("next event") {
            Event::Exited { id, exit } if id == wanted => return exit,
            _ => {}
        }
    }
}

fn life(suite: &RuntimeSuite<'_>) {
    let mut events = suite.events();
    let created = suite.runtime.create(&suite.spec("a", "sleep 0.05")).expect("create");
    assert_eq!((created.state, created.started), (State::Created, None));
    assert!(created.pid > 0 && created.created > 0);
    let running = suite.runtime.start("a").expect("start");
    assert_eq!((running.state, running.pid), (State::Running, created.pid));
    let first = events.next().expect("started event");
    assert!(matches!(first, Event::Started { id, pid, .. } if id == "a" && pid == created.pid));
    let exit = wait(&mut *events, "a");
    assert_eq!((exit.code, exit.signal, exit.oom, exit.lost), (0, None, false, false));
    let seen = suite.seen("a");
    assert_eq!((seen.state, seen.pid, seen.exit), (State::Exited, 0, Some(exit)));
    assert_eq!(seen.labels, suite.base.labels);
    suite.runtime.delete("a").expect("delete");
}

fn exit_codes(suite: &RuntimeSuite<'_>) {
    let mut events = suite.events();
    for code in [0, 1, 42, 255] {
        suite.launch("a", &format!("exit {code}"));
        assert_eq!(wait(&mut *events, "a").code, code);
        suite.runtime.delete("a").expect("delete");
    }
}

fn signals(suite: &RuntimeSuite<'_>) {
    let mut events = suite.events();
    suite.launch("a", "sleep 1000");
    suite.runtime.signal("a", libc::SIGKILL).expect("kill");
    let exit = wait(&mut *events, "a");
    assert_eq!((exit.code, exit.signal), (137, Some(9)));
    suite.runtime.delete("a").expect("delete");
}

fn wrong_calls(suite: &RuntimeSuite<'_>) {
    let runtime = suite.runtime;
    let kind = |result: crate::Result<()>| result.expect_err("an error").kind;
    let missing = "missing";
    assert_eq!(kind(runtime.start(missing).map(drop)), ErrorKind::NotFound);
    assert_eq!(kind(runtime.signal(missing, 9)), ErrorKind::NotFound);
    assert_eq!(kind(runtime.pause(missing)), ErrorKind::NotFound);
    assert_eq!(kind(runtime.stats(missing).map(drop)), ErrorKind::NotFound);
    runtime.delete(missing).expect("deleting nothing succeeds");
    runtime.delete_sandbox(missing).expect("deleting nothing succeeds");
    runtime.create(&suite.spec("a", "sleep 1000")).expect("create");
    assert_eq!(kind(runtime.create(&suite.spec("a", "x")).map(drop)), ErrorKind::Exists);
    runtime.start("a").expect("start");
    assert_eq!(kind(runtime.start("a").map(drop)), ErrorKind::WrongState);
    runtime.delete("a").expect("delete");
    assert_eq!(kind(runtime.create(&suite.spec("../a", "x")).map(drop)), ErrorKind::Invalid);
    let mut empty = suite.spec("a", "x");
    empty.process.args.clear();
    assert_eq!(kind(runtime.create(&empty).map(drop)), ErrorKind::Invalid);
}

fn missing_program(suite: &RuntimeSuite<'_>) {
    let mut spec = suite.spec("a", "");
    spec.process.args = vec!["no-such-program".to_string()];
    let error = suite.runtime.create(&spec).expect_err("an error");
    assert_eq!(error.kind, ErrorKind::ExecNotFound);
    assert!(error.message.contains("executable file not found in $PATH"), "{error}");
}

fn read_all(fd: Option<std::os::fd::OwnedFd>) -> String {
    let mut out = String::new();
    File::from(fd.expect("a stream")).read_to_string(&mut out).expect("read to the end");
    out
}

fn attach(suite: &RuntimeSuite<'_>) {
    let mut events = suite.events();
    let mut spec = suite.spec("a", "echo first; cat");
    spec.stdin = Stdin::Once;
    suite.runtime.create(&spec).expect("create");
    let all = AttachSpec { stdin: true, stdout: true, stderr: true };
    let stdio = suite.runtime.attach("a", &all).expect("attach");
    suite.runtime.start("a").expect("start");
    let mut stdin = File::from(stdio.stdin.expect("stdin"));
    stdin.write_all(b"second\n").expect("write");
    drop(stdin);
    assert_eq!(read_all(stdio.stdout), "first\nsecond\n");
    assert_eq!(read_all(stdio.stderr), "");
    assert_eq!(wait(&mut *events, "a").code, 0);
    suite.runtime.attach("a", &all).expect_err("nothing to attach to");
    suite.runtime.delete("a").expect("delete");
}

fn exec(suite: &RuntimeSuite<'_>) {
    suite.launch("a", "sleep 1000");
    let mut events = suite.events();
    let args = ["sh", "-c", "echo inside; exit 3"].map(str::to_string).to_vec();
    let process = ProcessSpec { args, ..suite.base.process.clone() };
    let spec = ExecSpec { id: "x".to_string(), container: "a".to_string(), process, stdin: false };
    let started = suite.runtime.exec(&spec).expect("exec");
    assert_eq!(read_all(started.stdio.stdout), "inside\n");
    let event = events.next().expect("exec event");
    assert!(matches!(event, Event::ExecExited { id, code: 3, .. } if id == "x"));
    let mut other = spec.clone();
    other.container = "missing".to_string();
    let error = suite.runtime.exec(&other).expect_err("no such container");
    assert_eq!(error.kind, ErrorKind::NotFound);
    suite.runtime.delete("a").expect("delete");
}

fn pause(suite: &RuntimeSuite<'_>) {
    suite.launch("a", "sleep 1000");
    suite.runtime.pause("a").expect("pause");
    assert!(suite.seen("a").paused);
    suite.runtime.unpause("a").expect("unpause");
    assert!(!suite.seen("a").paused);
    suite.runtime.delete("a").expect("delete");
}

fn sandboxes(suite: &RuntimeSuite<'_>) {
    let sandbox =
        SandboxSpec { id: "pod".to_string(), ipc: true, uts: true, ..SandboxSpec::default() };
    let seen = suite.runtime.create_sandbox(&sandbox).expect("create sandbox");
    assert!(seen.ipc.is_some() && seen.net.is_none());
    let again = suite.runtime.create_sandbox(&sandbox).expect_err("taken");
    assert_eq!(again.kind, ErrorKind::Exists);
    let mut spec = suite.spec("a", "sleep 1000");
    spec.sandbox = Some("pod".to_string());
    spec.namespaces.ipc = Namespace::Sandbox;
    suite.runtime.create(&spec).expect("create");
    let busy = suite.runtime.delete_sandbox("pod").expect_err("in use");
    assert_eq!(busy.kind, ErrorKind::WrongState);
    suite.runtime.delete("a").expect("delete");
    suite.runtime.delete_sandbox("pod").expect("delete sandbox");
    let gone = suite.runtime.create(&spec).expect_err("no sandbox");
    assert_eq!(gone.kind, ErrorKind::NotFound);
}

fn delete_live(suite: &RuntimeSuite<'_>) {
    let mut events = suite.events();
    suite.launch("a", "sleep 1000");
    suite.runtime.delete("a").expect("delete");
    assert_eq!(wait(&mut *events, "a").code, 137);
    suite.runtime.create(&suite.spec("b", "exit 0")).expect("create");
    suite.runtime.delete("b").expect("delete");
}
