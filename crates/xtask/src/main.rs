//! The project's own build tool, `cargo xtask <command>`. One file per command, one row per command.

mod codegen;

use std::process::ExitCode;

/// A command: its name, one line of help, and what it runs with the arguments after the name.
struct Command {
    name: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<(), String>,
}

const COMMANDS: &[Command] = &[Command {
    name: "codegen",
    help: "write the table of schema facts (--check: fail when it is stale)",
    run: codegen::run,
}];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let chosen = args.first().and_then(|name| COMMANDS.iter().find(|c| c.name == name));
    let Some(command) = chosen else {
        usage();
        return ExitCode::from(2);
    };
    match (command.run)(&args[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask {}: {why}", command.name);
            ExitCode::FAILURE
        }
    }
}

fn usage() {
    eprintln!("usage: cargo xtask <command>");
    for command in COMMANDS {
        eprintln!("  {:<10} {}", command.name, command.help);
    }
}
