//! What a target needs done: operations on file trees, each naming what it stands on.
//!
//! A node's inputs have smaller numbers, so the list is in an order that can be executed.

use oci::{Digest, ImageConfig, Platform};

use crate::instruction::{MountKind, Sharing};
use crate::lint::Warning;

/// Index into [`Graph::nodes`].
pub type NodeId = usize;

/// Everything that makes one image. Without timestamps: the hand knows the time.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    pub nodes: Vec<Node>,
    /// Whose tree is the image's.
    pub root: NodeId,
    /// Defaults, labels and the base's history; `rootfs` is the hand's.
    pub config: ImageConfig,
    /// Rows to append to the history.
    pub history: Vec<HistoryRow>,
    /// The instructions in the order they are shown.
    pub steps: Vec<Step>,
    /// The image that the target stands on.
    pub parent: Option<Digest>,
    /// Findings that needed the base images' variables.
    pub warnings: Vec<Warning>,
}

/// One line of `Step 1/3 : ...`; without a node it only changes the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub text: String,
    pub node: Option<NodeId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    pub created_by: String,
    /// What made its layer; `None`: no layer.
    pub node: Option<NodeId>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub op: Op,
    /// Of the instruction, for errors.
    pub line: usize,
    /// The name of its stage (`--no-cache-filter`); the number when it has none.
    pub stage: String,
    /// What its stage is for; programs of RUN are of it.
    pub platform: Platform,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Base(Base),
    Run(Running),
    Copy(Copying),
    /// Makes a folder unless it is there.
    Workdir {
        under: NodeId,
        path: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Base {
    Scratch,
    Image(Digest),
}

/// Where files come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origin {
    #[default]
    Context,
    /// Another folder of the caller's (`--build-context`).
    Named(String),
    Node(NodeId),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Perhaps with wildcards, relative to the origin.
    Path(String),
    Inline {
        name: String,
        content: String,
    },
    Url(String),
    Git(String),
}

/// COPY and ADD.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copying {
    pub under: NodeId,
    pub origin: Origin,
    pub sources: Vec<Source>,
    /// Absolute; a final slash means a folder.
    pub dest: String,
    /// `user[:group]`, names or numbers; `None`: 0:0.
    pub owner: Option<String>,
    /// As `chmod` takes it; octal.
    pub mode: Option<u32>,
    /// The layer does not depend on what lies below.
    pub link: bool,
    pub parents: bool,
    pub excludes: Vec<String>,
    /// Local archives are unpacked (ADD).
    pub unpack: bool,
    /// Archives from elsewhere are unpacked too (`--unpack`).
    pub unpack_remote: bool,
    /// Of a download, or the beginning of a commit.
    pub checksum: Option<String>,
    pub keep_git_dir: bool,
}

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub under: NodeId,
    pub args: Vec<String>,
    /// `name=value`; counts for the cache.
    pub env: Vec<String>,
    /// Proxies: there, but neither in the cache's key nor in the history.
    pub hidden_env: Vec<String>,
    pub user: String,
    pub cwd: String,
    /// `default`, `none` or `host`.
    pub network: String,
    pub mounts: Vec<RunMount>,
    /// A here-document with `#!`: path inside and content.
    pub script: Option<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMount {
    pub kind: MountKind,
    /// Absolute inside.
    pub target: String,
    pub origin: Option<Origin>,
    /// Path within the origin.
    pub source: String,
    pub writable: bool,
    pub id: String,
    pub sharing: Sharing,
    pub size: Option<u64>,
    pub mode: Option<u32>,
    pub uid: u32,
    pub gid: u32,
    pub required: bool,
    pub env: Option<String>,
}

impl Op {
    /// The nodes it reads; the one it stands on first.
    pub fn inputs(&self) -> Vec<NodeId> {
        let node = |o: &Origin| match o {
            Origin::Node(id) => Some(*id),
            Origin::Context | Origin::Named(_) => None,
        };
        match self {
            Self::Base(_) => Vec::new(),
            Self::Workdir { under, .. } => vec![*under],
            Self::Copy(c) => [Some(c.under), node(&c.origin)].into_iter().flatten().collect(),
            Self::Run(r) => {
                let froms = r.mounts.iter().filter_map(|m| m.origin.as_ref().and_then(node));
                std::iter::once(r.under).chain(froms).collect()
            }
        }
    }
}
