//! How fast a number may be followed (horizontal.go `normalizeDesiredReplicasWithBehaviors`).

use super::Work;
use crate::calls;
use crate::conditions::List;
use crate::plan::Plan;
use k8s_openapi::api::autoscaling::v2::{
    HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler,
};
use meta::Time;
use serde_json::json;

/// What is remembered, as JSON of [`Memory`].
const MEMORY: &str = "autoscaling.boxship.io/memory";
/// `horizontal-pod-autoscaler-downscale-stabilization`
const DOWN_WINDOW_SECS: i32 = 300;

#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct Memory {
    /// Recommendations below the present size since the last that was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    down: Option<Trend>,
    /// The same above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    up: Option<Trend>,
    /// Second and amount of changes of the size that policies still look back on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<(i64, i32)>,
}

/// Recommendations in one direction: second and size, each more cautious than the later ones.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Trend {
    since: i64,
    kept: Vec<(i64, i32)>,
}

impl Memory {
    fn of(hpa: &HorizontalPodAutoscaler) -> Self {
        let text = calls::annotation(&hpa.metadata, MEMORY).unwrap_or("{}");
        serde_json::from_str(text).unwrap_or_default()
    }
}

/// The proposal, held back by windows, policies and limits.
pub(super) fn limit(work: &Work<'_>, proposed: i32, conditions: &mut List, plan: &mut Plan) -> i32 {
    let old = Memory::of(work.hpa);
    let mut memory = old.clone();
    let current = work.target.wanted;
    let stable = stabilise(work, proposed, &mut memory);
    tell(work, proposed, stable, conditions);
    let wanted = bound(work, stable, &memory, conditions);
    if wanted != current {
        memory.changes.push((work.now.secs(), wanted - current));
        (memory.down, memory.up) = (None, None);
    }
    forget(work, &mut memory);
    if memory != old {
        let text = (memory != Memory::default()).then(|| calls::value(&memory).to_string());
        let body = json!({ "metadata": { "annotations": { MEMORY: text } } });
        plan.call(calls::merge::<HorizontalPodAutoscaler>(&work.hpa.metadata, body));
    }
    wanted
}

fn tell(work: &Work<'_>, proposed: i32, stable: i32, conditions: &mut List) {
    let (reason, message) = match stable.cmp(&proposed) {
        std::cmp::Ordering::Equal => ("ReadyForNewScale", "recommended size matches current size"),
        std::cmp::Ordering::Greater => (
            "ScaleDownStabilized",
            "recent recommendations were higher than current one, applying the highest recent \
             recommendation",
        ),
        std::cmp::Ordering::Less => (
            "ScaleUpStabilized",
            "recent recommendations were lower than current one, applying the lowest recent \
             recommendation",
        ),
    };
    conditions.set("AbleToScale", "True", reason, message, work.now);
}

fn rules<'a>(work: &'a Work<'_>, up: Direction) -> Option<&'a HPAScalingRules> {
    let behavior = work.spec.behavior.as_ref()?;
    match up {
        Direction::Up => behavior.scale_up.as_ref(),
        Direction::Down => behavior.scale_down.as_ref(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

fn window(work: &Work<'_>, direction: Direction) -> i64 {
    let given = rules(work, direction).and_then(|r| r.stabilization_window_seconds);
    let usual = if direction == Direction::Up { 0 } else { DOWN_WINDOW_SECS };
    given.unwrap_or(usual).into()
}

/// The size follows downwards only as far as every recommendation of the window agrees, and so upwards.
fn stabilise(work: &Work<'_>, proposed: i32, memory: &mut Memory) -> i32 {
    let current = work.target.wanted;
    if proposed >= current {
        memory.down = None;
    }
    if proposed <= current {
        memory.up = None;
    }
    let (trend, direction) = match proposed.cmp(&current) {
        std::cmp::Ordering::Equal => return current,
        std::cmp::Ordering::Less => (&mut memory.down, Direction::Down),
        std::cmp::Ordering::Greater => (&mut memory.up, Direction::Up),
    };
    let now = work.now.secs();
    let trend = trend.get_or_insert_with(|| Trend { since: now, kept: Vec::new() });
    trend.follow(now, proposed, now - window(work, direction), direction);
    // The window is not full of them yet: whoever was before agreed with the present size.
    let full = trend.since <= now - window(work, direction);
    trend.kept.first().filter(|_| full).map_or(current, |(_, cautious)| *cautious)
}

impl Trend {
    /// Takes in a recommendation. The first one kept is the most cautious since `from`.
    fn follow(&mut self, now: i64, proposed: i32, from: i64, direction: Direction) {
        self.kept.retain(|(at, n)| {
            let bolder = match direction {
                Direction::Down => *n <= proposed,
                Direction::Up => *n >= proposed,
            };
            *at >= from && !bolder
        });
        self.kept.push((now, proposed));
    }
}

/// Minimum, maximum, and what the policies allow at this moment.
fn bound(work: &Work<'_>, wanted: i32, memory: &Memory, conditions: &mut List) -> i32 {
    let current = work.target.wanted;
    let (least, most) = (work.least(), work.spec.max_replicas);
    let (floor, ceiling) = match wanted > current {
        true => (least, allowed(work, Direction::Up, memory).min(most).max(current)),
        false => (allowed(work, Direction::Down, memory).max(least).min(current), most),
    };
    let result = wanted.clamp(floor.min(ceiling), ceiling);
    let (is, reason, message) = if wanted > ceiling && ceiling < most {
        (
            "True",
            "ScaleUpLimit",
            "the desired replica count is increasing faster than the maximum scale rate",
        )
    } else if wanted > ceiling {
        (
            "True",
            "TooManyReplicas",
            "the desired replica count is more than the maximum replica count",
        )
    } else if wanted < floor && floor > least {
        (
            "True",
            "ScaleDownLimit",
            "the desired replica count is decreasing faster than the maximum scale rate",
        )
    } else if wanted < floor {
        (
            "True",
            "TooFewReplicas",
            "the desired replica count is less than the minimum replica count",
        )
    } else {
        ("False", "DesiredWithinRange", "the desired count is within the acceptable range")
    };
    conditions.set("ScalingLimited", is, reason, message, work.now);
    result
}

/// The size the policies of a direction allow (`calculateScaleUpLimitWithScalingRules`).
fn allowed(work: &Work<'_>, direction: Direction, memory: &Memory) -> i32 {
    let rules = rules(work, direction);
    let select = rules.and_then(|r| r.select_policy.as_deref()).unwrap_or("Max");
    let current = work.target.wanted;
    if select == "Disabled" {
        return current;
    }
    let usual = usual(direction);
    let policies = rules.and_then(|r| r.policies.as_deref()).filter(|p| !p.is_empty());
    let sizes = policies.unwrap_or(&usual).iter().map(|policy| by(work, policy, direction, memory));
    // The policy that changes most is the highest upwards and the lowest downwards.
    let highest = (select == "Max") == (direction == Direction::Up);
    let chosen = if highest { sizes.max() } else { sizes.min() };
    chosen.unwrap_or(current)
}

fn usual(direction: Direction) -> Vec<HPAScalingPolicy> {
    let policy =
        |type_: &str, value| HPAScalingPolicy { type_: type_.into(), value, period_seconds: 15 };
    match direction {
        Direction::Up => vec![policy("Percent", 100), policy("Pods", 4)],
        Direction::Down => vec![policy("Percent", 100)],
    }
}

fn by(work: &Work<'_>, policy: &HPAScalingPolicy, direction: Direction, memory: &Memory) -> i32 {
    let from = work.now.secs() - i64::from(policy.period_seconds);
    let sign = if direction == Direction::Up { 1 } else { -1 };
    let recent = memory.changes.iter().filter(|(at, n)| *at > from && n.signum() == sign);
    let changed: i32 = recent.map(|(_, n)| *n).sum();
    let start = work.target.wanted - changed;
    if policy.type_ == "Pods" {
        return start + sign * policy.value;
    }
    let part = 1.0 + f64::from(sign * policy.value) / 100.0;
    let size = f64::from(start) * part;
    if direction == Direction::Up { size.ceil() as i32 } else { size.floor() as i32 }
}

/// Changes that no policy looks back on any more.
fn forget(work: &Work<'_>, memory: &mut Memory) {
    let longest = [Direction::Up, Direction::Down].into_iter().flat_map(|direction| {
        let policies = rules(work, direction).and_then(|r| r.policies.clone());
        policies.unwrap_or_else(|| usual(direction))
    });
    let longest = longest.map(|p| i64::from(p.period_seconds)).max().unwrap_or(0);
    let from = Time::from_secs(work.now.secs() - longest).secs();
    memory.changes.retain(|(at, _)| *at > from);
}
