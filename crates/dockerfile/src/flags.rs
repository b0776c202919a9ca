//! `--name=value` flags before an instruction's arguments (BuildKit `instructions/bflag.go`,
//! `commands_runmount.go`).

use crate::instruction::{MountKind, MountSpec, Sharing};

/// Flags in order, and the rest of the line.
pub struct Split<'a> {
    pub flags: Vec<(String, Option<String>)>,
    pub rest: &'a str,
}

/// Takes the flags off the front; quotes in them go, escaped characters lose the escape.
pub fn split(text: &str, escape: char) -> Split<'_> {
    let (mut flags, mut rest) = (Vec::new(), text.trim_start());
    while rest.starts_with("--") {
        let (word, after) = first_word(rest, escape);
        rest = after.trim_start();
        if word == "--" {
            break;
        }
        let body = &word[2..];
        flags.push(match body.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (body.to_owned(), None),
        });
    }
    Split { flags, rest }
}

fn first_word(text: &str, escape: char) -> (String, &str) {
    let (mut word, mut quote) = (String::new(), None);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (word, &text[at..]),
            None if matches!(c, '"' | '\'') => quote = Some(c),
            Some(q) if q == c => quote = None,
            _ if c == escape => word.extend(chars.next().map(|(_, c)| c)),
            _ => word.push(c),
        }
    }
    (word, "")
}

/// The values by name; unknown and doubled flags are errors.
pub struct Flags {
    given: Vec<(String, Option<String>)>,
}

impl Flags {
    pub fn new(
        given: Vec<(String, Option<String>)>,
        known: &[&str],
        repeatable: &[&str],
    ) -> Result<Self, String> {
        let mut seen: Vec<&str> = Vec::new();
        for (name, _) in &given {
            if repeatable.contains(&name.as_str()) {
                continue;
            }
            if !known.contains(&name.as_str()) {
                return Err(format!("unknown flag: --{name}"));
            }
            if seen.contains(&name.as_str()) {
                return Err(format!("duplicate flag specified: {name}"));
            }
            seen.push(name);
        }
        Ok(Self { given })
    }

    pub fn text(&self, name: &str) -> Result<Option<String>, String> {
        match self.given.iter().find(|(n, _)| n == name) {
            Some((_, Some(value))) => Ok(Some(value.clone())),
            Some((_, None)) => Err(format!("missing a value on flag: {name}")),
            None => Ok(None),
        }
    }

    pub fn all(&self, name: &str) -> Result<Vec<String>, String> {
        let of = self.given.iter().filter(|(n, _)| n == name);
        of.map(|(_, v)| v.clone().ok_or_else(|| format!("missing a value on flag: {name}")))
            .collect()
    }

    pub fn switch(&self, name: &str) -> Result<Option<bool>, String> {
        match self.given.iter().find(|(n, _)| n == name) {
            Some((_, value)) => truth(name, value.as_deref()).map(Some),
            None => Ok(None),
        }
    }

    /// A duration in nanoseconds; 0 when absent.
    pub fn duration(&self, name: &str) -> Result<i64, String> {
        match self.text(name)? {
            Some(text) => duration(&text)
                .ok_or_else(|| format!("time: invalid duration \"{text}\" for flag --{name}")),
            None => Ok(0),
        }
    }
}

fn truth(name: &str, value: Option<&str>) -> Result<bool, String> {
    match value.map(str::to_ascii_lowercase).as_deref() {
        None | Some("true" | "1" | "") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(format!("expecting boolean value for flag {name}, not: {other}")),
    }
}

/// Go's `time.ParseDuration` for what is not negative.
pub fn duration(text: &str) -> Option<i64> {
    const UNITS: &[(&str, f64)] = &[
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 6e10),
        ("h", 3.6e12),
    ];
    if text == "0" {
        return Some(0);
    }
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit_end = rest[number..]
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .map_or(rest.len(), |n| number + n);
        let unit = UNITS.iter().find(|(name, _)| *name == &rest[number..unit_end])?;
        sum += rest[..number].parse::<f64>().ok()? * unit.1;
        rest = &rest[unit_end..];
    }
    (!text.is_empty() && sum < 9e18).then_some(sum as i64)
}

/// One `--mount` value.
pub fn mount(text: &str) -> Result<MountSpec, String> {
    let mut spec = MountSpec::default();
    let mut required = None;
    for field in text.split(',').filter(|f| !f.is_empty()) {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (field, None),
        };
        field_of(&mut spec, &mut required, &key.to_ascii_lowercase(), value)
            .map_err(|e| format!("invalid mount '{text}': {e}"))?;
    }
    spec.required = required.unwrap_or(false);
    let targetless = matches!(spec.kind, MountKind::Secret | MountKind::Ssh);
    if spec.target.is_none() && !targetless {
        return Err(format!("invalid mount '{text}': invalid mount target \"\""));
    }
    Ok(spec)
}

fn field_of(
    spec: &mut MountSpec,
    required: &mut Option<bool>,
    key: &str,
    value: Option<&str>,
) -> Result<(), String> {
    let text = || {
        value
            .map(str::to_owned)
            .ok_or_else(|| format!("invalid field '{key}' must be a key=value pair"))
    };
    let number =
        || text()?.parse::<u32>().map_err(|_| format!("invalid value for {key}: must be a number"));
    match key {
        "type" => spec.kind = kind(&text()?)?,
        "id" => spec.id = Some(text()?),
        "from" => spec.from = Some(text()?),
        "source" | "src" => spec.source = Some(text()?),
        "target" | "dst" | "destination" => spec.target = Some(text()?),
        "readonly" | "ro" => spec.writable = Some(!truth(key, value)?),
        "readwrite" | "rw" => spec.writable = Some(truth(key, value)?),
        "required" => *required = Some(truth(key, value)?),
        "env" => spec.env = Some(text()?),
        "sharing" => spec.sharing = sharing(&text()?)?,
        "size" => {
            let size = text()?;
            spec.size = Some(bytes(&size).ok_or_else(|| format!("invalid size: '{size}'"))?);
        }
        "mode" => {
            let mode = text()?;
            let parsed = u32::from_str_radix(&mode, 8).ok();
            spec.mode = Some(parsed.ok_or_else(|| format!("invalid value {mode} for mode"))?);
        }
        "uid" => spec.uid = Some(number()?),
        "gid" => spec.gid = Some(number()?),
        _ => return Err(format!("unexpected key '{key}' in '{key}'")),
    }
    Ok(())
}

fn kind(text: &str) -> Result<MountKind, String> {
    match text.to_ascii_lowercase().as_str() {
        "bind" => Ok(MountKind::Bind),
        "cache" => Ok(MountKind::Cache),
        "tmpfs" => Ok(MountKind::Tmpfs),
        "secret" => Ok(MountKind::Secret),
        "ssh" => Ok(MountKind::Ssh),
        _ => Err(format!("unsupported mount type \"{text}\"")),
    }
}

fn sharing(text: &str) -> Result<Sharing, String> {
    match text.to_ascii_lowercase().as_str() {
        "shared" => Ok(Sharing::Shared),
        "private" => Ok(Sharing::Private),
        "locked" => Ok(Sharing::Locked),
        _ => Err(format!("unsupported sharing value \"{text}\"")),
    }
}

fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let shift = match text[end..].trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    text[..end].parse::<u64>().ok()?.checked_mul(1 << shift)
}
