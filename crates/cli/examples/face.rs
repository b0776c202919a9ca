//! The commands alone, without the servers behind them: quick to build while working on them.

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    cli::dispatch(&words).unwrap_or(ExitCode::FAILURE)
}
