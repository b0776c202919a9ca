//! `cargo xtask bless [crate...]`: rewrites the goldens after a change that was meant. Look at the diff afterwards.

use crate::source;
use std::collections::BTreeSet;
use std::process::Command;

/// Tests that compare with files of their crate write them instead when this is set.
const ASK: &str = "UPDATE_GOLDENS";

/// Runs the tests of the named crates (of all that keep goldens when none is named) and has them write.
pub fn run(args: &[String]) -> Result<(), String> {
    let chosen: BTreeSet<String> =
        if args.is_empty() { keepers()? } else { args.iter().cloned().collect() };
    for name in &chosen {
        println!("\n== goldens of {name}");
        let status = Command::new(env!("CARGO"))
            .args(["test", "--quiet", "--package", name])
            .env(ASK, "1")
            .current_dir(source::root())
            .status()
            .map_err(|e| format!("cargo test: {e}"))?;
        if !status.success() {
            return Err(format!("the tests of {name} fail for another reason than their goldens"));
        }
    }
    println!("blessed: {}", chosen.into_iter().collect::<Vec<_>>().join(" "));
    Ok(())
}

fn keepers() -> Result<BTreeSet<String>, String> {
    let keeps = |s: &&source::Source| s.crate_name() != "xtask" && s.text.contains(ASK);
    Ok(source::all()?.iter().filter(keeps).map(|s| s.crate_name().to_string()).collect())
}
