//! Instructions as written: nothing is expanded yet.

use crate::heredoc::Heredoc;

/// One instruction and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    pub line: usize,
    pub end: usize,
    /// As written, continuations joined.
    pub text: String,
    pub command: Command,
}

/// A command line: words for `exec`, or a text for the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    Exec(Vec<String>),
    Shell(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    From {
        image: String,
        platform: Option<String>,
        name: Option<String>,
    },
    Run {
        form: Form,
        heredocs: Vec<Heredoc>,
        mounts: Vec<MountSpec>,
        network: String,
    },
    Cmd(Form),
    Label(Vec<(String, String)>),
    Maintainer(String),
    Expose(Vec<String>),
    Env(Vec<(String, String)>),
    Add(CopyFlags),
    Copy(CopyFlags),
    Entrypoint(Form),
    /// Words, and whether they came from a JSON array.
    Volume(Vec<String>),
    User(String),
    Workdir(String),
    Arg(Vec<(String, Option<String>)>),
    Onbuild(String),
    StopSignal(String),
    Healthcheck(Healthcheck),
    Shell(Vec<String>),
}

/// Durations in nanoseconds, 0 the default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Healthcheck {
    /// `None`: `NONE`.
    pub test: Option<Form>,
    pub interval: i64,
    pub timeout: i64,
    pub start_period: i64,
    pub start_interval: i64,
    pub retries: i64,
}

/// COPY and ADD.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CopyFlags {
    pub sources: Vec<String>,
    pub dest: String,
    pub heredocs: Vec<Heredoc>,
    pub from: Option<String>,
    pub chown: Option<String>,
    pub chmod: Option<String>,
    pub link: bool,
    pub parents: bool,
    pub excludes: Vec<String>,
    pub checksum: Option<String>,
    pub keep_git_dir: bool,
    pub unpack: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MountKind {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

/// Who may use a cache mount at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    #[default]
    Shared,
    Private,
    Locked,
}

/// `RUN --mount=...`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MountSpec {
    pub kind: MountKind,
    pub id: Option<String>,
    pub from: Option<String>,
    pub source: Option<String>,
    pub target: Option<String>,
    pub writable: Option<bool>,
    pub sharing: Sharing,
    pub size: Option<u64>,
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub required: bool,
    /// `env=NAME` of secrets.
    pub env: Option<String>,
}
