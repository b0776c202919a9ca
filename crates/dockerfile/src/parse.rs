//! Lines to instructions (BuildKit `instructions/parse.go`, `parser/line_parsers.go`).

use crate::flags::{self, Flags};
use crate::heredoc::{self, Heredoc};
use crate::instruction::{Command, CopyFlags, Form, Healthcheck, Instruction};
use crate::lines::{self, Directives, Logical};
use crate::problem::{Problem, Result};

/// A parsed file; its text stays for excerpts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    pub text: String,
    pub syntax: Option<String>,
    pub escape: char,
    /// `# check=...`
    pub check: Option<String>,
    pub instructions: Vec<Instruction>,
    /// Lines that are empty inside a continuation.
    pub empty_lines: Vec<usize>,
}

pub fn parse(text: &str) -> Result<Dockerfile> {
    parse_lines(text).map_err(|e| e.in_text(text))
}

fn parse_lines(text: &str) -> Result<Dockerfile> {
    let (Directives { syntax, escape, check }, logicals) = lines::read(text)?;
    if logicals.is_empty() {
        return Err(Problem::new(0, "file with no instructions"));
    }
    let mut empty_lines = Vec::new();
    let mut instructions = Vec::new();
    for logical in &logicals {
        empty_lines.extend(&logical.empty_lines);
        instructions.push(instruction(logical, escape)?);
    }
    Ok(Dockerfile { text: text.to_owned(), syntax, escape, check, instructions, empty_lines })
}

/// One instruction of a trigger (ONBUILD); its place is the trigger's.
pub(crate) fn trigger(text: &str, escape: char, line: usize) -> Result<Instruction> {
    let (_, mut logicals) = lines::read(text).map_err(|e| Problem { line, ..e })?;
    let Some(mut logical) = logicals.pop().filter(|_| logicals.is_empty()) else {
        return Err(Problem::new(line, "ONBUILD requires one instruction"));
    };
    (logical.line, logical.end) = (line, line);
    instruction(&logical, escape)
}

/// What a parser of one instruction gets.
struct Text<'a> {
    keyword: &'static str,
    rest: &'a str,
    escape: char,
    heredocs: &'a [Heredoc],
    given: Vec<(String, Option<String>)>,
}

type Outcome = std::result::Result<Command, String>;

struct Row {
    keyword: &'static str,
    takes_flags: bool,
    parse: fn(Text<'_>) -> Outcome,
}

const fn row(keyword: &'static str, takes_flags: bool, parse: fn(Text<'_>) -> Outcome) -> Row {
    Row { keyword, takes_flags, parse }
}

static TABLE: &[Row] = &[
    row("ADD", true, |t| copy(t, ADD_FLAGS).map(Command::Add)),
    row("ARG", false, arg),
    row("CMD", false, |t| Ok(Command::Cmd(form(t.rest)))),
    row("COPY", true, |t| copy(t, COPY_FLAGS).map(Command::Copy)),
    row("ENTRYPOINT", false, |t| Ok(Command::Entrypoint(form(t.rest)))),
    row("ENV", false, |t| pairs(&t).map(Command::Env)),
    row("EXPOSE", false, |t| Ok(Command::Expose(words(t.rest)))),
    row("FROM", true, from),
    row("HEALTHCHECK", true, healthcheck),
    row("LABEL", false, |t| pairs(&t).map(Command::Label)),
    row("MAINTAINER", false, |t| Ok(Command::Maintainer(t.rest.to_owned()))),
    row("ONBUILD", false, onbuild),
    row("RUN", true, run),
    row("SHELL", false, shell),
    row("STOPSIGNAL", false, |t| one(&t).map(Command::StopSignal)),
    row("USER", false, |t| one(&t).map(Command::User)),
    row("VOLUME", false, |t| {
        Ok(Command::Volume(json_words(t.rest).unwrap_or_else(|| words(t.rest))))
    }),
    row("WORKDIR", false, |t| Ok(Command::Workdir(t.rest.to_owned()))),
];

const COPY_FLAGS: &[&str] = &["from", "chown", "chmod", "link", "parents"];
const ADD_FLAGS: &[&str] = &["chown", "chmod", "link", "checksum", "keep-git-dir", "unpack"];

fn instruction(logical: &Logical, escape: char) -> Result<Instruction> {
    let text = logical.text.as_str();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = (&text[..end], text[end..].trim_start());
    let upper = word.to_ascii_uppercase();
    let Some(row) = TABLE.iter().find(|r| r.keyword == upper) else {
        return Err(unknown(word, &upper, logical.line));
    };
    let mut input =
        Text { keyword: row.keyword, rest, escape, heredocs: &logical.heredocs, given: vec![] };
    if row.takes_flags {
        let split = flags::split(rest, escape);
        (input.given, input.rest) = (split.flags, split.rest);
    }
    if input.rest.is_empty() {
        let count = if matches!(row.keyword, "ENV" | "LABEL" | "ARG") {
            "at least one argument"
        } else {
            "exactly one argument"
        };
        let count = if matches!(
            row.keyword,
            "RUN"
                | "EXPOSE"
                | "VOLUME"
                | "CMD"
                | "ENTRYPOINT"
                | "SHELL"
                | "COPY"
                | "ADD"
                | "HEALTHCHECK"
        ) {
            "at least one argument"
        } else {
            count
        };
        return Err(Problem::new(logical.line, format!("{} requires {count}", row.keyword)));
    }
    let command = (row.parse)(input).map_err(|e| Problem::new(logical.line, e))?;
    let text = text.to_owned();
    Ok(Instruction { line: logical.line, end: logical.end, text, command })
}

fn unknown(word: &str, upper: &str, line: usize) -> Problem {
    let near = TABLE.iter().map(|r| (distance(r.keyword, upper), r.keyword)).min();
    let hint = near.filter(|(d, _)| *d <= 2).map(|(_, k)| format!(" (did you mean {k}?)"));
    Problem::new(line, format!("unknown instruction: {word}{}", hint.unwrap_or_default()))
        .hint("an instruction is one of FROM, RUN, COPY, ADD, ENV, ARG, CMD, ENTRYPOINT and so on")
}

/// Levenshtein's, of short words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(20).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let next = (corner + usize::from(ca != *cb)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A JSON array of strings; anything else is the shell's.
fn json_words(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    text.starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

fn form(text: &str) -> Form {
    json_words(text).map_or_else(|| Form::Shell(text.to_owned()), Form::Exec)
}

fn one(t: &Text<'_>) -> std::result::Result<String, String> {
    Ok(t.rest.to_owned())
}

fn from(t: Text<'_>) -> Outcome {
    let flags = Flags::new(t.given, &["platform"], &[])?;
    let words = words(t.rest);
    let (image, name) = match words.as_slice() {
        [image] => (image, None),
        [image, word, name] if word.eq_ignore_ascii_case("as") => (image, Some(name)),
        _ => return Err("FROM requires either one or three arguments".to_owned()),
    };
    if let Some(name) = name {
        let name = name.to_ascii_lowercase();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
            return Err(format!(
                "invalid name for build stage: \"{name}\", name can't start with a number or \
                 contain symbols"
            ));
        }
    }
    let platform = flags.text("platform")?;
    Ok(Command::From { image: image.clone(), platform, name: name.cloned() })
}

fn run(t: Text<'_>) -> Outcome {
    let flags = Flags::new(t.given, &["network", "security"], &["mount"])?;
    let mounts = flags
        .all("mount")?
        .iter()
        .map(|m| flags::mount(m))
        .collect::<std::result::Result<_, _>>()?;
    let network = flags.text("network")?.unwrap_or_default();
    if !matches!(network.as_str(), "" | "default" | "none" | "host") {
        return Err(format!("network \"{network}\" is not valid; use default, none or host"));
    }
    match flags.text("security")?.as_deref() {
        None | Some("sandbox") => {}
        Some("insecure") => {
            return Err("RUN --security=insecure is not allowed by this builder".to_owned());
        }
        Some(other) => return Err(format!("security \"{other}\" is not valid")),
    }
    Ok(Command::Run { form: form(t.rest), heredocs: t.heredocs.to_vec(), mounts, network })
}

fn copy(t: Text<'_>, known: &[&str]) -> std::result::Result<CopyFlags, String> {
    let flags = Flags::new(t.given, known, &["exclude"])?;
    let words = json_words(t.rest).unwrap_or_else(|| heredoc::words(t.rest, t.escape));
    let is_doc = |w: &&String| heredoc::word(w).is_some() && !t.heredocs.is_empty();
    let Some((dest, sources)) = words.split_last().filter(|(_, sources)| !sources.is_empty())
    else {
        return Err(format!(
            "{} requires at least two arguments, but only one was provided. Destination could not be determined",
            t.keyword
        ));
    };
    Ok(CopyFlags {
        sources: sources.iter().filter(|w| !is_doc(w)).cloned().collect(),
        dest: dest.clone(),
        heredocs: t.heredocs.to_vec(),
        from: flags.text("from")?,
        chown: flags.text("chown")?,
        chmod: flags.text("chmod")?,
        link: flags.switch("link")?.unwrap_or(false),
        parents: flags.switch("parents")?.unwrap_or(false),
        excludes: flags.all("exclude")?,
        checksum: flags.text("checksum")?,
        keep_git_dir: flags.switch("keep-git-dir")?.unwrap_or(false),
        unpack: flags.switch("unpack")?,
    })
}

/// `k=v k2="v 2"`, or the legacy `k rest of line`.
fn pairs(t: &Text<'_>) -> std::result::Result<Vec<(String, String)>, String> {
    let words = heredoc::words(t.rest, t.escape);
    let first = words.first().map_or("", String::as_str);
    if !first.contains('=') {
        let (key, value) = t.rest.split_once(char::is_whitespace).unwrap_or((t.rest, ""));
        if value.trim().is_empty() {
            return Err(format!("{} must have two arguments", t.keyword));
        }
        return Ok(vec![(key.to_owned(), value.trim_start().to_owned())]);
    }
    let pair = |word: &String| match word.split_once('=') {
        Some(("", _)) => Err(format!("{} names can not be blank", t.keyword)),
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(format!(
            "Syntax error - can't find = in \"{word}\". Must be of the form: name=value"
        )),
    };
    words.iter().map(pair).collect()
}

fn arg(t: Text<'_>) -> Outcome {
    let one = |word: &String| match word.split_once('=') {
        Some(("", _)) => Err("ARG names can not be blank".to_owned()),
        Some((key, value)) => Ok((key.to_owned(), Some(value.to_owned()))),
        None => Ok((word.clone(), None)),
    };
    let words = heredoc::words(t.rest, t.escape);
    words.iter().map(one).collect::<std::result::Result<_, _>>().map(Command::Arg)
}

fn onbuild(t: Text<'_>) -> Outcome {
    let word = t.rest.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match word.as_str() {
        "ONBUILD" => {
            return Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned());
        }
        "FROM" | "MAINTAINER" => {
            return Err(format!("{word} isn't allowed as an ONBUILD trigger"));
        }
        _ => {}
    }
    let mut text = t.rest.to_owned();
    for doc in t.heredocs {
        text = format!("{text}\n{}{}", doc.content, doc.name);
    }
    trigger(&text, t.escape, 0).map_err(|e| e.message)?;
    Ok(Command::Onbuild(text))
}

fn shell(t: Text<'_>) -> Outcome {
    match json_words(t.rest) {
        Some(words) if !words.is_empty() => Ok(Command::Shell(words)),
        Some(_) => Err("SHELL requires at least one argument".to_owned()),
        None => Err(format!("SHELL requires the arguments to be in JSON form: SHELL {}", t.rest)),
    }
}

fn healthcheck(t: Text<'_>) -> Outcome {
    const KNOWN: &[&str] = &["interval", "timeout", "start-period", "start-interval", "retries"];
    let flags = Flags::new(t.given, KNOWN, &[])?;
    let (kind, rest) = t.rest.split_once(char::is_whitespace).unwrap_or((t.rest, ""));
    let test = match kind.to_ascii_uppercase().as_str() {
        "NONE" if rest.trim().is_empty() => None,
        "NONE" => return Err("HEALTHCHECK NONE takes no arguments".to_owned()),
        "CMD" if rest.trim().is_empty() => {
            return Err("Missing command after HEALTHCHECK CMD".to_owned());
        }
        "CMD" => Some(form(rest.trim_start())),
        _ => return Err(format!("Unknown type \"{kind}\" in HEALTHCHECK (try CMD)")),
    };
    let retries = flags.text("retries")?.unwrap_or_else(|| "0".to_owned());
    Ok(Command::Healthcheck(Healthcheck {
        test,
        interval: flags.duration("interval")?,
        timeout: flags.duration("timeout")?,
        start_period: flags.duration("start-period")?,
        start_interval: flags.duration("start-interval")?,
        retries: retries
            .parse::<i64>()
            .ok()
            .filter(|n| *n >= 0)
            .ok_or_else(|| format!("--retries cannot be negative or not a number ({retries})"))?,
    }))
}
