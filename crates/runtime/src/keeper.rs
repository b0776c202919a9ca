//! The keeper: parent of every container on the node.
//!
//! One thread, one epoll loop. It forks first processes, holds their streams, writes their logs,
//! reaps their exits and records them, and answers the daemon over a unix socket. It knows
//! nothing about images, names or policies, so that it seldom has to change. It lives as long as
//! the node does; when it is killed its containers are ended by the next keeper, because nobody
//! could learn their exit codes any more.

mod conn;
mod exits;
mod log;
mod record;
mod requests;
mod sandbox;
mod setup;
mod spawn;
mod state;
mod stdio;
#[cfg(test)]
mod tests;

pub use setup::main;

/// File name of the socket in the keeper's root.
pub const SOCKET: &str = "keeper.sock";

use crate::sys::{self, Epoll};
use crate::wire::Reply;
use conn::Conn;
use record::Records;
use state::{Container, Exec, Sandbox, Source};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// The state of the loop. Everything the kernel can tell us about is a [`Source`].
#[derive(Debug)]
pub(crate) struct Keeper {
    host: crate::plan::Host,
    records: Records,
    epoll: Epoll,
    sources: HashMap<RawFd, Source>,
    conns: BTreeMap<u64, Conn>,
    next_conn: u64,
    containers: BTreeMap<String, Container>,
    sandboxes: BTreeMap<String, Sandbox>,
    execs: BTreeMap<String, Exec>,
    /// To come back after forking into another process namespace.
    own_pid_ns: OwnedFd,
    listener: OwnedFd,
    signals: OwnedFd,
    /// Fires when exited containers have to be looked at again.
    timer: OwnedFd,
    retry_ms: u64,
    ending: bool,
}

const IN: u32 = libc::EPOLLIN as u32;
const OUT: u32 = libc::EPOLLOUT as u32;
const GONE: u32 = (libc::EPOLLHUP | libc::EPOLLERR) as u32;

impl Keeper {
    fn watch(&mut self, fd: BorrowedFd<'_>, source: Source, events: u32) -> io::Result<()> {
        self.epoll.add(fd, events)?;
        self.sources.insert(fd.as_raw_fd(), source);
        Ok(())
    }

    /// Must come before the descriptor is closed.
    fn unwatch(&mut self, fd: BorrowedFd<'_>) {
        if self.sources.remove(&fd.as_raw_fd()).is_some() {
            // Fails only when the kernel has dropped it already.
            let _ = self.epoll.remove(fd);
        }
    }

    /// Runs until SIGTERM.
    fn run(&mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        while !self.ending {
            self.epoll.wait(&mut ready)?;
            for (fd, events) in &ready {
                let Some(source) = self.sources.get(fd).cloned() else { continue };
                self.dispatch(source, *events);
            }
        }
        self.end_all();
        Ok(())
    }

    fn dispatch(&mut self, source: Source, events: u32) {
        match source {
            Source::Listener => self.accept(),
            Source::Signals => self.on_signal(),
            Source::Timer => self.on_timer(),
            Source::Conn(conn) => self.on_conn(conn, events),
            Source::ContainerReport(id) => self.on_container_report(&id),
            Source::ExecReport(id) => self.on_exec_report(&id),
            Source::SandboxReport(id) => self.on_sandbox_report(&id),
            Source::Output(id, stream) => self.on_output(&id, stream),
            Source::StdinSpace(id) => self.on_stdin_space(&id),
            Source::Attached(id, fd) => self.on_attached(&id, fd, events),
            Source::Oom(id) => self.on_oom(&id),
        }
    }

    fn accept(&mut self) {
        while let Ok(fd) = sys::socket::accept(self.listener.as_fd()) {
            let key = self.next_conn;
            self.next_conn += 1;
            let conn = Conn::new(fd);
            if self.epoll.add(conn.fd().as_fd(), IN).is_ok() {
                self.sources.insert(conn.fd().as_raw_fd(), Source::Conn(key));
                self.conns.insert(key, conn);
            }
        }
    }

    fn on_conn(&mut self, key: u64, events: u32) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        if events & OUT != 0 && conn.flush(&self.epoll).is_err() {
            return self.close_conn(key);
        }
        if events & (IN | GONE) == 0 {
            return;
        }
        match conn.receive() {
            Ok(requests) => requests.into_iter().for_each(|request| self.handle(key, request)),
            Err(_) => self.close_conn(key),
        }
    }

    fn close_conn(&mut self, key: u64) {
        if let Some(conn) = self.conns.remove(&key) {
            self.unwatch(conn.fd().as_fd());
            self.abandon(key);
        }
    }

    /// What a client that went away had asked for and was not told of yet: nobody would know of
    /// it, so it must not come to be.
    fn abandon(&mut self, key: u64) {
        let asked = |c: &Container| c.waiting.contains(&(key, state::Waits::Create));
        for container in self.containers.values().filter(|c| asked(c)) {
            // Its exit, never having been answered, makes it forgotten.
            let _ = sys::process::kill(container.record.seen.pid, libc::SIGKILL);
        }
        let asked = |s: &Sandbox| s.waiting == Some(key);
        let unborn = self.sandboxes.iter().filter(|(_, s)| asked(s)).map(|(id, _)| id.clone());
        for id in unborn.collect::<Vec<_>>() {
            let _ = self.delete_sandbox(&id);
        }
    }

    /// Answers a client, if it is still there.
    fn reply(&mut self, key: u64, reply: &Reply, fds: Vec<OwnedFd>) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        if conn.reply(reply, fds, &self.epoll).is_err() {
            self.close_conn(key);
        }
    }

    fn publish(&mut self, event: &crate::seen::Event) {
        let keys: Vec<u64> =
            self.conns.iter().filter(|(_, conn)| conn.subscribed).map(|(key, _)| *key).collect();
        for key in keys {
            self.reply(key, &Reply::Event(event.clone()), Vec::new());
        }
    }
}
