//! The Dockerfile language as values: text to instructions, variables, stages, checks, and the
//! graph of operations that makes a target.
//!
//! Pure: it reads no file, asks no registry and runs nothing. What it must know about base images
//! it asks for by returning their names ([`Lowered::NeedImages`]). The facts follow BuildKit's
//! `frontend/dockerfile` (parser, instructions, shell, dockerfile2llb).

mod check;
mod config;
mod expand;
mod flags;
pub mod glob;
mod graph;
mod heredoc;
pub mod ignore;
mod instruction;
mod lines;
mod lint;
mod lower;
mod parse;
mod problem;
mod scope;
mod stages;
mod steps;
mod undefined;

pub use check::Check;
pub use expand::{Expander, Vars};
pub use graph::{
    Base, Copying, Graph, HistoryRow, Node, NodeId, Op, Origin, RunMount, Running, Source,
};
pub use heredoc::Heredoc;
pub use instruction::{Command, CopyFlags, Form, Instruction, MountKind, MountSpec, Sharing};
pub use lint::{Warning, lint, report};
pub use lower::{KnownImage, Lowered, NamedContext, Options, Wanted, lower};
pub use parse::{Dockerfile, parse};
pub use problem::{Problem, Result};
pub use stages::{Stage, stages};
pub use undefined::ignored;

#[cfg(test)]
mod tests;
