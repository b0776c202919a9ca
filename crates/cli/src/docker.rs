//! docker's commands over the Docker API: the same options, columns, messages and exit codes as docker's own client.

mod build;
mod containers;
mod copy;
mod events;
mod exec;
mod format;
mod images;
mod inspect;
mod list;
mod login;
mod logs;
mod mounts;
mod network;
mod options;
mod ports;
mod run;
mod session;
mod stats;
mod system;
mod table;
mod transfer;
mod volume;

use crate::command::{Command, Flag, NONE, one};
use crate::failure::Failure;
use crate::parse::Call;
use remote::{Docker, DockerConfig};

pub use table::{COMMANDS, GROUPS};

pub const GLOBALS: &[Flag] = &[
    one("host", Some('H'), "unix://PATH|tcp://HOST:PORT", "The engine to ask (else DOCKER_HOST)"),
    one("config", None, "DIR", "Where docker's config.json is (else DOCKER_CONFIG, ~/.docker)"),
];

pub const ROOT: Command = Command {
    name: "docker",
    about: "Work with containers, images, networks and volumes",
    usage: "[OPTIONS] COMMAND",
    subs: &[COMMANDS, GROUPS, &[crate::complete::ROW]],
    globals: GLOBALS,
    ..NONE
};

/// The engine a call means.
fn engine(call: &Call) -> Result<Docker, Failure> {
    let mut config = DockerConfig::from_env();
    if let Some(host) = call.get("host") {
        host.clone_into(&mut config.host);
    }
    Docker::new(&config)
        .map_err(|e| Failure::docker(format!("find the engine `{}`", config.host), &e))
}

/// Does one thing to each argument, printing the argument when it is done; goes on after failures, as docker does.
async fn each<'a, F>(call: &'a Call, verb: &str, one: impl Fn(&'a str) -> F) -> Result<u8, Failure>
where
    F: Future<Output = Result<(), remote::Error>>,
{
    let mut code = 0;
    for name in &call.args {
        match one(name).await {
            Ok(()) => crate::out::line(name),
            Err(e) => {
                Failure::docker(format!("{verb} `{name}`"), &e).tell(call.voice);
                code = 1;
            }
        }
    }
    Ok(code)
}

/// Unpacks an archive whose top is `name` as `to`: into it when it is a directory.
///
/// # Errors
/// When that cannot be.
pub fn unpack_as(archive: &[u8], to: &str, name: &str) -> Result<(), Failure> {
    copy::unpack_as(archive, to, name)
}

/// A file or directory as an archive whose top is called `name`.
///
/// # Errors
/// When it cannot be read.
pub fn pack_as(from: &str, name: Option<String>) -> Result<Vec<u8>, Failure> {
    copy::pack_as(from, name)
}
