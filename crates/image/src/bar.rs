//! Docker's progress bar text, which older clients print as it comes.
//! Upstream: moby `pkg/jsonmessage/jsonmessage.go`, go-units `size.go`.

/// `[=====>      ]  1.2MB/3.4MB`, or only the amount when the total is not known.
pub(crate) fn text(current: u64, total: Option<u64>) -> String {
    let Some(total) = total.filter(|t| *t >= current && *t > 0) else {
        return format!("{:>8}", human(current));
    };
    let done = usize::try_from(current * 50 / total).unwrap_or(50);
    let head = if done < 50 { ">" } else { "" };
    let rest = 50usize.saturating_sub(done + head.len());
    format!(
        "[{}{head}{}] {:>8}/{}",
        "=".repeat(done),
        " ".repeat(rest),
        human(current),
        human(total)
    )
}

/// Decimal units with four significant digits.
pub(crate) fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if value >= 1000.0 { 0 } else { 4 - (value.max(1.0).log10() as usize + 1) };
    let mut text = format!("{value:.digits$}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    format!("{text}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    #[test]
    fn as_docker_prints_it() {
        assert_eq!(super::human(1234), "1.234kB");
        assert_eq!(super::human(2_000_000), "2MB");
        assert_eq!(super::human(999), "999B");
        assert_eq!(super::text(0, None), "      0B");
        let half = super::text(50, Some(100));
        assert_eq!(half, format!("[{}>{}]      50B/100B", "=".repeat(25), " ".repeat(24)));
        assert!(super::text(100, Some(100)).contains(&"=".repeat(50)));
    }
}
