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
