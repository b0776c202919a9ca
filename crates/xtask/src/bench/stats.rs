//! Figures made of many measurements.

use std::time::Duration;

/// Durations of one thing done many times.
#[derive(Debug, Clone, Default)]
pub struct Sample(Vec<Duration>);

impl Sample {
    pub fn push(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The `p`th percentile (nearest rank); zero when nothing was measured.
    pub fn percentile(&self, p: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (p / 100.0 * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    pub fn median(&self) -> Duration {
        self.percentile(50.0)
    }
}

impl FromIterator<Duration> for Sample {
    fn from_iter<I: IntoIterator<Item = Duration>>(from: I) -> Self {
        Self(from.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let sample: Sample = (1..=200).rev().map(Duration::from_millis).collect();
        let at = |p| sample.percentile(p).as_millis();
        assert_eq!((at(50.0), at(99.0), at(100.0), at(0.0)), (100, 198, 200, 1));
        assert_eq!((Sample::default().median(), sample.len()), (Duration::ZERO, 200));
    }
}
