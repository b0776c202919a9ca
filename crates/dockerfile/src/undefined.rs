//! Checks of variables and of ignored files (BuildKit `linter/ruleset.go`: UndefinedVar,
//! UndefinedArgInFrom, InvalidDefaultArgInFrom, CopyIgnoredFile).

use std::collections::BTreeMap;

use crate::expand::Expander;
use crate::ignore::{Ignore, clean};
use crate::instruction::{Command, Instruction};
use crate::lint::Warning;
use crate::parse::Dockerfile;
use crate::scope::{self, Scope};
use crate::{glob, stages};

/// The texts of an instruction in which variables are expanded.
fn expanded(command: &Command) -> Vec<&str> {
    let mut out: Vec<&str> = Vec::new();
    match command {
        Command::Env(pairs) | Command::Label(pairs) => {
            out.extend(pairs.iter().flat_map(|(k, v)| [k.as_str(), v.as_str()]));
        }
        Command::Expose(words) | Command::Volume(words) => {
            out.extend(words.iter().map(String::as_str));
        }
        Command::User(text) | Command::Workdir(text) | Command::StopSignal(text) => out.push(text),
        Command::Copy(c) | Command::Add(c) => {
            out.extend(c.sources.iter().map(String::as_str));
            out.push(&c.dest);
            out.extend([&c.chown, &c.chmod].into_iter().flatten().map(String::as_str));
        }
        _ => {}
    }
    out
}

/// Variables that an instruction uses and nobody set.
pub fn vars(i: &Instruction, scope: &Scope<'_>, escape: char) -> Vec<Warning> {
    let mut expander = Expander::new(escape, scope);
    for text in expanded(&i.command) {
        // What cannot be expanded is an error elsewhere.
        let _ = expander.word(text);
    }
    let warning = |name: String| Warning {
        rule: "UndefinedVar",
        line: i.line,
        detail: format!("Usage of undefined variable '${name}'"),
    };
    expander.unset.into_iter().map(warning).collect()
}

/// FROM lines whose arguments nobody declares, or that need a caller's value.
pub fn in_from(file: &Dockerfile) -> Vec<Warning> {
    let Ok((globals, stages)) = stages::stages(file) else { return Vec::new() };
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for name in scope::PLATFORM_ARGS {
        known.insert((*name).to_owned(), "x".to_owned());
    }
    for (name, default) in globals.iter().flat_map(|i| match &i.command {
        Command::Arg(args) => args.as_slice(),
        _ => &[],
    }) {
        let text = default.as_deref().unwrap_or_default();
        let value = Expander::new(file.escape, &known).word(text).unwrap_or_default();
        known.insert(name.clone(), value);
    }
    let mut out = Vec::new();
    for stage in &stages {
        let mut expander = Expander::new(file.escape, &known);
        let image = expander.word(&stage.image);
        let _ = expander.word(stage.platform.as_deref().unwrap_or_default());
        for name in &expander.unset {
            let detail = format!("FROM argument '{name}' is not declared");
            out.push(Warning { rule: "UndefinedArgInFrom", line: stage.line, detail });
        }
        let bad =
            |image: &String| image != "scratch" && oci::Reference::parse_tagged(image).is_err();
        if expander.unset.is_empty() && stage.image.contains('$') && image.as_ref().is_ok_and(bad) {
            let detail = format!(
                "Default value for ARG {} results in empty or invalid base image name",
                stage.image
            );
            out.push(Warning { rule: "InvalidDefaultArgInFrom", line: stage.line, detail });
        }
    }
    out
}

/// COPY and ADD of files that `.dockerignore` leaves out.
pub fn ignored(file: &Dockerfile, ignore: &Ignore) -> Vec<Warning> {
    let mut out = Vec::new();
    for i in &file.instructions {
        let (word, c) = match &i.command {
            Command::Copy(c) if c.from.is_none() => ("Copy", c),
            Command::Add(c) => ("Add", c),
            _ => continue,
        };
        let plain = |s: &&String| {
            !s.contains('$') && !s.contains("://") && !glob::is_pattern(s) && !s.starts_with("git@")
        };
        for source in c.sources.iter().filter(plain) {
            let path = clean(source);
            if path != "." && ignore.excludes(&path) {
                let detail = format!(
                    "Attempting to {word} file \"{source}\" that is excluded by .dockerignore"
                );
                out.push(Warning { rule: "CopyIgnoredFile", line: i.line, detail });
            }
        }
    }
    out
}
