//! Smaller scenarios that still go wrong in the same way.

use crate::scenario::Scenario;
use crate::world::{Violation, run};

/// Leaves out steps, in ever smaller pieces, as long as the same rule is broken. Runs at most `budget` scenarios.
pub fn minimise(scenario: &Scenario, violation: &Violation, budget: usize) -> Scenario {
    let mut least = scenario.clone();
    // What comes after the violation cannot matter.
    least.steps.retain(|step| step.at <= violation.at);
    if !breaks(&least, violation) {
        least = scenario.clone();
    }
    let mut runs = 1;
    let mut piece = (least.steps.len() / 2).max(1);
    loop {
        let mut shrunk = false;
        let mut from = 0;
        while from < least.steps.len() && runs < budget {
            let to = (from + piece).min(least.steps.len());
            let mut fewer = least.clone();
            fewer.steps.drain(from..to);
            runs += 1;
            if breaks(&fewer, violation) {
                (least, shrunk) = (fewer, true);
            } else {
                from = to;
            }
        }
        if runs >= budget || (piece == 1 && !shrunk) {
            return least;
        }
        piece = (piece / 2).max(1);
    }
}

fn breaks(scenario: &Scenario, violation: &Violation) -> bool {
    run(scenario).violation.is_some_and(|v| v.rule == violation.rule)
}
