//! Sizes as people write them.

/// `10m`, `1.5g`, `512`, `64kb`: bytes, in powers of 1024 (go-units `RAMInBytes`).
pub fn bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits_end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits_end);
    let unit = unit.trim().trim_end_matches('b').trim_end_matches('i');
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    let value: f64 = number.parse().ok()?;
    let total = value * f64::from(1_u32 << (shift % 30)) * f64::from(1_u32 << (shift / 30 * 30));
    (0.0..9.0e18).contains(&total).then_some(total as u64)
}

/// Go's durations in whole or broken units (`10m`, `1h30m`, `1.5s`): nanoseconds.
pub fn duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        let tail = &rest[digits..];
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        total += value * unit(&tail[..end])?;
        rest = &tail[end..];
    }
    (!text.is_empty() && total < 9.0e18).then_some(total as i64)
}

fn unit(name: &str) -> Option<f64> {
    Some(match name {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes() {
        for (text, n) in
            [("512", 512), ("10m", 10 << 20), ("1.5g", 3 << 29), ("64KB", 65536), ("2TiB", 2 << 40)]
        {
            assert_eq!(super::bytes(text), Some(n), "{text}");
        }
        for bad in ["", "m", "-1", "1x", "1e400"] {
            assert_eq!(super::bytes(bad), None, "{bad}");
        }
    }
}
