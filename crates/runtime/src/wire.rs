//! What client and keeper say to each other: length-prefixed JSON over a unix socket, with
//! descriptors beside it.
//!
//! One request is answered by one reply on the same connection; after `Subscribe` the connection
//! carries events only.

use crate::error::Error;
use crate::seen::{ContainerSeen, Event, ExecSeen, NodeSeen, SandboxSeen};
use crate::spec::{AttachSpec, ContainerSpec, ExecSpec, SandboxSpec, TtySize};
use crate::sys::socket;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Raised when a message changes its meaning; a newer daemon then upgrades the keeper.
pub const VERSION: u32 = 1;

/// Longest message in bytes.
pub const MAX_MESSAGE: usize = 16 << 20;

#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    Hello,
    CreateSandbox(SandboxSpec),
    DeleteSandbox(String),
    Create(Box<ContainerSpec>),
    Start(String),
    Signal(String, i32),
    KillAll(String),
    Attach(String, AttachSpec),
    Resize(String, TtySize),
    Exec(Box<ExecSpec>),
    ExecResize(String, TtySize),
    ExecSignal(String, i32),
    ReopenLog(String),
    Delete(String),
    Inspect(String),
    Observe,
    Subscribe,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    Done,
    Hello {
        version: u32,
        pid: i32,
    },
    Container(Box<ContainerSeen>),
    Sandbox(SandboxSeen),
    Node(NodeSeen),
    /// Descriptors follow in the order stdin, stdout, stderr, for the streams that are true.
    Exec(ExecSeen, Streams),
    Attached(Streams),
    Event(Event),
    Failed(Error),
}

/// Which streams come as descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// A message ready to be sent.
pub fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - 4;
    if length > MAX_MESSAGE {
        return Err(io::Error::other("the message is too long"));
    }
    bytes[..4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(bytes)
}

/// Takes the first whole message out of `input`, if there is one.
pub fn decode<T: DeserializeOwned>(input: &mut Vec<u8>) -> io::Result<Option<T>> {
    let Some(head) = input.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*head) as usize;
    if length > MAX_MESSAGE {
        return Err(io::Error::other("the message is too long"));
    }
    if input.len() < 4 + length {
        return Ok(None);
    }
    let message = serde_json::from_slice(&input[4..4 + length])?;
    input.drain(..4 + length);
    Ok(Some(message))
}

/// Blocking send of a whole message.
pub fn send(to: BorrowedFd<'_>, message: &impl Serialize, fds: &[OwnedFd]) -> io::Result<()> {
    let bytes = encode(message)?;
    let raw: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let mut sent = socket::send(to, &bytes, &raw)?;
    while sent < bytes.len() {
        sent += socket::send(to, &bytes[sent..], &[])?;
    }
    Ok(())
}

/// The receiving half of a blocking connection.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    pub fds: Vec<OwnedFd>,
}

impl Inbox {
    /// Blocks for one message. Its descriptors are in `fds` afterwards.
    pub fn receive<T: DeserializeOwned>(&mut self, from: &OwnedFd) -> io::Result<T> {
        let mut buffer = [0; 16 << 10];
        loop {
            if let Some(message) = decode(&mut self.bytes)? {
                return Ok(message);
            }
            match socket::receive(from.as_fd(), &mut buffer, &mut self.fds)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.bytes.extend_from_slice(&buffer[..n]),
            }
        }
    }
}
