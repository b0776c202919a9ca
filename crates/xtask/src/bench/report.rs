//! What was seen: aligned lines as they come, and the same as JSON at the end.

use super::process::Memory;
use super::stats::Sample;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// The lines of one run.
pub struct Report {
    name: &'static str,
    lines: Vec<Value>,
}

/// A measured value with its unit.
#[derive(Debug, Clone, Copy)]
pub enum Figure {
    /// Things a second: more is better.
    Rate(f64),
    /// Less is better, as with all that follow.
    Time(Duration),
    Bytes(u64),
    /// Of one core, in percent.
    Core(f64),
    Count(u64),
}

impl Report {
    pub(super) fn begin(name: &'static str) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        println!("bench {name} on {cores} cores; one run, so compare lines with each other");
        Self { name, lines: Vec::new() }
    }

    /// A figure that stands alone.
    pub fn figure(&mut self, what: &str, figure: Figure) {
        self.line(what, figure, "");
        self.lines.push(json!({ "what": what, "value": figure.number(), "unit": figure.unit() }));
    }

    /// A figure beside a peer's: the ratio says how many times better ours is (below 1: worse).
    pub fn against(&mut self, what: &str, ours: Figure, peer: &str, theirs: Figure) {
        let ratio = better(ours, theirs);
        self.line(what, ours, &format!("{peer} {} -> {ratio:.2}x", theirs.text()));
        self.lines.push(json!({
            "what": what, "value": ours.number(), "unit": ours.unit(),
            "peer": peer, "theirs": theirs.number(), "ratio": ratio,
        }));
    }

    /// Median, 90th and 99th percentile of a sample.
    pub fn sample(&mut self, what: &str, sample: &Sample) {
        let [p90, p99] = [90.0, 99.0].map(|p| sample.percentile(p));
        let rest = format!(
            "p90 {}, p99 {}, {} times",
            Figure::Time(p90).text(),
            Figure::Time(p99).text(),
            sample.len()
        );
        self.line(what, Figure::Time(sample.median()), &rest);
        self.lines.push(json!({
            "what": what, "value": sample.median().as_secs_f64(), "unit": "s",
            "p90": p90.as_secs_f64(), "p99": p99.as_secs_f64(), "times": sample.len(),
        }));
    }

    /// Resident memory and the process's own part of it.
    pub fn memory(&mut self, what: &str, memory: Memory) {
        self.line(
            what,
            Figure::Bytes(memory.resident),
            &format!("its own {}", Figure::Bytes(memory.own).text()),
        );
        self.lines.push(json!({
            "what": what, "value": memory.resident, "unit": "B", "own": memory.own,
        }));
    }

    /// A sentence: what could not be measured and why, or a condition of the run.
    pub fn note(&mut self, text: &str) {
        println!("  {text}");
        self.lines.push(json!({ "note": text }));
    }

    fn line(&self, what: &str, figure: Figure, rest: &str) {
        println!("  {what:<52} {:>12}   {rest}", figure.text());
    }

    pub(super) fn end(self, json: &Path) -> Result<(), String> {
        let text = json!({ "bench": self.name, "lines": self.lines }).to_string();
        std::fs::write(json, text).map_err(|e| format!("write `{}`: {e}", json.display()))?;
        println!("the same as JSON: {}", json.display());
        Ok(())
    }
}

/// How many times better `ours` is.
pub fn better(ours: Figure, theirs: Figure) -> f64 {
    let (ours_n, theirs_n) = (ours.number().max(1e-12), theirs.number().max(1e-12));
    if let Figure::Rate(_) = ours { ours_n / theirs_n } else { theirs_n / ours_n }
}

impl Figure {
    /// In the base unit: seconds, bytes, percent.
    pub fn number(self) -> f64 {
        match self {
            Self::Rate(n) | Self::Core(n) => n,
            Self::Time(t) => t.as_secs_f64(),
            Self::Bytes(n) | Self::Count(n) => n as f64,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Rate(_) => "1/s",
            Self::Time(_) => "s",
            Self::Bytes(_) => "B",
            Self::Core(_) => "% of a core",
            Self::Count(_) => "",
        }
    }

    pub fn text(self) -> String {
        match self {
            Self::Rate(n) if n < 100.0 => format!("{n:.1}/s"),
            Self::Rate(n) => format!("{n:.0}/s"),
            Self::Time(t) if t < Duration::from_millis(1) => {
                format!("{:.1} us", t.as_secs_f64() * 1e6)
            }
            Self::Time(t) if t < Duration::from_secs(1) => {
                format!("{:.1} ms", t.as_secs_f64() * 1e3)
            }
            Self::Time(t) => format!("{:.2} s", t.as_secs_f64()),
            Self::Bytes(n) => format!("{:.1} MB", n as f64 / 1e6),
            Self::Core(n) => format!("{n:.2} %"),
            Self::Count(n) => n.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_one_is_in_our_favour() {
        assert_eq!(better(Figure::Rate(20.0), Figure::Rate(10.0)), 2.0);
        let ms = |n| Figure::Time(Duration::from_millis(n));
        assert_eq!(better(ms(10), ms(20)), 2.0);
        assert_eq!(ms(1500).text(), "1.50 s");
        assert_eq!(Figure::Bytes(47_900_000).text(), "47.9 MB");
    }
}
