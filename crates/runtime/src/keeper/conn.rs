//! One client connection inside the keeper; never blocks.

use crate::sys::{Epoll, socket};
use crate::wire::{self, Reply, Request};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Bytes that may wait for a subscriber before it is cut off.
const BACKLOG: usize = 8 << 20;

#[derive(Debug)]
pub struct Conn {
    fd: OwnedFd,
    input: Vec<u8>,
    output: VecDeque<Message>,
    waiting: usize,
    pub subscribed: bool,
}

#[derive(Debug)]
struct Message {
    bytes: Vec<u8>,
    sent: usize,
    fds: Vec<OwnedFd>,
}

impl Conn {
    pub fn new(fd: OwnedFd) -> Self {
        let (input, output) = (Vec::new(), VecDeque::new());
        Self { fd, input, output, waiting: 0, subscribed: false }
    }

    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// All whole requests that have arrived; an error ends the connection.
    pub fn receive(&mut self) -> io::Result<Vec<Request>> {
        let mut out = Vec::new();
        let mut buffer = [0; 16 << 10];
        loop {
            match socket::receive(self.fd.as_fd(), &mut buffer, &mut Vec::new()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.input.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            while let Some(request) = wire::decode(&mut self.input)? {
                out.push(request);
            }
        }
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        Ok(out)
    }

    pub fn reply(&mut self, reply: &Reply, fds: Vec<OwnedFd>, epoll: &Epoll) -> io::Result<()> {
        let bytes = wire::encode(reply)?;
        self.waiting += bytes.len();
        if self.waiting > BACKLOG + wire::MAX_MESSAGE {
            return Err(io::Error::other("the client does not read"));
        }
        self.output.push_back(Message { bytes, sent: 0, fds });
        self.flush(epoll)
    }

    /// Sends what fits; asks for a wake-up when something is left.
    pub fn flush(&mut self, epoll: &Epoll) -> io::Result<()> {
        let had_rest = self.waiting > 0;
        while let Some(message) = self.output.front_mut() {
            let raw: Vec<i32> = message.fds.iter().map(AsRawFd::as_raw_fd).collect();
            match socket::send(self.fd.as_fd(), &message.bytes[message.sent..], &raw) {
                Ok(n) => {
                    message.sent += n;
                    message.fds.clear();
                    self.waiting -= n;
                    if message.sent == message.bytes.len() {
                        self.output.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let interest = libc::EPOLLIN | if self.waiting > 0 { libc::EPOLLOUT } else { 0 };
        match had_rest {
            true => epoll.change(self.fd.as_fd(), interest as u32),
            false => Ok(()),
        }
    }
}
