//! Boxship's own commands with the names and manners of `docker` and `kubectl`, for machines that have neither.
//!
//! Every command is a row ([`command::Command`]) in one table; parsing, help, completion and dispatch derive from it.
//! The commands talk to the Docker socket and the Kubernetes API like any other client: they know no shortcut into
//! the process that serves them, and decide nothing a server decides.

pub mod command;
mod complete;
mod docker;
mod failure;
mod help;
mod kubectl;
mod out;
mod parse;
mod progress;
mod template;
mod term;

use command::{Command, NONE};
use failure::Failure;
use parse::{Voice, Wish};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

/// The commands a person finds under `boxship`, besides those that start and stop it.
pub static COMMANDS: &[&[Command]] =
    &[docker::COMMANDS, docker::GROUPS, &[kubectl::ROOT, docker::ROOT, complete::ROW]];

static BOXSHIP: Command = Command {
    name: "boxship",
    about: "Docker and Kubernetes in one binary",
    subs: COMMANDS,
    globals: docker::GLOBALS,
    ..NONE
};

static DOCKER: Command = docker::ROOT;
static KUBECTL: Command = kubectl::ROOT;

/// Runs the command line when it is one of these commands: called as `docker` or `kubectl`, or the first word is a
/// name from [`COMMANDS`]. Nothing otherwise. `logs` without a container is somebody else's.
pub fn dispatch(words: &[OsString]) -> Option<ExitCode> {
    let (program, rest) = words.split_first()?;
    let (root, voice) = match name(program) {
        "docker" => (&DOCKER, Voice::Docker),
        "kubectl" => (&KUBECTL, Voice::Kubectl),
        _ => (&BOXSHIP, voice_of(rest)?),
    };
    Some(ExitCode::from(run(root, voice, rest)))
}

fn name(program: &OsStr) -> &str {
    Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or_default()
}

/// Whose manners a line below `boxship` follows; nothing when it is no line of ours.
fn voice_of(rest: &[OsString]) -> Option<Voice> {
    let first = rest.first()?.to_str()?;
    if matches!(first, "-H" | "--host") || first.starts_with("--host=") {
        return Some(Voice::Boxship);
    }
    match BOXSHIP.sub(first)?.name {
        "logs" if !names_a_container(&rest[1..]) => None,
        "kubectl" => Some(Voice::Kubectl),
        "docker" => Some(Voice::Docker),
        _ => Some(Voice::Boxship),
    }
}

/// Whether `logs` has an argument; what follows `-n` and the like is none.
fn names_a_container(rest: &[OsString]) -> bool {
    match parse::parse(
        &BOXSHIP,
        Voice::Boxship,
        [OsString::from("logs")].iter().chain(rest).cloned(),
    ) {
        Ok(Wish::Run(_)) => true,
        Ok(Wish::Help(_)) | Err(_) => false,
    }
}

fn run(root: &'static Command, voice: Voice, rest: &[OsString]) -> u8 {
    let done = match parse::parse(root, voice, rest.iter().cloned()) {
        Ok(Wish::Help(chain)) => {
            out::write(help::help(&chain).as_bytes());
            return 0;
        }
        Ok(Wish::Run(call)) => execute(&call),
        Err(failure) => Err(failure),
    };
    done.unwrap_or_else(|failure| {
        failure.tell(voice);
        failure.code
    })
}

fn execute(call: &parse::Call) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new("start the runtime", e))?;
    let run = call.command.run.expect("only commands that run become calls");
    let done = runtime.block_on(run(call));
    // Whoever still waits for a key or a name's address does not hold the program up.
    runtime.shutdown_background();
    done
}

/// The commands with a line each, for the help of the program they are part of.
pub fn overview() -> String {
    let width = BOXSHIP.commands().map(|sub| sub.name.len()).max().unwrap_or_default();
    let row = |sub: &Command| format!("  {:width$}  {}\n", sub.name, sub.about);
    let rows: String = BOXSHIP.commands().map(row).collect();
    format!("Containers, images and the cluster:\n{rows}")
}

#[cfg(test)]
mod tests;
