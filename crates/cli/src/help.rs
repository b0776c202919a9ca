//! Help that teaches by example, from the rows.

use crate::command::{Command, Flag, Takes};
use crate::parse::Chain;
use std::fmt::Write as _;

/// The help of one command or group.
pub fn help(chain: &Chain) -> String {
    let command = chain.last();
    let path = chain.path();
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}\n", command.about);
    let usage = if command.usage.is_empty() { default_usage(command) } else { command.usage };
    let _ = writeln!(out, "Usage:  {}", format!("{path} {usage}").trim_end());
    if !command.aliases.is_empty() {
        let _ = writeln!(out, "Aliases: {}", command.aliases.join(", "));
    }
    examples(&mut out, command, &path);
    commands(&mut out, command);
    flags(&mut out, "Options", command.own_flags());
    flags(&mut out, "Options everywhere", chain.globals());
    if !command.subs.is_empty() {
        let _ = writeln!(out, "\n`{path} COMMAND --help` shows examples of each.");
    }
    out
}

fn default_usage(command: &Command) -> &'static str {
    match (command.subs.is_empty(), command.own_flags().next().is_some()) {
        (false, _) => "COMMAND",
        (true, true) => "[OPTIONS]",
        (true, false) => "",
    }
}

fn examples(out: &mut String, command: &Command, path: &str) {
    if command.examples.is_empty() {
        return;
    }
    out.push_str("\nExamples:\n");
    for (typed, does) in command.examples {
        let _ = writeln!(out, "  # {does}\n  {path} {typed}");
    }
}

fn commands(out: &mut String, command: &Command) {
    let width = command.commands().map(|sub| sub.name.len()).max().unwrap_or_default();
    for group in command.subs {
        out.push_str(if out.contains("\nCommands:") { "\n" } else { "\nCommands:\n" });
        for sub in *group {
            let _ = writeln!(out, "  {:width$}  {}", sub.name, sub.about);
        }
    }
}

fn flags<'a>(out: &mut String, title: &str, flags: impl Iterator<Item = &'a Flag>) {
    let rows: Vec<(String, &str)> = flags.map(|flag| (spelled(flag), flag.help)).collect();
    if rows.is_empty() {
        return;
    }
    let width = rows.iter().map(|(spelled, _)| spelled.len()).max().unwrap_or_default().min(34);
    let _ = writeln!(out, "\n{title}:");
    for (spelled, help) in rows {
        let _ = writeln!(out, "  {spelled:width$}  {help}");
    }
}

fn spelled(flag: &Flag) -> String {
    let short = flag.short.map_or("    ".to_owned(), |short| format!("-{short}, "));
    let value = match flag.takes {
        Takes::Nothing => String::new(),
        Takes::One(value) | Takes::Many(value) => format!(" {value}"),
        Takes::Perhaps(value, _) => format!("[={value}]"),
    };
    format!("{short}--{}{value}", flag.long)
}
