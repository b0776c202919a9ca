//! The container engine: containers, execs, networks, volumes, images, pods and events, over the
//! keeper (`runtime`), the content store (`image`) and the networks (`net`).
//!
//! Serves the Docker face and the node loop alike. It knows neither HTTP nor Kubernetes.
//! It is crash-only: every record is a file written by replacement, and opening is recovery.

mod archive;
mod attach;
mod binds;
mod check;
pub mod config;
mod contain;
mod containers;
mod copyup;
mod create;
mod devices;
mod engine;
pub mod error;
pub mod events;
mod execs;
mod exits;
mod files;
pub mod filter;
mod health;
pub mod ident;
mod imagemounts;
mod images;
mod launch;
mod logs;
mod merge;
mod netops;
pub mod networks;
mod observe;
mod pipe;
pub mod plan;
pub mod pod;
mod pods;
pub mod ports;
pub mod record;
mod recover;
mod remove;
mod sandboxes;
mod security;
mod signal;
mod start;
mod stop;
mod system;
pub mod time;
mod units;
mod users;
mod volmounts;
mod volops;
pub mod volumes;

pub use archive::{PathStat, PutOptions};
pub use attach::Attached;
pub use check::Machine;
pub use containers::WaitCondition;
pub use create::CreateRequest;
pub use engine::{Engine, EngineConfig};
pub use error::{EngineError, Kind, Result};
pub use execs::{Exec, ExecConfig};
pub use images::{CommitRequest, ImportRequest, image_defaults};
pub use logs::{LogLine, LogOptions, LogStream};
pub use merge::with_image as merge_config;
pub use netops::until;
pub use observe::{ContainerView, ListOptions, Numbers, Top};
pub use pipe::{Pipe, Streams};
pub use remove::RemoveOptions;
pub use stop::StopOptions;
pub use system::machine_memory;
pub use time::Stamp;
pub use volops::Freed;
