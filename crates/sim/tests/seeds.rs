//! Random clusters under faults, and the scenarios that once broke something.

#![allow(clippy::unwrap_used)]

use sim::{Scenario, run, scenario};
use std::path::Path;

/// Seeds of every run of the tests; `cargo xtask sim --seeds N` runs more.
const SEEDS: u64 = 200;

/// Seeds that break a rule for a reason not understood yet: with too little room for everybody, a pod that preempts others
/// is still waiting when the time is up (`scenarios/open/`). Nothing may be added here.
const OPEN: &[u64] = &[139];

/// What broke in which seed.
fn play(seeds: impl Iterator<Item = u64>) -> Vec<String> {
    seeds
        .filter(|seed| !OPEN.contains(seed))
        .filter_map(|seed| {
            let violation = run(&scenario(seed)).violation?;
            Some(format!("seed {seed}: {violation:?}"))
        })
        .collect()
}

#[test]
fn no_seed_breaks_a_rule() {
    let odd = std::thread::spawn(|| play((1..=SEEDS).filter(|seed| seed % 2 == 1)));
    let mut broken = play((1..=SEEDS).filter(|seed| seed % 2 == 0));
    broken.extend(odd.join().unwrap());
    assert!(broken.is_empty(), "{broken:#?}\nagain with: cargo xtask sim --seed N");
}

#[test]
fn the_same_scenario_always_runs_alike() {
    for seed in [3, 17] {
        assert_eq!(run(&scenario(seed)), run(&scenario(seed)), "seed {seed}");
    }
}

#[test]
fn what_once_broke_holds() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let scenario = Scenario::read(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(run(&scenario).violation, None, "{}", path.display());
    }
}

#[test]
fn a_scenario_survives_its_file() {
    let scenario = scenario(5);
    assert_eq!(Scenario::read(&scenario.write()).unwrap(), scenario);
}
