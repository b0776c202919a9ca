//! `boxship doctor`: does this machine have what an instance needs? One row per check; nothing is changed.

mod checks;

use crate::command::Row;
use crate::failure::Failure;
use crate::listen::host_arg;
use crate::server::{data_dir, data_dir_arg, listen_arg};
use clap::{ArgMatches, Command};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

pub static ROW: Row = Row { command, run };

fn command() -> Command {
    Command::new("doctor")
        .about("Check whether this machine has what Boxship needs, and explain what it lacks")
        .after_help("Ends with 1 when something is missing that an instance cannot do without.\n\nExamples:\n  boxship doctor\n  boxship doctor --data-dir /mnt/big/boxship --listen 127.0.0.1:7443")
        .args([data_dir_arg(), listen_arg(), host_arg("docker-host")])
}

/// What an instance would be started with.
struct Wanted {
    dir: PathBuf,
    listen: SocketAddr,
    docker: String,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    level: Level,
    found: String,
    hint: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Ok,
    /// Something works less well.
    Warn,
    /// An instance does not start, or does not work.
    Fail,
}

impl Finding {
    fn ok(found: impl Into<String>) -> Self {
        Self { level: Level::Ok, found: found.into(), hint: "" }
    }

    fn warn(found: impl Into<String>, hint: &'static str) -> Self {
        Self { level: Level::Warn, found: found.into(), hint }
    }

    fn fail(found: impl Into<String>, hint: &'static str) -> Self {
        Self { level: Level::Fail, found: found.into(), hint }
    }
}

struct Check {
    name: &'static str,
    look: fn(&Wanted) -> Finding,
}

static CHECKS: &[Check] = &[
    Check { name: "user", look: checks::user },
    Check { name: "capabilities", look: checks::capabilities },
    Check { name: "kernel", look: checks::kernel },
    Check { name: "cgroups", look: checks::cgroups },
    Check { name: "overlayfs", look: checks::overlayfs },
    Check { name: "nf_tables", look: checks::nf_tables },
    Check { name: "br_netfilter", look: checks::br_netfilter },
    Check { name: "ip_forward", look: checks::ip_forward },
    Check { name: "addresses", look: checks::addresses },
    Check { name: "API port", look: checks::api_port },
    Check { name: "Docker socket", look: checks::docker_socket },
    Check { name: "open files", look: checks::open_files },
    Check { name: "memory", look: checks::memory },
    Check { name: "disk", look: checks::disk },
    Check { name: "clock", look: checks::clock },
    Check { name: "resolver", look: checks::resolver },
    Check { name: "CA bundle", look: checks::ca_bundle },
];

fn run(args: &ArgMatches) -> Result<ExitCode, Failure> {
    let wanted = Wanted {
        dir: data_dir(args).to_path_buf(),
        listen: *args.get_one("listen").expect("it has a default"),
        docker: args.get_one::<String>("host").expect("it has a default").clone(),
    };
    let mut worst = Level::Ok;
    for check in CHECKS {
        let Finding { level, found, hint } = (check.look)(&wanted);
        worst = worst.max(level);
        let word = ["ok", "warn", "FAIL"][level as usize];
        println!("{word:<6}{:<15}{found}", check.name);
        if !hint.is_empty() {
            println!("{:21}hint: {hint}", "");
        }
    }
    Ok(if worst == Level::Fail { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
