//! Readings of one counter, and the rate between two of them.

use meta::Time;
use std::time::Duration;

/// A CPU counter at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub at: Time,
    pub cpu_nanos: u64,
}

/// How fast a counter went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Nanoseconds of CPU per second.
    pub nanos_per_sec: u64,
    pub window: Duration,
}

/// Readings of the last minute, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<Sample>);

/// Rates are taken over this much where possible: the autoscaler's own period.
const WINDOW: Duration = Duration::from_secs(15);
/// Shorter than this is noise.
const LEAST: Duration = Duration::from_millis(100);
/// Readings closer than this to the last kept one are not kept.
const APART: Duration = Duration::from_secs(3);
/// Older readings say nothing about now.
pub(crate) const KEPT: Duration = Duration::from_secs(60);

impl Samples {
    /// Of something that began at zero; its beginning counts as a reading while it is recent.
    pub fn since(born: Sample, now: Time) -> Self {
        Self(if between(born.at, now) <= KEPT { vec![born] } else { Vec::new() })
    }

    /// The rate up to `now`.
    pub fn rate(&self, now: Sample) -> Option<Rate> {
        let usable = |s: &&Sample| (LEAST..=KEPT).contains(&between(s.at, now.at));
        let wide = |s: &&Sample| between(s.at, now.at) >= WINDOW;
        let mut usable_newest_first = self.0.iter().rev().filter(usable);
        let base = usable_newest_first.clone().find(wide);
        let base = base.or_else(|| usable_newest_first.next_back())?;
        let window = between(base.at, now.at);
        let used = u128::from(now.cpu_nanos.saturating_sub(base.cpu_nanos));
        let per_sec = used * 1_000_000_000 / window.as_nanos();
        Some(Rate { nanos_per_sec: u64::try_from(per_sec).unwrap_or(u64::MAX), window })
    }

    pub fn keep(&mut self, now: Sample) {
        self.0.retain(|s| between(s.at, now.at) <= KEPT);
        if self.0.last().is_none_or(|last| between(last.at, now.at) >= APART) {
            self.0.push(now);
        }
    }
}

fn between(from: Time, to: Time) -> Duration {
    Duration::from_micros(u64::try_from(to.0 - from.0).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64, cpu_ms: u64) -> Sample {
        Sample { at: Time(ms * 1000), cpu_nanos: cpu_ms * 1_000_000 }
    }

    #[test]
    fn the_first_reading_of_something_old_has_no_rate() {
        let samples = Samples::since(at(0, 0), Time(120_000_000));
        assert_eq!(samples.rate(at(120_000, 5000)), None);
    }

    #[test]
    fn something_young_is_measured_from_its_start() {
        let samples = Samples::since(at(0, 0), Time(2_000_000));
        let rate = samples.rate(at(2000, 1000)).unwrap();
        assert_eq!((rate.nanos_per_sec, rate.window.as_secs()), (500_000_000, 2));
    }

    #[test]
    fn the_newest_reading_that_is_old_enough_counts() {
        let mut samples = Samples::default();
        for second in 0..40 {
            samples.keep(at(second * 1000, u64::try_from(second).unwrap() * 100));
        }
        assert!(samples.0.len() <= 14, "{samples:?}");
        let rate = samples.rate(at(40_000, 4000 + 900)).unwrap();
        assert!((15..=18).contains(&rate.window.as_secs()), "{rate:?}");
        assert!(rate.nanos_per_sec > 150_000_000);
    }

    #[test]
    fn a_counter_or_clock_that_went_back_does_no_harm() {
        let mut samples = Samples::default();
        samples.keep(at(10_000, 500));
        assert_eq!(samples.rate(at(9000, 400)), None);
        assert_eq!(samples.rate(at(12_000, 400)).unwrap().nanos_per_sec, 0);
    }
}
