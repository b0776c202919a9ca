//! Build checks with BuildKit's rule names (`frontend/dockerfile/linter/ruleset.go`).
//!
//! Those that need more than the text are told elsewhere: undefined variables with the graph, ignored
//! files by [`crate::ignored`].

use crate::check::Check;
use crate::instruction::{Command, Form, Instruction};
use crate::parse::Dockerfile;
use crate::stages::{self, Stage};
use crate::undefined;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub rule: &'static str,
    pub line: usize,
    pub detail: String,
}

/// All findings in order of lines, without the rules that `check` skips.
pub fn lint(file: &Dockerfile, check: &Check) -> Vec<Warning> {
    let mut out = Vec::new();
    let mut say = |rule: &'static str, line: usize, detail: String| {
        out.push(Warning { rule, line, detail });
    };
    for line in &file.empty_lines {
        say("NoEmptyContinuation", *line, "Empty continuation line".to_owned());
    }
    casing(file, &mut say);
    for instruction in &file.instructions {
        each(instruction, &mut say);
    }
    if let Ok((_, stages)) = stages::stages(file) {
        names(&stages, &mut say);
        for stage in &stages {
            repeated(stage, &mut say);
        }
    }
    out.extend(undefined::in_from(file));
    out.retain(|w| !check.skips(w.rule));
    out.sort_by_key(|w| w.line);
    out
}

/// One finding as `docker build --check` prints it: rule, words, and the lines around it.
pub fn report(file: &Dockerfile, name: &str, warning: &Warning) -> String {
    let mut slug = String::new();
    for c in warning.rule.chars() {
        if c.is_ascii_uppercase() && slug.ends_with(|p: char| p.is_ascii_lowercase()) {
            slug.push('-');
        }
        slug.push(c.to_ascii_lowercase());
    }
    let slug = slug.replace("jsonargs", "json-args");
    let mut out = format!(
        "WARNING: {} - https://docs.docker.com/go/dockerfile/rule/{slug}/\n{}\n{name}:{}\n{RULER}\n",
        warning.rule, warning.detail, warning.line
    );
    let lines = file.text.lines().enumerate().map(|(n, text)| (n + 1, text));
    for (n, text) in lines.filter(|(n, _)| n.abs_diff(warning.line) <= 2) {
        let mark = if n == warning.line { ">>>" } else { "   " };
        out += &format!("{n:>4} | {mark} {text}\n");
    }
    out + RULER + "\n\n"
}

const RULER: &str = "--------------------";

type Say<'a> = &'a mut dyn FnMut(&'static str, usize, String);

fn word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

fn is_upper(word: &str) -> bool {
    !word.chars().any(|c| c.is_ascii_lowercase())
}

fn is_lower(word: &str) -> bool {
    !word.chars().any(|c| c.is_ascii_uppercase())
}

fn casing(file: &Dockerfile, say: Say<'_>) {
    let words: Vec<&str> = file.instructions.iter().map(|i| word(&i.text)).collect();
    let upper = words.iter().filter(|w| is_upper(w)).count();
    let lower = words.iter().filter(|w| is_lower(w)).count();
    let (name, fits): (_, fn(&str) -> bool) =
        if lower > upper { ("lowercase", is_lower) } else { ("uppercase", is_upper) };
    for (instruction, word) in file.instructions.iter().zip(words).filter(|(_, w)| !fits(w)) {
        let text =
            format!("Command '{word}' should match the case of the command majority ({name})");
        say("ConsistentInstructionCasing", instruction.line, text);
    }
}

fn each(i: &Instruction, say: Say<'_>) {
    match &i.command {
        Command::From { platform, .. } => from(i, platform.as_deref(), say),
        Command::Maintainer(_) => {
            let text = "Maintainer instruction is deprecated in favor of using label";
            say("MaintainerDeprecated", i.line, text.to_owned());
        }
        Command::Cmd(Form::Shell(_)) | Command::Entrypoint(Form::Shell(_)) => {
            let text = format!(
                "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
                word(&i.text).to_ascii_uppercase()
            );
            say("JSONArgsRecommended", i.line, text);
        }
        Command::Workdir(path) if !path.starts_with(['/', '$']) => {
            let text = format!(
                "Relative workdir \"{path}\" can have unexpected results if the base image changes"
            );
            say("WorkdirRelativePath", i.line, text);
        }
        Command::Env(pairs) => {
            legacy(i, say);
            pairs.iter().for_each(|(name, _)| secret("ENV", name, i.line, say));
        }
        Command::Label(_) => legacy(i, say),
        Command::Arg(args) => args.iter().for_each(|(name, _)| secret("ARG", name, i.line, say)),
        Command::Expose(ports) => ports.iter().for_each(|p| expose(p, i.line, say)),
        _ => {}
    }
}

fn from(i: &Instruction, platform: Option<&str>, say: Say<'_>) {
    let from = word(&i.text);
    if let Some(named) =
        i.text.split_whitespace().rev().nth(1).filter(|w| w.eq_ignore_ascii_case("as"))
        && is_upper(named) != is_upper(from)
    {
        let text = format!("'{named}' and '{from}' keywords' casing do not match");
        say("FromAsCasing", i.line, text);
    }
    match platform {
        Some("$TARGETPLATFORM" | "${TARGETPLATFORM}") => {
            let text = "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as \
                        this is the default behavior";
            say("RedundantTargetPlatform", i.line, text.to_owned());
        }
        Some(constant) if !constant.contains('$') => {
            let text = format!("FROM --platform flag should not use constant value \"{constant}\"");
            say("FromPlatformFlagConstDisallowed", i.line, text);
        }
        _ => {}
    }
}

fn legacy(i: &Instruction, say: Say<'_>) {
    let second = i.text.split_whitespace().nth(1).unwrap_or_default();
    if !second.contains('=') {
        let keyword = word(&i.text).to_ascii_uppercase();
        let text = format!(
            "\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format"
        );
        say("LegacyKeyValueFormat", i.line, text);
    }
}

fn secret(keyword: &str, name: &str, line: usize, say: Say<'_>) {
    const WORDS: &[&str] = &[
        "apikey",
        "auth",
        "credential",
        "credentials",
        "key",
        "password",
        "pword",
        "passwd",
        "secret",
        "token",
    ];
    let lower = name.to_ascii_lowercase();
    let mut parts = lower.split('_');
    if parts.clone().any(|p| p == "public") || !parts.any(|p| WORDS.contains(&p)) {
        return;
    }
    let text =
        format!("Do not use ARG or ENV instructions for sensitive data ({keyword} \"{name}\")");
    say("SecretsUsedInArgOrEnv", line, text);
}

fn expose(port: &str, line: usize, say: Say<'_>) {
    let (number, proto) = port.split_once('/').unwrap_or((port, ""));
    if number.contains(':') {
        let text = format!(
            "EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
        );
        say("ExposeInvalidFormat", line, text);
    }
    if !is_lower(proto) && !proto.contains('$') {
        let text = format!("Defined protocol '{proto}' in EXPOSE instruction should be lowercase");
        say("ExposeProtoCasing", line, text);
    }
}

fn names(stages: &[Stage], say: Say<'_>) {
    let mut seen: Vec<String> = Vec::new();
    for stage in stages {
        let Some(name) = &stage.name else { continue };
        let lower = name.to_ascii_lowercase();
        if lower != *name {
            say("StageNameCasing", stage.line, format!("Stage name '{name}' should be lowercase"));
        }
        if matches!(lower.as_str(), "scratch" | "context") {
            let text =
                format!("Stage name should not use the same name as reserved stage \"{name}\"");
            say("ReservedStageName", stage.line, text);
        }
        if seen.contains(&lower) {
            let text = format!("Duplicate stage name \"{name}\", stage names should be unique");
            say("DuplicateStageName", stage.line, text);
        }
        seen.push(lower);
    }
}

/// Only the last CMD, ENTRYPOINT and HEALTHCHECK of a stage counts.
fn repeated(stage: &Stage, say: Say<'_>) {
    let kind = |c: &Command| match c {
        Command::Cmd(_) => Some("CMD"),
        Command::Entrypoint(_) => Some("ENTRYPOINT"),
        Command::Healthcheck(_) => Some("HEALTHCHECK"),
        _ => None,
    };
    for (at, i) in stage.instructions.iter().enumerate() {
        let Some(name) = kind(&i.command) else { continue };
        if stage.instructions[at + 1..].iter().any(|later| kind(&later.command) == Some(name)) {
            let text = format!(
                "Multiple {name} instructions should not be used in the same stage because only the last one will be used"
            );
            say("MultipleInstructionsDisallowed", i.line, text);
        }
    }
}
