//! The standard cron format of five fields, as robfig/cron v3 `parser.go` reads it; its messages.
//! Only whether a schedule is valid: the controller computes times.

const NAMED: &[&str] =
    &["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
const MONTHS: &[&str] =
    &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

struct Bounds {
    from: u32,
    to: u32,
    names: &'static [&'static str],
}

const FIELDS: [Bounds; 5] = [
    Bounds { from: 0, to: 59, names: &[] },
    Bounds { from: 0, to: 23, names: &[] },
    Bounds { from: 1, to: 31, names: &[] },
    Bounds { from: 1, to: 12, names: MONTHS },
    Bounds { from: 0, to: 6, names: DAYS },
];

/// # Errors
/// Why it is not a schedule.
pub(crate) fn parse(text: &str) -> Result<(), String> {
    if text.starts_with('@') {
        let every = text.strip_prefix("@every ");
        return match every {
            Some(span) if meta::GoDuration::parse(span).is_ok() => Ok(()),
            Some(_) => Err(format!("failed to parse duration {text}")),
            None if NAMED.contains(&text) => Ok(()),
            None => Err(format!("unrecognized descriptor: {text}")),
        };
    }
    let fields: Vec<_> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let shown = fields.join(" ");
        return Err(format!("expected exactly 5 fields, found {}: [{shown}]", fields.len()));
    }
    fields.iter().zip(&FIELDS).try_for_each(|(text, bounds)| field(text, bounds))
}

fn field(text: &str, bounds: &Bounds) -> Result<(), String> {
    text.split(',').filter(|part| !part.is_empty()).try_for_each(|part| range(part, bounds))
}

/// `3`, `1-5`, `*/2`, `mon-fri`
fn range(text: &str, bounds: &Bounds) -> Result<(), String> {
    let (span, step) = match text.split_once('/') {
        Some((_, step)) if step.contains('/') => return Err(format!("too many slashes: {text}")),
        Some((span, step)) => (span, Some(number(step)?)),
        None => (text, None),
    };
    let (start, end) = match span.split_once('-') {
        _ if matches!(span, "*" | "?") => (bounds.from, bounds.to),
        Some((_, end)) if end.contains('-') => return Err(format!("too many hyphens: {text}")),
        Some((start, end)) => (named(start, bounds)?, named(end, bounds)?),
        None => {
            let start = named(span, bounds)?;
            (start, if step.is_some() { bounds.to } else { start })
        }
    };
    let Bounds { from, to, .. } = bounds;
    if start < *from {
        return Err(format!("beginning of range ({start}) below minimum ({from}): {text}"));
    }
    if end > *to {
        return Err(format!("end of range ({end}) above maximum ({to}): {text}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    match step {
        Some(0) => Err(format!("step of range should be a positive number: {text}")),
        _ => Ok(()),
    }
}

fn named(text: &str, bounds: &Bounds) -> Result<u32, String> {
    let lower = text.to_lowercase();
    match bounds.names.iter().position(|name| *name == lower) {
        Some(at) => Ok(bounds.from + u32::try_from(at).unwrap_or_default()),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, String> {
    let why = || {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
    };
    text.parse().map_err(|_| why())
}
