//! The project's own build tool, `cargo xtask <command>`. One file per command, one row per command.

#[allow(dead_code, reason = "benchmarks take from the frame what they need")]
mod bench;
mod bless;
mod check;
mod codegen;
mod setup;
mod sim;
mod sizes;
mod source;
mod tidy;

use std::process::ExitCode;

/// A command: its name, one line of help, and what it runs with the arguments after the name.
struct Command {
    name: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<(), String>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "check",
        help: "format, lints, structure rules and fast tests",
        run: check::check,
    },
    Command {
        name: "test",
        help: "everything; installs what the tests drive first",
        run: check::test,
    },
    Command {
        name: "setup",
        help: "install the clients and peers that the tests drive",
        run: setup::run,
    },
    Command {
        name: "bench",
        help: "measure: api, engine, build, scheduler, node",
        run: bench::run,
    },
    Command { name: "bless", help: "rewrite the goldens; look at the diff", run: bless::run },
    Command { name: "sim", help: "the whole cluster in one thread, by seeds", run: sim::run },
    Command { name: "tidy", help: "the structure rules of ARCHITECTURE.md", run: tidy::run },
    Command { name: "sizes", help: "how big files and functions are, by crate", run: sizes::run },
    Command {
        name: "codegen",
        help: "write the table of schema facts (--check: fail when it is stale)",
        run: codegen::run,
    },
];

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
