//! What the keeper holds per container, exec and sandbox.

use super::log::{LogWriter, Stream};
use super::record::Record;
use crate::error::Error;
use crate::seen::{ExecSeen, SandboxSeen};
use std::os::fd::{OwnedFd, RawFd};

/// What a readable descriptor means.
#[derive(Debug, Clone)]
pub enum Source {
    Listener,
    Signals,
    Timer,
    Conn(u64),
    ContainerReport(String),
    ExecReport(String),
    SandboxReport(String),
    Output(String, Stream),
    /// The container's stdin takes more.
    StdinSpace(String),
    Attached(String, RawFd),
    Oom(String),
}

/// Who waits for what a container does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    Create,
    Start,
    Delete,
}

#[derive(Debug)]
pub struct Container {
    pub record: Record,
    /// Its process namespace dies with its first process, so nothing survives it.
    pub own_pids: bool,
    pub report: Option<OwnedFd>,
    pub start: Option<OwnedFd>,
    pub waiting: Vec<(u64, Waits)>,
    /// What the child said went wrong.
    pub failure: Option<Error>,
    /// Wait status, once reaped.
    pub status: Option<i32>,
    pub io: ContainerIo,
    pub oom_watch: Option<OwnedFd>,
    pub oom_kills: u64,
}

#[derive(Debug, Default)]
pub struct ContainerIo {
    /// stdout and stderr; a terminal's master is the first.
    pub outputs: [Option<OwnedFd>; 2],
    pub terminal: bool,
    /// Closed when the first attached client is done.
    pub once: bool,
    pub stdin: Option<OwnedFd>,
    /// Bytes that stdin did not take yet.
    pub stdin_queue: Vec<u8>,
    pub attached: Vec<Attached>,
    pub log: Option<LogWriter>,
}

/// Our end of one stream of an attached client.
#[derive(Debug)]
pub struct Attached {
    pub fd: OwnedFd,
    pub role: Role,
    /// Bytes the client did not take yet.
    pub queue: Vec<u8>,
    /// The stream has ended: close when the queue is empty.
    pub closing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Writes,
    Reads(Stream),
}

#[derive(Debug)]
pub struct Exec {
    pub seen: ExecSeen,
    pub report: Option<OwnedFd>,
    pub waiting: Option<u64>,
    pub failure: Option<Error>,
    pub terminal: Option<OwnedFd>,
    /// The client's ends, until it has them: stdin, stdout, stderr.
    pub client: [Option<OwnedFd>; 3],
}

#[derive(Debug)]
pub struct Sandbox {
    pub seen: SandboxSeen,
    /// The helper that makes the namespaces; also the pause process.
    pub helper: i32,
    pub report: Option<OwnedFd>,
    pub waiting: Option<u64>,
    pub failure: Option<Error>,
    /// Namespaces are held open here: they live as long as these.
    pub namespaces: Vec<OwnedFd>,
    /// Which kinds come, in this order.
    pub kinds: Vec<SandboxKind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxKind {
    Net,
    Ipc,
    Uts,
}
