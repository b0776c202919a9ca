//! Go's `time.Duration` as `metav1.Duration` writes it: `1h30m0s`, `1.5s`, `300ms`.

use std::fmt;

/// Nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct GoDuration(pub i64);

const UNITS: &[(&str, i64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl GoDuration {
    /// `time.ParseDuration`, with its error texts.
    pub fn parse(text: &str) -> Result<Self, String> {
        let invalid = || format!("time: invalid duration {text:?}");
        let negative = text.starts_with('-');
        let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
        if rest == "0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let number = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
            let (digits, after) = rest.split_at(number);
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
            if whole.len() + fraction.len() == 0 || fraction.contains('.') || digits.len() > 38 {
                return Err(invalid());
            }
            let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            if unit.is_empty() {
                return Err(format!("time: missing unit in duration {text:?}"));
            }
            let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
            let scale =
                scale.ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))?;
            total += nanos(whole, fraction, scale).ok_or_else(invalid)?;
            if total > i128::from(i64::MAX) + i128::from(negative) {
                return Err(invalid());
            }
            rest = after;
        }
        let signed = if negative { -total } else { total };
        i64::try_from(signed).map(Self).map_err(|_| invalid())
    }
}

fn nanos(whole: &str, fraction: &str, scale: i64) -> Option<i128> {
    let parse = |s: &str| if s.is_empty() { Some(0) } else { s.parse::<i128>().ok() };
    let fraction = &fraction[..fraction.len().min(18)];
    let part = parse(fraction)? * i128::from(scale) / 10i128.pow(fraction.len() as u32);
    Some(parse(whole)?.checked_mul(scale.into())? + part)
}

/// Go's `Duration.String`.
impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        match total {
            0 => return f.write_str("0s"),
            1..1_000 => return write!(f, "{total}ns"),
            1_000..1_000_000 => return write!(f, "{}\u{b5}s", decimal(total, 1_000)),
            1_000_000..1_000_000_000 => return write!(f, "{}ms", decimal(total, 1_000_000)),
            _ => {}
        }
        let seconds = total / 1_000_000_000;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if seconds >= 60 {
            write!(f, "{minutes}m")?;
        }
        write!(f, "{}s", decimal(total % 60_000_000_000, 1_000_000_000))
    }
}

/// `value / unit` with as many decimals as needed.
fn decimal(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0width$}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::GoDuration;

    #[test]
    fn texts() {
        let cases = [
            ("0", "0s"),
            ("90s", "1m30s"),
            ("1.5h", "1h30m0s"),
            ("300ms", "300ms"),
            ("1h", "1h0m0s"),
            ("-1.5s", "-1.5s"),
            ("1us", "1\u{b5}s"),
            ("2h45m30.5s", "2h45m30.5s"),
        ];
        for (given, want) in cases {
            assert_eq!(GoDuration::parse(given).map(|d| d.to_string()).as_deref(), Ok(want));
        }
        for bad in ["", "5", "x", "1x", ".s", "99999999999h", "--1s", "1..s"] {
            assert!(GoDuration::parse(bad).is_err(), "{bad}");
        }
    }
}
