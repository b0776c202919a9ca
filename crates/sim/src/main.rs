//! `cargo xtask sim`: runs scenarios and says what broke.
//!
//! `--seed N` one seed; `--seeds N [--from M]` so many; `--hours H` until the time is up; `--scenario FILE` a file.

use sim::{Outcome, Scenario, Violation};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Scenarios tried while a failing one is made smaller.
const MINIMISE_RUNS: usize = 300;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match chosen(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("sim: {why}");
            eprintln!(
                "usage: sim --seed N | --seeds N [--from M] | --hours H [--from M] | --scenario FILE"
            );
            ExitCode::from(2)
        }
    }
}

/// Whether nothing broke.
fn chosen(args: &[String]) -> Result<bool, String> {
    let option = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1)
    };
    let number = |name: &str| match option(name) {
        None => Ok(None),
        Some(text) => text.parse::<f64>().map(Some).map_err(|_| format!("{name} wants a number")),
    };
    if let Some(path) = option("--scenario") {
        let text = std::fs::read_to_string(path).map_err(|e| format!("read `{path}`: {e}"))?;
        let scenario = Scenario::read(&text).map_err(|e| format!("`{path}`: {e}"))?;
        return Ok(one(&scenario));
    }
    let from = number("--from")?.unwrap_or(1.0) as u64;
    match (number("--seed")?, number("--seeds")?, number("--hours")?) {
        (Some(seed), _, _) => Ok(one(&sim::scenario(seed as u64))),
        (_, Some(count), _) => Ok(many(from..from + count as u64, None)),
        (_, _, Some(hours)) => {
            Ok(many(from..u64::MAX, Some(Duration::from_secs_f64(hours * 3600.0))))
        }
        _ => Err("what is to run?".into()),
    }
}

fn one(scenario: &Scenario) -> bool {
    let began = Instant::now();
    let outcome = sim::run(scenario);
    println!(
        "seed {}: {} steps, {} writes, {} s of virtual time, {} crashes, in {:.2} s",
        scenario.seed,
        scenario.steps.len(),
        outcome.revision,
        outcome.virtual_secs,
        outcome.crashes,
        began.elapsed().as_secs_f64()
    );
    outcome.violation.as_ref().is_none_or(|violation| tell(scenario, violation))
}

/// Prints what broke and the smallest scenario that breaks it; always false.
fn tell(scenario: &Scenario, violation: &Violation) -> bool {
    println!("VIOLATION of \"{}\" after {} s: {}", violation.rule, violation.at, violation.detail);
    println!("again with: cargo xtask sim --seed {}", scenario.seed);
    let least = sim::minimise(scenario, violation, MINIMISE_RUNS);
    println!("{} of {} steps are enough:", least.steps.len(), scenario.steps.len());
    println!("{}", least.write());
    false
}

fn many(seeds: std::ops::Range<u64>, limit: Option<Duration>) -> bool {
    let began = Instant::now();
    let (mut count, mut broken) = (0, 0);
    let mut sum = Outcome { violation: None, revision: 0, virtual_secs: 0, crashes: 0 };
    for seed in seeds {
        if limit.is_some_and(|limit| began.elapsed() > limit) {
            break;
        }
        let scenario = sim::scenario(seed);
        let outcome = sim::run(&scenario);
        count += 1;
        sum.revision += outcome.revision;
        sum.virtual_secs += outcome.virtual_secs;
        sum.crashes += outcome.crashes;
        if let Some(violation) = &outcome.violation {
            broken += 1;
            println!(
                "seed {seed}: {} after {} s: {}",
                violation.rule, violation.at, violation.detail
            );
        }
    }
    println!(
        "{count} seeds: {broken} with violations; {} writes, {:.1} days of virtual time, {} crashes, in {:.0} s",
        sum.revision,
        sum.virtual_secs as f64 / 86400.0,
        sum.crashes,
        began.elapsed().as_secs_f64()
    );
    broken == 0
}
