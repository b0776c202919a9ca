//! `boxship down`: ends the daemon of an instance; on request its containers as well.

use crate::command::Row;
use crate::failure::Failure;
use crate::presence::{self, Presence};
use crate::reset::end_keeper;
use crate::server::{data_dir, data_dir_arg};
use clap::{Arg, ArgAction, ArgMatches, Command};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::ExitCode;

pub static ROW: Row = Row { command, run };

fn command() -> Command {
    Command::new("down")
        .about("End the daemon of an instance")
        .after_help(
            "Containers go on without the daemon, and the next `boxship up` finds them.\n\nExamples:\n  boxship down\n  boxship down --containers     ends the containers, too\n  boxship reset                 afterwards: removes everything",
        )
        .args([
            data_dir_arg(),
            Arg::new("containers")
                .long("containers")
                .action(ArgAction::SetTrue)
                .help("End all containers of the instance as well; their data stays"),
        ])
}

fn run(args: &ArgMatches) -> Result<ExitCode, Failure> {
    let dir = data_dir(args);
    match presence::of(dir)? {
        Presence::Running(record) => {
            end(dir, record["pid"].as_i64())?;
            println!("the instance in {} is down", dir.display());
        }
        Presence::Stopped | Presence::Nothing => {
            println!("no instance runs in {}", dir.display());
        }
    }
    if args.get_flag("containers") {
        end_keeper(&dir.join("engine/keeper"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn end(dir: &Path, pid: Option<i64>) -> Result<(), Failure> {
    let what = || format!("end the instance in `{}`", dir.display());
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 1);
    let pid = pid.ok_or_else(|| Failure::new(what(), "its record names no process"))?;
    kill(Pid::from_raw(pid), Signal::SIGTERM).map_err(|e| Failure::new(what(), e))?;
    presence::wait_for_end(dir)
}
