//! Points in time with the nanoseconds that Docker's API shows.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Nanoseconds since the Unix epoch; zero means "never".
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Stamp(pub i64);

impl Stamp {
    pub const NEVER: Stamp = Stamp(0);

    /// The wall clock.
    pub fn now() -> Self {
        Self::from_system(SystemTime::now())
    }

    pub fn from_system(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    pub const fn is_never(self) -> bool {
        self.0 == 0
    }

    pub const fn plus(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Go's RFC3339Nano: trailing zeros of the fraction are cut; never is the year 1.
    pub fn rfc3339_nano(self) -> String {
        if self.is_never() {
            return "0001-01-01T00:00:00Z".to_owned();
        }
        let stamp = jiff::Timestamp::from_nanosecond(i128::from(self.0));
        let base = stamp.unwrap_or(jiff::Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H:%M:%S");
        let fraction = self.0.rem_euclid(1_000_000_000);
        if fraction == 0 {
            return format!("{base}Z");
        }
        let digits = format!("{fraction:09}");
        format!("{base}.{}Z", digits.trim_end_matches('0'))
    }

    /// Always nine digits, as log timestamps have them.
    pub fn rfc3339_fixed(self) -> String {
        let stamp = jiff::Timestamp::from_nanosecond(i128::from(self.0));
        let base = stamp.unwrap_or(jiff::Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H:%M:%S");
        format!("{base}.{:09}Z", self.0.rem_euclid(1_000_000_000))
    }

    /// An RFC 3339 time; `None` when `text` is not one. The year 1 is never.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with("0001-01-01T00:00:00") {
            return Some(Self::NEVER);
        }
        let stamp: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(stamp.as_nanosecond()).ok().map(Self)
    }

    /// `1700000000`, `1700000000.000000005` or RFC 3339: what `since` and `until` carry.
    pub fn parse_query(text: &str) -> Option<Self> {
        let (secs, fraction) = text.split_once('.').unwrap_or((text, ""));
        let Ok(secs) = secs.parse::<i64>() else {
            return Self::parse(text);
        };
        let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        let nanos: i64 = digits.parse().ok()?;
        Some(Self::from_secs(secs).plus(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::Stamp;

    #[test]
    fn formats_like_go() {
        assert_eq!(Stamp::NEVER.rfc3339_nano(), "0001-01-01T00:00:00Z");
        assert_eq!(Stamp::from_secs(1).rfc3339_nano(), "1970-01-01T00:00:01Z");
        assert_eq!(Stamp(1_500_000_000).rfc3339_nano(), "1970-01-01T00:00:01.5Z");
    }

    #[test]
    fn parses_queries() {
        assert_eq!(Stamp::parse_query("1.5"), Some(Stamp(1_500_000_000)));
        assert_eq!(Stamp::parse_query("1970-01-01T00:00:01Z"), Some(Stamp::from_secs(1)));
        assert_eq!(Stamp::parse_query("nonsense"), None);
    }
}
