//! `cargo xtask check` and `cargo xtask test`: the gates.

use crate::{setup, source, tidy};
use std::process::Command;

/// Format, lints, structure rules and the fast tests.
pub fn check(args: &[String]) -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"])?;
    tidy::run(&[])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    crate::codegen::run(&["--check".into()])?;
    cargo(&["test", "--workspace", "--lib", "--bins"])?;
    if args.iter().any(|a| a == "--fast") {
        Ok(())
    } else {
        cargo(&["test", "--workspace", "--doc"])
    }
}

/// Everything: what a new machine lacks is installed first, then the gates, then the product is built and
/// driven by real clients.
pub fn test(_: &[String]) -> Result<(), String> {
    setup::run(&[])?;
    check(&["--fast".into()])?;
    cargo(&["build", "--release", "--package", "boxship"])?;
    cargo(&["test", "--workspace", "--tests"])
}

/// Runs cargo in the repository; the product's path is in `BOXSHIP_BIN` for tests that drive it.
fn cargo(args: &[&str]) -> Result<(), String> {
    println!("\n== cargo {}", args.join(" "));
    let target = std::env::var("CARGO_TARGET_DIR")
        .map_or_else(|_| source::root().join("target"), Into::into);
    let status = Command::new(env!("CARGO"))
        .args(args)
        .current_dir(source::root())
        .env("BOXSHIP_BIN", target.join("release/boxship"))
        .status()
        .map_err(|e| format!("cargo {}: {e}", args.join(" ")))?;
    if status.success() { Ok(()) } else { Err(format!("cargo {} failed", args.join(" "))) }
}
