//! `cargo xtask sim`: runs the simulation (crate `sim`) with the arguments given.

use crate::source;
use std::process::Command;

pub fn run(args: &[String]) -> Result<(), String> {
    if !source::root().join("crates/sim").exists() {
        return Err("there is no simulation yet (crate sim)".into());
    }
    let status = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--release", "--package", "sim", "--"])
        .args(args)
        .current_dir(source::root())
        .status()
        .map_err(|e| format!("cargo run: {e}"))?;
    if status.success() { Ok(()) } else { Err("the simulation found something".into()) }
}
