//! RFC 3339 times as Go's `time.Parse` reads them, with its error texts.

/// A layout's parts: what Go calls them in errors, and the text between.
const DATE: &[(&str, usize, &str)] = &[
    ("2006", 4, "-"),
    ("01", 2, "-"),
    ("02", 2, "T"),
    ("15", 2, ":"),
    ("04", 2, ":"),
    ("05", 2, ""),
];

pub(crate) const SECONDS: &str = "2006-01-02T15:04:05Z07:00";
pub(crate) const MICROS: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Microseconds since the epoch. With [`MICROS`] exactly six decimals are demanded.
pub(crate) fn parse(text: &str, layout: &str) -> Result<i64, String> {
    let wrong = |rest: &str, element: &str| {
        format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {element:?}")
    };
    let range = |what: &str| format!("parsing time {text:?}: {what} out of range");
    let mut rest = text;
    let mut numbers = [0i64; 6];
    for (at, (element, width, separator)) in DATE.iter().enumerate() {
        let digits = rest.bytes().take(*width).take_while(u8::is_ascii_digit).count();
        if digits < *width {
            return Err(wrong(rest, element));
        }
        numbers[at] = rest[..*width].parse().unwrap_or_default();
        rest = &rest[*width..];
        rest = rest.strip_prefix(separator).ok_or_else(|| wrong(rest, separator))?;
    }
    let micros = layout == MICROS;
    let (nanos, after) = fraction(rest, micros).ok_or_else(|| wrong(rest, ".000000"))?;
    let offset = zone(after).ok_or_else(|| wrong(after, "Z07:00"))?;
    let [year, month, day, hour, minute, second] = numbers;
    let checks = [
        ("month", (1..=12).contains(&month)),
        ("day", day >= 1 && day <= days_in(year, month)),
        ("hour", hour < 24),
        ("minute", minute < 60),
        ("second", second < 60),
    ];
    if let Some((what, _)) = checks.iter().find(|(_, fine)| !fine) {
        return Err(range(what));
    }
    let seconds = days_from_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Ok((seconds - offset) * 1_000_000 + nanos / 1000)
}

/// Decimals after the seconds, in nanoseconds; the layout without decimals takes any number of them.
fn fraction(rest: &str, exactly_six: bool) -> Option<(i64, &str)> {
    let after = rest.strip_prefix(['.', ',']);
    let digits = after.map_or(0, |s| s.bytes().take_while(u8::is_ascii_digit).count());
    match after {
        Some(after) if digits > 0 && (!exactly_six || digits == 6) => {
            let shown = &after[..digits.min(9)];
            let nanos = shown.parse::<i64>().ok()? * 10i64.pow(9 - shown.len() as u32);
            Some((nanos, &after[digits..]))
        }
        _ if exactly_six => None,
        _ => Some((0, rest)),
    }
}

/// `Z` or `+01:00`, in seconds; nothing may follow.
fn zone(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = match text.as_bytes() {
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let number = |range: std::ops::Range<usize>| {
        text.get(range).filter(|s| s.bytes().all(|b| b.is_ascii_digit()))?.parse::<i64>().ok()
    };
    let (hours, minutes) = (number(1..3)?, number(4..6)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant's civil calendar arithmetic).
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let month = (month + 9) % 12;
    let of_year = (153 * month + 2) / 5 + day - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

/// Go's zero time, `0001-01-01T00:00:00Z`, which is written as null.
pub(crate) const ZERO: i64 = -62_135_596_800_000_000;

/// `2026-01-02T03:04:05Z`, with six decimals when `micro`. Years beyond four digits are not written by Go
/// either: they are clamped.
pub(crate) fn format(micros: i64, micro: bool) -> String {
    use std::fmt::Write;
    let seconds = micros.div_euclid(1_000_000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let mut out = String::with_capacity(27);
    let year = year.clamp(0, 9999);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if micro {
        let _ = write!(out, ".{:06}", micros.rem_euclid(1_000_000));
    }
    out.push('Z');
    out
}

/// The inverse of [`days_from_epoch`].
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{SECONDS, format, parse};
    use meta::Time;

    #[test]
    fn dates_agree_with_the_calendar_of_meta() {
        for day in (-25_000..40_000).step_by(13) {
            let micros = (day * 86_400 + 12_345) * 1_000_000;
            assert_eq!(format(micros, false), Time(micros).rfc3339());
            assert_eq!(parse(&format(micros, false), SECONDS), Ok(micros));
        }
        assert_eq!(format(-1, true), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn go_texts() {
        let cases = [
            ("2026-13-01T00:00:00Z", "parsing time \"2026-13-01T00:00:00Z\": month out of range"),
            ("2026-02-30T00:00:00Z", "parsing time \"2026-02-30T00:00:00Z\": day out of range"),
            (
                "2026-01-01",
                "parsing time \"2026-01-01\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"T\"",
            ),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text, SECONDS).unwrap_err(), want);
        }
        assert_eq!(parse("1970-01-01T01:00:00.5+01:00", SECONDS), Ok(500_000));
    }
}
