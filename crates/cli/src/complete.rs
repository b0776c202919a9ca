//! Completion scripts for bash, zsh and fish, generated from the table.
//!
//! The scripts know commands and flags; names of containers, images and kinds are asked of the program when needed.

use crate::command::{Command, Flag, NONE, Names, Takes, run};
use crate::failure::Failure;
use crate::parse::{Call, Voice};
use crate::{BOXSHIP, DOCKER, KUBECTL, out};
use std::fmt::Write as _;

pub const ROW: Command = Command {
    name: "completion",
    about: "Print a completion script for a shell",
    usage: "bash|zsh|fish",
    args: (1, 1),
    examples: &[
        ("bash > /etc/bash_completion.d/boxship", "for every bash from now on"),
        ("zsh > \"${fpath[1]}/_boxship\"", "for zsh"),
        ("fish > ~/.config/fish/completions/boxship.fish", "for fish"),
    ],
    run: run!(completion),
    ..NONE
};

async fn completion(call: &Call) -> Result<u8, Failure> {
    let root: &Command = match call.voice {
        Voice::Boxship => &BOXSHIP,
        Voice::Docker => &DOCKER,
        Voice::Kubectl => &KUBECTL,
    };
    let script = match call.args[0].as_str() {
        "bash" => bash(root),
        "zsh" => format!(
            "#compdef {0}\nautoload -U +X bashcompinit && bashcompinit\n{1}",
            root.name,
            bash(root)
        ),
        "fish" => fish(root),
        other => {
            let what = format!("print a completion script for `{other}`");
            return Err(Failure::new(what, "the shells known are bash, zsh and fish"));
        }
    };
    out::write(script.as_bytes());
    Ok(0)
}

/// Every command with the words that lead to it.
fn walk(command: &'static Command, path: &str, found: &mut Vec<(String, &'static Command)>) {
    found.push((path.to_owned(), command));
    for sub in command.commands() {
        walk(sub, format!("{path} {}", sub.name).trim(), found);
    }
}

fn all(root: &Command) -> Vec<(String, &'static Command)> {
    let mut found = Vec::new();
    for sub in root.commands() {
        walk(sub, sub.name, &mut found);
    }
    found
}

/// What prints the names an argument may have.
fn asks(names: Names, program: &str) -> String {
    let docker = if program == "docker" { "docker" } else { "boxship" };
    match names {
        Names::Containers => format!("{docker} ps -a --format '{{{{.Names}}}}'"),
        Names::Images => format!("{docker} images --format '{{{{.Repository}}}}:{{{{.Tag}}}}'"),
        Names::Networks => format!("{docker} network ls --format '{{{{.Name}}}}'"),
        Names::Volumes => format!("{docker} volume ls -q"),
        Names::Kinds if program == "kubectl" => "kubectl api-resources -o name".into(),
        Names::Kinds => "boxship kubectl api-resources -o name".into(),
        Names::Files | Names::Nothing => String::new(),
    }
}

fn spelled(flag: &Flag) -> String {
    format!("--{}", flag.long)
}

pub fn bash(root: &Command) -> String {
    let name = root.name;
    let mut rows = String::new();
    let tops: Vec<&str> = root.commands().map(|c| c.name).collect();
    for (path, command) in all(root) {
        let mut words: Vec<String> = command.commands().map(|c| c.name.to_owned()).collect();
        words.extend(command.own_flags().map(spelled));
        words.push("--help".into());
        let asks = asks(command.completes, name);
        // Writing to a string cannot fail.
        let _ = writeln!(rows, "    {path:?}) words={:?}; names={asks:?} ;;", words.join(" "));
    }
    format!(
        r#"# {name} completion for bash
_{name}() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" path="" word next words names at
  for ((at = 1; at < COMP_CWORD; at++)); do
    word="${{COMP_WORDS[at]}}"
    case "$word" in -*) continue ;; esac
    next="${{path:+$path }}$word"
    if _{name}_row "$next"; then path="$next"; fi
  done
  _{name}_row "$path"
  if [[ "$current" != -* && -n "$names" ]]; then words="$words $(eval "$names" 2>/dev/null)"; fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ ${{#COMPREPLY[@]}} -eq 0 ]]; then COMPREPLY=($(compgen -f -- "$current")); fi
}}
_{name}_row() {{
  words=""; names=""
  case "$1" in
    "") words={tops:?} ;;
{rows}    *) return 1 ;;
  esac
}}
complete -F _{name} {name}
"#,
        tops = tops.join(" "),
    )
}

pub fn fish(root: &Command) -> String {
    let name = root.name;
    let mut out = format!("# {name} completion for fish\ncomplete -c {name} -f\n");
    for sub in root.commands() {
        let about = quoted(sub.about);
        let _ =
            writeln!(out, "complete -c {name} -n __fish_use_subcommand -a {} -d {about}", sub.name);
    }
    for (path, command) in all(root) {
        let seen: Vec<String> =
            path.split(' ').map(|word| format!("__fish_seen_subcommand_from {word}")).collect();
        let when = quoted(&seen.join("; and "));
        for sub in command.commands() {
            let about = quoted(sub.about);
            let _ = writeln!(out, "complete -c {name} -n {when} -a {} -d {about}", sub.name);
        }
        for flag in command.own_flags() {
            let short = flag.short.map(|short| format!(" -s {short}")).unwrap_or_default();
            let value = if flag.takes == Takes::Nothing { "" } else { " -r" };
            let help = quoted(flag.help);
            let _ = writeln!(
                out,
                "complete -c {name} -n {when} -l {}{short}{value} -d {help}",
                flag.long
            );
        }
        let asks = asks(command.completes, name);
        if !asks.is_empty() {
            let _ =
                writeln!(out, "complete -c {name} -n {when} -a {}", quoted(&format!("({asks})")));
        }
    }
    out
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
