//! `cargo xtask check` and `cargo xtask test`: the gates.

use crate::{setup, source, tidy};
use std::process::Command;

/// Format, lints, structure rules and the fast tests.
pub fn check(_: &[String]) -> Result<(), String> {
    gates()?;
    cargo(&["test", "--workspace", "--lib", "--bins"])?;
    // 200 simulated clusters under faults.
    cargo(&["test", "--package", "sim"])
}

/// Everything: what a new machine lacks is installed first, then the gates, then every test; those that drive the
/// product with real clients build it and start it themselves.
pub fn test(_: &[String]) -> Result<(), String> {
    setup::run(&[])?;
    gates()?;
    cargo(&["test", "--workspace"])
}

fn gates() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"])?;
    tidy::run(&[])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    crate::codegen::run(&["--check".into()])
}

/// Runs cargo in the repository.
fn cargo(args: &[&str]) -> Result<(), String> {
    println!("\n== cargo {}", args.join(" "));
    let status = Command::new(env!("CARGO"))
        .args(args)
        .current_dir(source::root())
        .status()
        .map_err(|e| format!("cargo {}: {e}", args.join(" ")))?;
    if status.success() { Ok(()) } else { Err(format!("cargo {} failed", args.join(" "))) }
}
