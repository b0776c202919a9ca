//! Commands measured in turns, so that what disturbs the machine disturbs all of them alike.

use super::stats::Sample;
use std::process::{Command, Stdio};
use std::time::Instant;

/// One contestant.
pub struct Runner<'a> {
    pub name: &'a str,
    /// A fresh command for every round, which counts from 0.
    pub command: Box<dyn Fn(usize) -> Command + 'a>,
}

/// Every command `rounds` times, one after another in turns, after one round that does not count. Their output
/// is shown only when they fail.
///
/// # Errors
/// The first command that fails, with what it wrote.
pub fn race(runners: &[Runner<'_>], rounds: usize) -> Result<Vec<Sample>, String> {
    let mut samples = vec![Sample::default(); runners.len()];
    for round in 0..=rounds {
        for (runner, sample) in runners.iter().zip(&mut samples) {
            let mut command = (runner.command)(round);
            command.stdin(Stdio::null());
            let began = Instant::now();
            let output = command.output().map_err(|e| format!("{}: {e}", runner.name))?;
            let took = began.elapsed();
            if !output.status.success() {
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(format!("{} failed: {}", runner.name, text.trim()));
            }
            if round > 0 {
                sample.push(took);
            }
        }
    }
    Ok(samples)
}
