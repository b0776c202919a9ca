//! Requests of clients, one row per kind in one match; the long ones live elsewhere.

use super::Keeper;
use super::state::{Container, Waits};
use crate::cgroup;
use crate::error::{Error, ErrorKind, Result};
use crate::seen::{ContainerSeen, NodeSeen, State};
use crate::spec::TtySize;
use crate::sys::{self, process};
use crate::wire::{self, Reply, Request};
use std::os::fd::{AsFd, OwnedFd};

/// What to answer: now, with descriptors, or later (by whoever is told the connection).
pub(super) type Answer = Result<Option<(Reply, Vec<OwnedFd>)>>;

fn now(reply: Reply) -> Answer {
    Ok(Some((reply, Vec::new())))
}

impl Keeper {
    pub(super) fn handle(&mut self, key: u64, request: Request) {
        match self.answer(key, request) {
            Ok(Some((reply, fds))) => self.reply(key, &reply, fds),
            Ok(None) => {}
            Err(error) => self.reply(key, &Reply::Failed(error), Vec::new()),
        }
    }

    fn answer(&mut self, key: u64, request: Request) -> Answer {
        match request {
            Request::Hello => {
                let pid = std::process::id() as i32;
                now(Reply::Hello { version: wire::VERSION, pid })
            }
            Request::CreateSandbox(spec) => self.create_sandbox(key, &spec).map(|()| None),
            Request::DeleteSandbox(id) => self.delete_sandbox(&id).and(now(Reply::Done)),
            Request::Create(spec) => self.create(key, &spec).map(|()| None),
            Request::Start(id) => self.start(key, &id).map(|()| None),
            Request::Signal(id, signal) => self.signal(&id, signal).and(now(Reply::Done)),
            Request::KillAll(id) => self.kill_all(&id).and(now(Reply::Done)),
            Request::Attach(id, spec) => self.attach(&id, spec),
            Request::Resize(id, size) => self.resize(&id, size).and(now(Reply::Done)),
            Request::Exec(spec) => self.exec(key, &spec).map(|()| None),
            Request::ExecResize(id, size) => self.exec_resize(&id, size).and(now(Reply::Done)),
            Request::ExecSignal(id, n) => self.exec_signal(&id, n).and(now(Reply::Done)),
            Request::ReopenLog(id) => self.reopen_log(&id).and(now(Reply::Done)),
            Request::Delete(id) => self.delete(key, &id),
            Request::Inspect(id) => {
                now(Reply::Container(Box::new(self.container(&id)?.record.seen.clone())))
            }
            Request::Observe => now(Reply::Node(self.observe())),
            Request::Subscribe => {
                if let Some(conn) = self.conns.get_mut(&key) {
                    conn.subscribed = true;
                }
                now(Reply::Done)
            }
        }
    }

    /// Containers nobody has been told about do not exist yet.
    pub(super) fn container(&self, id: &str) -> Result<&Container> {
        let found = self.containers.get(id).filter(|container| container.record.answered);
        found.ok_or_else(|| Error::not_found("container", id))
    }

    pub(super) fn container_mut(&mut self, id: &str) -> Result<&mut Container> {
        let found = self.containers.get_mut(id).filter(|container| container.record.answered);
        found.ok_or_else(|| Error::not_found("container", id))
    }

    /// One with a first process.
    pub(super) fn live(&self, id: &str) -> Result<&Container> {
        let container = self.container(id)?;
        match container.status.is_none() && container.record.seen.pid > 0 {
            true => Ok(container),
            false => Err(wrong_state(&container.record.seen, "is not running")),
        }
    }

    fn start(&mut self, key: u64, id: &str) -> Result<()> {
        let container = self.container_mut(id)?;
        let Some(start) = container.start.take() else {
            // Given by a client that went away before it was answered: this one waits in its place.
            if container.waiting.iter().any(|(_, what)| *what == Waits::Start) {
                container.waiting.push((key, Waits::Start));
                return Ok(());
            }
            return Err(wrong_state(&container.record.seen, "is not waiting for its start"));
        };
        container.waiting.push((key, Waits::Start));
        // When the child is gone its exit answers.
        let _ = sys::write_all(start.as_fd(), b"s");
        Ok(())
    }

    fn signal(&mut self, id: &str, signal: i32) -> Result<()> {
        let pid = self.live(id)?.record.seen.pid;
        process::kill(pid, signal).map_err(|e| Error::kernel("signal container", id, &e))
    }

    fn kill_all(&mut self, id: &str) -> Result<()> {
        let seen = &self.live(id)?.record.seen;
        let _ = cgroup::freeze::thaw(&self.host.layout, &seen.cgroup);
        let _ = process::kill(seen.pid, libc::SIGKILL);
        cgroup::apply::kill(&self.host.layout, &seen.cgroup);
        Ok(())
    }

    fn resize(&mut self, id: &str, size: TtySize) -> Result<()> {
        let container = self.live(id)?;
        let master = container.io.outputs[0].as_ref().filter(|_| container.io.terminal);
        let master = master.ok_or_else(|| no_terminal("container", id))?;
        process::set_window(master.as_fd(), size.rows, size.cols)
            .map_err(|e| Error::kernel("resize", id, &e))
    }

    fn exec_resize(&mut self, id: &str, size: TtySize) -> Result<()> {
        let exec = self.execs.get(id).ok_or_else(|| Error::not_found("exec", id))?;
        let master = exec.terminal.as_ref().ok_or_else(|| no_terminal("exec", id))?;
        process::set_window(master.as_fd(), size.rows, size.cols)
            .map_err(|e| Error::kernel("resize", id, &e))
    }

    fn exec_signal(&mut self, id: &str, signal: i32) -> Result<()> {
        let exec = self.execs.get(id).ok_or_else(|| Error::not_found("exec", id))?;
        process::kill(exec.seen.pid, signal).map_err(|e| Error::kernel("signal exec", id, &e))
    }

    fn reopen_log(&mut self, id: &str) -> Result<()> {
        let Some(log) = &mut self.container_mut(id)?.io.log else { return Ok(()) };
        let path = log.spec().path.display().to_string();
        log.reopen().map_err(|e| Error::kernel("open log", path, &e))
    }

    fn delete(&mut self, key: u64, id: &str) -> Answer {
        let Some(container) = self.containers.get_mut(id) else { return now(Reply::Done) };
        if container.record.seen.state == State::Exited {
            self.forget(id)?;
            return now(Reply::Done);
        }
        container.waiting.push((key, Waits::Delete));
        if container.status.is_none() {
            let pid = container.record.seen.pid;
            let cgroup = container.record.seen.cgroup.clone();
            let _ = process::kill(pid, libc::SIGKILL);
            if cgroup::freeze::is_frozen(&self.host.layout, &cgroup) {
                let _ = cgroup::freeze::thaw(&self.host.layout, &cgroup);
            }
        }
        Ok(None)
    }

    /// Drops the record of a container that has no process, cgroup or stream any more.
    pub(super) fn forget(&mut self, id: &str) -> Result<()> {
        self.records.remove(id).map_err(|e| Error::kernel("remove record of", id, &e))?;
        self.containers.remove(id);
        Ok(())
    }

    fn observe(&self) -> NodeSeen {
        let containers = self.containers.values().filter(|c| c.record.answered);
        NodeSeen {
            containers: containers.map(|c| c.record.seen.clone()).collect(),
            sandboxes: self
                .sandboxes
                .values()
                .filter(|sandbox| sandbox.report.is_none())
                .map(|sandbox| sandbox.seen.clone())
                .collect(),
            execs: self.execs.values().map(|exec| exec.seen.clone()).collect(),
        }
    }
}

pub(super) fn wrong_state(seen: &ContainerSeen, what: &str) -> Error {
    Error::new(ErrorKind::WrongState, format!("container `{}` {what}", seen.id))
}

fn no_terminal(what: &str, id: &str) -> Error {
    Error::new(ErrorKind::WrongState, format!("{what} `{id}` has no terminal"))
}
