//! One function per operation: reads the call, asks the engine, renders the answer.

pub mod archive;
pub mod build;
pub mod containers;
pub mod create;
pub mod events;
pub mod execs;
pub mod images;
pub mod lifecycle;
pub mod logs;
pub mod networks;
pub mod raw;
pub mod stats;
pub mod swarm;
pub mod system;
pub mod transfer;
pub mod volumes;

use crate::body::Reply;
use crate::refusal::Refusal;

pub type Handled = Result<Reply, Refusal>;
