//! Reports of children, their deaths, and what follows from them.

use super::log::Stream;
use super::state::{Container, Source, Waits};
use super::{IN, Keeper};
use crate::cgroup;
use crate::child::{REPORT_MAX, Report};
use crate::error::{Error, ErrorKind};
use crate::seen::{Event, Exit, State};
use crate::sys::{self, process, socket};
use crate::wire::{Reply, Streams};
use std::os::fd::{AsFd, OwnedFd};

/// The next packet of a child: `Ok(None)` for not yet, `Err` for the end.
pub(super) fn next_report(socket: &OwnedFd, fds: &mut Vec<OwnedFd>) -> Result<Option<Report>, ()> {
    let mut buffer = [0; REPORT_MAX];
    match socket::receive(socket.as_fd(), &mut buffer, fds) {
        Ok(0) => Err(()),
        Ok(n) => serde_json::from_slice(&buffer[..n]).map(Some).map_err(drop),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        Err(_) => Err(()),
    }
}

impl Keeper {
    pub(super) fn on_container_report(&mut self, id: &str) {
        loop {
            let Some(container) = self.containers.get_mut(id) else { return };
            let Some(report) = &container.report else { return };
            let mut fds = Vec::new();
            match next_report(report, &mut fds) {
                Ok(None) => return,
                Err(()) => return self.container_report_ended(id),
                Ok(Some(Report::Warning(text))) => container.record.seen.warnings.push(text),
                Ok(Some(Report::Failed(error))) => container.failure = Some(error),
                Ok(Some(Report::Terminal)) => self.container_terminal(id, fds),
                Ok(Some(Report::Ready)) => self.container_ready(id),
                Ok(Some(Report::Namespaces)) => {}
            }
        }
    }

    pub(super) fn container_failed(&mut self, id: &str, error: Error) {
        if let Some(container) = self.containers.get_mut(id) {
            container.failure = Some(error);
        }
    }

    fn container_terminal(&mut self, id: &str, fds: Vec<OwnedFd>) {
        let Some(master) = fds.into_iter().next() else { return };
        let _ = sys::set_nonblocking(master.as_fd());
        let source = Source::Output(id.to_string(), Stream::Stdout);
        let _ = self.watch(master.as_fd(), source, IN);
        if let Some(container) = self.containers.get_mut(id) {
            container.io.stdin = sys::clone_fd(&master).ok();
            container.io.outputs[0] = Some(master);
        }
    }

    fn container_ready(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        if !container.waiting.iter().any(|(key, _)| self.conns.contains_key(key)) {
            // Who asked for it is gone, and it is about to be killed.
            return;
        }
        container.record.answered = true;
        if let Err(error) = self.records.save(&container.record) {
            eprintln!("keeper: record `{id}`: {error}");
        }
        let reply = Reply::Container(Box::new(container.record.seen.clone()));
        for key in take_waiting(container, Waits::Create) {
            self.reply(key, &reply, Vec::new());
        }
        sys::trim_heap();
    }

    /// The child closed its end: by executing the program, or by dying (its exit follows).
    fn container_report_ended(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        if let Some(report) = container.report.take() {
            self.unwatch(report.as_fd());
        }
        let Some(container) = self.containers.get_mut(id) else { return };
        let started = container.failure.is_none()
            && container.start.is_none()
            && container.record.answered
            && container.waiting.iter().any(|(_, what)| *what == Waits::Start);
        if !started {
            return;
        }
        let at = sys::now();
        let seen = &mut container.record.seen;
        (seen.state, seen.started) = (State::Running, Some(at));
        if let Err(error) = self.records.save(&container.record) {
            eprintln!("keeper: record `{id}`: {error}");
        }
        let seen = container.record.seen.clone();
        let keys = take_waiting(container, Waits::Start);
        self.publish(&Event::Started { id: id.to_string(), pid: seen.pid, at });
        let reply = Reply::Container(Box::new(seen));
        keys.into_iter().for_each(|key| self.reply(key, &reply, Vec::new()));
    }

    pub(super) fn on_exec_report(&mut self, id: &str) {
        loop {
            let Some(exec) = self.execs.get_mut(id) else { return };
            let Some(report) = &exec.report else { return };
            let mut fds = Vec::new();
            match next_report(report, &mut fds) {
                Ok(None) => return,
                Err(()) => return self.exec_report_ended(id),
                Ok(Some(Report::Warning(text))) => exec.seen.warnings.push(text),
                Ok(Some(Report::Failed(error))) => exec.failure = Some(error),
                Ok(Some(Report::Terminal)) => exec.terminal = fds.into_iter().next(),
                Ok(Some(_)) => {}
            }
        }
    }

    fn exec_report_ended(&mut self, id: &str) {
        let Some(exec) = self.execs.get_mut(id) else { return };
        if let Some(report) = exec.report.take() {
            self.unwatch(report.as_fd());
        }
        let Some(exec) = self.execs.get_mut(id) else { return };
        if exec.failure.is_some() {
            return;
        }
        let Some(key) = exec.waiting.take() else { return };
        let mut client = std::mem::take(&mut exec.client);
        if let Some(master) = &exec.terminal {
            client = [sys::clone_fd(master).ok(), sys::clone_fd(master).ok(), None];
        }
        let streams = Streams {
            stdin: client[0].is_some(),
            stdout: client[1].is_some(),
            stderr: client[2].is_some(),
        };
        let seen = exec.seen.clone();
        let fds = client.into_iter().flatten().collect();
        self.reply(key, &Reply::Exec(seen, streams), fds);
    }

    /// SIGCHLD, or the wish to end.
    pub(super) fn on_signal(&mut self) {
        let mut info = [0_u8; 128 * 4];
        while let Ok(n) = sys::read(self.signals.as_fd(), &mut info) {
            for one in info[..n].chunks_exact(128) {
                let signal = u32::from_ne_bytes([one[0], one[1], one[2], one[3]]) as i32;
                self.ending |= signal != libc::SIGCHLD;
            }
        }
        while let Ok(Some((pid, status))) = process::reap() {
            self.reaped(pid, status);
        }
    }

    fn reaped(&mut self, pid: i32, status: i32) {
        let of_pid =
            |container: &Container| container.record.seen.pid == pid && container.status.is_none();
        let container = self.containers.iter().find(|(_, c)| of_pid(c)).map(|(id, _)| id.clone());
        if let Some(id) = container {
            self.on_container_report(&id);
            if let Some(container) = self.containers.get_mut(&id) {
                container.status = Some(status);
            }
            return self.settle(&id);
        }
        let exec = self.execs.iter().find(|(_, exec)| exec.seen.pid == pid);
        if let Some(id) = exec.map(|(id, _)| id.clone()) {
            return self.exec_ended(&id, status);
        }
        let sandbox = self.sandboxes.iter().find(|(_, sandbox)| sandbox.helper == pid);
        if let Some(id) = sandbox.map(|(id, _)| id.clone()) {
            self.sandbox_helper_ended(&id);
        }
    }

    fn exec_ended(&mut self, id: &str, status: i32) {
        self.on_exec_report(id);
        let Some(exec) = self.execs.remove(id) else { return };
        if let Some(report) = &exec.report {
            self.unwatch(report.as_fd());
        }
        let code = process::exit_code(status).0;
        if let Some(key) = exec.waiting {
            let ended = || Error::new(ErrorKind::Kernel, format!("exec ended early with {code}"));
            let error = exec.failure.unwrap_or_else(ended);
            return self.reply(key, &Reply::Failed(error), Vec::new());
        }
        let (id, container) = (id.to_string(), exec.seen.container);
        self.publish(&Event::ExecExited { id, container, code, at: sys::now() });
    }

    /// Brings an ended container to rest: no process, no cgroup, all output logged. Comes back
    /// by timer when processes are still dying.
    fn settle(&mut self, id: &str) {
        let Some(container) = self.containers.get(id) else { return };
        let (Some(status), seen) = (container.status, &container.record.seen) else { return };
        if seen.state == State::Exited {
            return;
        }
        let (layout, cgroup) = (&self.host.layout, seen.cgroup.clone());
        if !container.own_pids && cgroup::apply::kill(layout, &cgroup) > 0 {
            return self.settle_later();
        }
        // The kernel's own word may still be on its way; nobody shall hear of the end before the reason.
        self.tell_oom(id);
        let Some(container) = self.containers.get(id) else { return };
        let oom = container.record.seen.oom;
        match cgroup::apply::remove(&self.host.layout, &cgroup) {
            Ok(true) => {}
            Ok(false) => {
                cgroup::apply::kill(&self.host.layout, &cgroup);
                return self.settle_later();
            }
            Err(error) => eprintln!("keeper: {error}"),
        }
        self.drain(id);
        let (code, signal) = process::exit_code(status);
        self.exited(id, Exit { code, signal, oom, at: sys::now(), lost: false });
    }

    fn exited(&mut self, id: &str, mut exit: Exit) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let never_started = container.record.seen.started.is_none();
        if let Some(error) = container.failure.as_ref().filter(|_| never_started) {
            exit.code = failure_code(error);
        }
        let seen = &mut container.record.seen;
        (seen.state, seen.pid, seen.oom) = (State::Exited, 0, exit.oom);
        seen.exit = Some(exit.clone());
        let answered = container.record.answered;
        if answered && let Err(error) = self.records.save(&container.record) {
            eprintln!("keeper: record `{id}`: {error}");
        }
        let failure = container.failure.take();
        let failure = failure.unwrap_or_else(|| ended_early(id, exit.code));
        let waiting = std::mem::take(&mut container.waiting);
        let watches: Vec<OwnedFd> =
            [container.oom_watch.take(), container.report.take(), container.start.take()]
                .into_iter()
                .flatten()
                .collect();
        watches.iter().for_each(|fd| self.unwatch(fd.as_fd()));
        if answered && !never_started {
            self.publish(&Event::Exited { id: id.to_string(), exit });
        }
        let deleted = !answered || waiting.iter().any(|(_, what)| *what == Waits::Delete);
        let forgotten = if deleted { self.forget(id) } else { Ok(()) };
        for (key, what) in waiting {
            let reply = match (what, &forgotten) {
                (Waits::Delete, Ok(())) => Reply::Done,
                (Waits::Delete, Err(error)) => Reply::Failed(error.clone()),
                _ => Reply::Failed(failure.clone()),
            };
            self.reply(key, &reply, Vec::new());
        }
        sys::trim_heap();
    }

    fn settle_later(&mut self) {
        self.retry_ms = (self.retry_ms * 2).clamp(1, 100);
        let _ = sys::timer_set(self.timer.as_fd(), self.retry_ms);
    }

    pub(super) fn on_timer(&mut self) {
        let _ = sys::read(self.timer.as_fd(), &mut [0; 8]);
        let ids: Vec<String> = self
            .containers
            .iter()
            .filter(|(_, c)| c.status.is_some() && c.record.seen.state != State::Exited)
            .map(|(id, _)| id.clone())
            .collect();
        ids.iter().for_each(|id| self.settle(id));
        let unsettled = |c: &Container| c.status.is_some() && c.record.seen.state != State::Exited;
        if !self.containers.values().any(unsettled) {
            self.retry_ms = 0;
        }
    }

    pub(super) fn on_oom(&mut self, id: &str) {
        let Some(container) = self.containers.get(id) else { return };
        if let Some(watch) = &container.oom_watch {
            let _ = sys::read(watch.as_fd(), &mut [0; 4096]);
        }
        self.tell_oom(id);
    }

    /// Publishes what the kernel has killed in the container's cgroup since last time.
    fn tell_oom(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let cgroup = &container.record.seen.cgroup;
        let kills = cgroup::stats::oom_kills(&self.host.layout, cgroup);
        if kills > container.oom_kills {
            container.oom_kills = kills;
            container.record.seen.oom = true;
            self.publish(&Event::Oom { id: id.to_string(), at: sys::now() });
        }
    }

    /// SIGTERM: nothing may outlive the keeper.
    pub(super) fn end_all(&mut self) {
        let records: Vec<_> = self.containers.values().map(|c| c.record.clone()).collect();
        for mut record in records {
            if record.seen.state != State::Exited {
                let _ = process::kill(record.seen.pid, libc::SIGKILL);
                self.clear_cgroup(&record.seen.cgroup);
                super::record::lost(&mut record.seen);
                let _ = self.records.save(&record);
            }
        }
        for sandbox in self.sandboxes.values() {
            let _ = process::kill(sandbox.helper, libc::SIGKILL);
        }
    }
}

fn take_waiting(container: &mut Container, what: Waits) -> Vec<u64> {
    let (mine, others) =
        std::mem::take(&mut container.waiting).into_iter().partition(|(_, w)| *w == what);
    container.waiting = others;
    let mine: Vec<(u64, Waits)> = mine;
    mine.into_iter().map(|(key, _)| key).collect()
}

/// Docker's exit codes for a program that could not be started.
fn failure_code(error: &Error) -> i32 {
    match error.kind {
        ErrorKind::ExecNotFound => 127,
        ErrorKind::ExecDenied => 126,
        _ => 128,
    }
}

fn ended_early(id: &str, code: i32) -> Error {
    let text = format!("the first process of container `{id}` ended during setup with {code}");
    Error::new(ErrorKind::Kernel, text)
}
