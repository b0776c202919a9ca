//! Bytes between containers, log files and attached clients.
//!
//! A client that does not read holds the container's stream back once its queue is full (as with
//! docker); a client that goes away is forgotten.

use super::log::Stream;
use super::requests::{Answer, wrong_state};
use super::state::{Attached, ContainerIo, Role, Source};
use super::{GONE, IN, Keeper, OUT};
use crate::error::Error;
use crate::seen::State;
use crate::spec::AttachSpec;
use crate::sys::{self, Epoll, socket};
use crate::wire::{Reply, Streams};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// Bytes read at once, and reads before others get their turn.
const CHUNK: usize = 32 << 10;
const TURNS: usize = 8;
/// Bytes that wait for one client before its stream is held back.
const QUEUE_MAX: usize = 1 << 20;

/// What a read gave.
enum Got {
    Bytes(usize),
    Nothing,
    End,
}

fn read(fd: &OwnedFd, buffer: &mut [u8]) -> Got {
    match sys::read(fd.as_fd(), buffer) {
        Ok(0) => Got::End,
        Ok(n) => Got::Bytes(n),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Got::Nothing,
        // A terminal whose last user is gone answers EIO.
        Err(_) => Got::End,
    }
}

impl Keeper {
    pub(super) fn on_output(&mut self, id: &str, stream: Stream) {
        for _ in 0..TURNS {
            if self.held_back(id, stream) || !self.pump(id, stream) {
                return;
            }
        }
    }

    /// Stops watching a stream while one of its clients is full.
    fn held_back(&mut self, id: &str, stream: Stream) -> bool {
        let Some(container) = self.containers.get(id) else { return true };
        let full = container.io.attached.iter().any(|attached| {
            attached.role == Role::Reads(stream) && attached.queue.len() >= QUEUE_MAX
        });
        if full && let Some(fd) = &container.io.outputs[stream as usize] {
            let _ = self.epoll.change(fd.as_fd(), 0);
        }
        full
    }

    /// Moves one chunk; false when there is nothing to move now.
    fn pump(&mut self, id: &str, stream: Stream) -> bool {
        let Some(container) = self.containers.get_mut(id) else { return false };
        let Some(fd) = &container.io.outputs[stream as usize] else { return false };
        let mut buffer = [0; CHUNK];
        match read(fd, &mut buffer) {
            Got::Nothing => false,
            Got::Bytes(n) => {
                let gone = container.io.deliver(id, stream, &buffer[..n], &self.epoll);
                self.drop_attached(id, &gone);
                true
            }
            Got::End => {
                self.end_stream(id, stream);
                false
            }
        }
    }

    fn end_stream(&mut self, id: &str, stream: Stream) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let Some(fd) = container.io.outputs[stream as usize].take() else { return };
        if let Some(log) = &mut container.io.log
            && let Err(error) = log.finish(stream, sys::now())
        {
            eprintln!("keeper: log of `{id}`: {error}");
        }
        self.unwatch(fd.as_fd());
        let Some(container) = self.containers.get_mut(id) else { return };
        let mut done = Vec::new();
        for attached in &mut container.io.attached {
            if attached.role == Role::Reads(stream) {
                attached.closing = true;
                done.extend(attached.queue.is_empty().then(|| attached.fd.as_raw_fd()));
            }
        }
        self.drop_attached(id, &done);
    }

    /// The container has ended: everything still in its pipes is read, whatever clients do.
    pub(super) fn drain(&mut self, id: &str) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            while self.pump(id, stream) {}
            self.end_stream(id, stream);
        }
        let Some(container) = self.containers.get_mut(id) else { return };
        container.io.log = None;
        let stdin = container.io.stdin.take();
        let writers: Vec<RawFd> = container
            .io
            .attached
            .iter()
            .filter(|attached| attached.role == Role::Writes)
            .map(|attached| attached.fd.as_raw_fd())
            .collect();
        if let Some(stdin) = stdin {
            self.unwatch(stdin.as_fd());
        }
        self.drop_attached(id, &writers);
    }

    fn drop_attached(&mut self, id: &str, fds: &[RawFd]) {
        for fd in fds {
            self.unwatch(sys::borrow(*fd));
        }
        if let Some(container) = self.containers.get_mut(id) {
            container.io.attached.retain(|attached| !fds.contains(&attached.fd.as_raw_fd()));
        }
    }

    pub(super) fn attach(&mut self, id: &str, spec: AttachSpec) -> Answer {
        let container = self.container_mut(id)?;
        if container.record.seen.state == State::Exited {
            return Err(wrong_state(&container.record.seen, "is not running"));
        }
        let io = &container.io;
        let streams = Streams {
            stdin: spec.stdin && io.stdin.is_some(),
            stdout: spec.stdout,
            stderr: spec.stderr && !io.terminal,
        };
        let roles = [
            (streams.stdin, Role::Writes),
            (streams.stdout, Role::Reads(Stream::Stdout)),
            (streams.stderr, Role::Reads(Stream::Stderr)),
        ];
        let mut theirs = Vec::new();
        for (_, role) in roles.into_iter().filter(|(wanted, _)| *wanted) {
            let fd = self.add_attached(id, role).map_err(|e| Error::kernel("attach", id, &e))?;
            theirs.push(fd);
        }
        Ok(Some((Reply::Attached(streams), theirs)))
    }

    fn add_attached(&mut self, id: &str, role: Role) -> io::Result<OwnedFd> {
        let (ours, theirs) = socket::pair(socket::Kind::Stream)?;
        sys::set_nonblocking(ours.as_fd())?;
        let interest = if role == Role::Writes { IN } else { 0 };
        self.watch(ours.as_fd(), Source::Attached(id.to_string(), ours.as_raw_fd()), interest)?;
        if let Some(container) = self.containers.get_mut(id) {
            let queue = Vec::new();
            container.io.attached.push(Attached { fd: ours, role, queue, closing: false });
        }
        Ok(theirs)
    }

    pub(super) fn on_attached(&mut self, id: &str, fd: RawFd, events: u32) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let io = &mut container.io;
        let Some(attached) = io.attached.iter_mut().find(|a| a.fd.as_raw_fd() == fd) else {
            return;
        };
        match attached.role {
            Role::Writes => self.on_input(id, fd),
            Role::Reads(stream) => {
                let failed = attached.flush(&self.epoll).is_err();
                let finished = attached.closing && attached.queue.is_empty();
                let room = attached.queue.len() < QUEUE_MAX / 2;
                if failed || finished || events & GONE != 0 && attached.queue.is_empty() {
                    self.drop_attached(id, &[fd]);
                }
                if failed || room {
                    self.resume(id, stream);
                }
            }
        }
    }

    fn resume(&mut self, id: &str, stream: Stream) {
        let Some(container) = self.containers.get(id) else { return };
        if let Some(fd) = &container.io.outputs[stream as usize] {
            let _ = self.epoll.change(fd.as_fd(), IN);
        }
    }

    /// A client typed something, or is done.
    fn on_input(&mut self, id: &str, fd: RawFd) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let io = &mut container.io;
        if !io.stdin_queue.is_empty() {
            let _ = self.epoll.change(sys::borrow(fd), 0);
            return;
        }
        let Some(attached) = io.attached.iter().find(|a| a.fd.as_raw_fd() == fd) else { return };
        let mut buffer = [0; CHUNK];
        match read(&attached.fd, &mut buffer) {
            Got::Nothing => {}
            Got::Bytes(n) => {
                io.stdin_queue.extend_from_slice(&buffer[..n]);
                self.on_stdin_space(id);
            }
            Got::End => {
                let closes = io.once && !io.terminal;
                self.drop_attached(id, &[fd]);
                if closes {
                    self.close_stdin(id);
                }
            }
        }
    }

    fn close_stdin(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        container.io.stdin_queue = Vec::new();
        if let Some(stdin) = container.io.stdin.take() {
            self.unwatch(stdin.as_fd());
        }
    }

    /// Writes what waits for stdin; asks for a wake-up when it does not take all.
    pub(super) fn on_stdin_space(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let Some(stdin) = &container.io.stdin else { return };
        let watched = self.sources.contains_key(&stdin.as_raw_fd());
        let fd = stdin.as_raw_fd();
        while !container.io.stdin_queue.is_empty() {
            match sys::write(sys::borrow(fd), &container.io.stdin_queue) {
                Ok(n) => drop(container.io.stdin_queue.drain(..n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return self.close_stdin(id),
            }
        }
        if container.io.stdin_queue.is_empty() {
            container.io.stdin_queue = Vec::new();
            let writers = container.io.attached.iter().filter(|a| a.role == Role::Writes);
            for writer in writers {
                let _ = self.epoll.change(writer.fd.as_fd(), IN);
            }
            self.unwatch(sys::borrow(fd));
        } else if !watched {
            let _ = self.watch(sys::borrow(fd), Source::StdinSpace(id.to_string()), OUT);
        }
    }
}

impl ContainerIo {
    /// To the log and to every client of the stream; the clients that are gone.
    fn deliver(&mut self, id: &str, stream: Stream, bytes: &[u8], epoll: &Epoll) -> Vec<RawFd> {
        if let Some(log) = &mut self.log
            && let Err(error) = log.write(stream, bytes, sys::now())
        {
            eprintln!("keeper: log of `{id}`: {error}");
        }
        let mut gone = Vec::new();
        for attached in &mut self.attached {
            if attached.role == Role::Reads(stream) {
                attached.queue.extend_from_slice(bytes);
                if attached.flush(epoll).is_err() {
                    gone.push(attached.fd.as_raw_fd());
                }
            }
        }
        gone
    }
}

impl Attached {
    /// Sends what fits; watches for room while something is left.
    fn flush(&mut self, epoll: &Epoll) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.queue.len() {
            match socket::send(self.fd.as_fd(), &self.queue[sent..], &[]) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.queue.drain(..sent);
        if self.queue.is_empty() {
            self.queue = Vec::new();
        }
        epoll.change(self.fd.as_fd(), if self.queue.is_empty() { 0 } else { OUT })
    }
}
