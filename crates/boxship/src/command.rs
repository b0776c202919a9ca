//! The commands. One row each; help and dispatch derive from the rows.

use crate::failure::Failure;
use crate::{demo, doctor, down, engine, logs, reset, server, status, up};
use clap::{ArgMatches, Command};
use std::ffi::OsString;
use std::process::ExitCode;

/// A command: its arguments and what it runs.
pub struct Row {
    pub command: fn() -> Command,
    pub run: fn(&ArgMatches) -> Result<ExitCode, Failure>,
}

static COMMANDS: &[&Row] = &[
    &up::ROW,
    &down::ROW,
    &status::ROW,
    &doctor::ROW,
    &logs::ROW,
    &demo::ROW,
    &server::ROW,
    &engine::ROW,
    &engine::KEEPER,
    &reset::ROW,
];

pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<ExitCode, Failure> {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(code) = cli::dispatch(&args) {
        return Ok(code);
    }
    let matches = parser().get_matches_from(args);
    let (name, inner) = matches.subcommand().expect("clap requires a subcommand");
    let row = COMMANDS.iter().find(|row| (row.command)().get_name() == name);
    (row.expect("clap accepts only rows of the table").run)(inner)
}

fn parser() -> Command {
    Command::new("boxship")
        .about("Docker and Kubernetes in one binary")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(COMMANDS.iter().map(|row| (row.command)()))
        .after_help(cli::overview())
}
