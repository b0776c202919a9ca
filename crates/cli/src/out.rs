//! Standard output, tables, and the wording of sizes and times.

use std::io::{IsTerminal, Write};

/// Writes to standard output. When nobody reads any more the program ends, as one killed by SIGPIPE would.
pub fn write(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    if stdout.write_all(bytes).and_then(|()| stdout.flush()).is_err() {
        std::process::exit(141);
    }
}

/// As [`write`], a line.
pub fn line(text: impl AsRef<str>) {
    write(format!("{}\n", text.as_ref()).as_bytes());
}

/// Writes to standard error; nobody reading is no reason to stop.
pub fn write_err(bytes: &[u8]) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(bytes).and_then(|()| stderr.flush());
}

pub fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Columns padded to the widest cell and `gap` more, at least `least` wide; the last is not padded
/// (Go's `text/tabwriter` as docker and kubectl set it up).
pub fn columns(rows: &[Vec<String>], least: usize, gap: usize, pad_last: bool) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let wide =
        |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> =
        (0..count).map(|at| (wide(at).unwrap_or_default() + gap).max(least)).collect();
    let mut out = String::new();
    for row in rows {
        let mut text = String::new();
        for (at, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if at + 1 < row.len() || pad_last {
                let missing = widths[at].saturating_sub(cell.chars().count());
                text.extend(std::iter::repeat_n(' ', missing));
            }
        }
        out.push_str(&text);
        out.push('\n');
    }
    out
}

/// docker's tables: 10 wide at least, three spaces between (`cli/command/formatter/formatter.go`), the last column
/// is not padded.
pub fn docker_table(rows: &[Vec<String>]) -> String {
    columns(rows, 10, 3, false)
}

/// kubectl's tables: three spaces between (`k8s.io/cli-runtime/pkg/printers/tabwriter.go`).
pub fn kube_table(rows: &[Vec<String>]) -> String {
    columns(rows, 6, 3, false)
}

/// `1.23MB`, powers of 1000 (docker/go-units `HumanSizeWithPrecision`).
pub fn size(bytes: f64, digits: usize) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB"], digits)
}

/// `1.5GiB`, powers of 1024.
pub fn size_binary(bytes: f64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"], 4)
}

fn scaled(mut value: f64, base: f64, units: &[&str], digits: usize) -> String {
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    format!("{}{}", significant(value, digits), units[unit])
}

/// Go's `%.*g`.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let mut before = 1_usize;
    let mut bound = 10.0;
    while value.abs() >= bound {
        bound *= 10.0;
        before += 1;
    }
    let text = format!("{value:.*}", digits.saturating_sub(before));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// `About an hour` (docker/go-units `HumanDuration`).
pub fn duration(seconds: i64) -> String {
    let plural = |n: i64, unit: &str| format!("{n} {unit}");
    match seconds {
        i64::MIN..1 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => plural(seconds, "seconds"),
        60..120 => "About a minute".into(),
        120..3_600 => plural(seconds / 60, "minutes"),
        3_600..5_400 => "About an hour".into(),
        5_400..172_800 => plural((seconds + 1_800) / 3_600, "hours"),
        172_800..1_209_600 => plural(seconds / 86_400, "days"),
        1_209_600..5_184_000 => plural(seconds / 604_800, "weeks"),
        5_184_000..63_072_000 => plural(seconds / 2_592_000, "months"),
        _ => plural(seconds / 31_536_000, "years"),
    }
}

/// `3m12s` (k8s.io/apimachinery `pkg/util/duration`).
pub fn age(seconds: i64) -> String {
    let two = |big: i64, big_unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{big}{big_unit}"),
        small => format!("{big}{big_unit}{small}{small_unit}"),
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        i64::MIN..-1 => "<invalid>".into(),
        -1..120 => format!("{}s", seconds.max(0)),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// Seconds since a time of RFC 3339; nothing when it is none.
pub fn seconds_since(time: &str) -> Option<i64> {
    let then: jiff::Timestamp = time.parse().ok()?;
    Some(jiff::Timestamp::now().as_second() - then.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_as_go_units_words_them() {
        assert_eq!(size(0.0, 3), "0B");
        assert_eq!(size(1234.0, 3), "1.23kB");
        assert_eq!(size(1_000_000.0, 4), "1MB");
        assert_eq!(size(117_000_000.0, 3), "117MB");
        assert_eq!(size_binary(24_858_066_944.0), "23.15GiB");
        assert_eq!(duration(0), "Less than a second");
        assert_eq!(duration(5_399), "About an hour");
        assert_eq!(duration(86_400 * 3), "3 days");
    }

    #[test]
    fn ages_as_kubectl_words_them() {
        assert_eq!(age(119), "119s");
        assert_eq!(age(125), "2m5s");
        assert_eq!(age(600), "10m");
        assert_eq!(age(3 * 3600 + 300), "3h5m");
        assert_eq!(age(86_400 * 400), "400d");
    }

    #[test]
    fn columns_align() {
        let rows = vec![vec!["NAME".into(), "X".into()], vec!["a-longer".into(), "y".into()]];
        assert_eq!(columns(&rows, 0, 2, false), "NAME      X\na-longer  y\n");
    }
}
