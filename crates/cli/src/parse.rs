//! From words to a call: Go's flag conventions (spf13/pflag) over `lexopt`'s tokens.

use crate::command::{Command, Flag, MANY, Takes};
use crate::failure::Failure;
use lexopt::{Arg, ValueExt};
use std::collections::BTreeMap;
use std::ffi::OsString;

/// Whose manners messages follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Voice {
    Boxship,
    Docker,
    Kubectl,
}

/// A command with what it was given.
pub struct Call {
    pub voice: Voice,
    /// `docker network ls`
    pub path: String,
    pub command: &'static Command,
    flags: BTreeMap<&'static str, Vec<String>>,
    pub args: Vec<String>,
    /// How many arguments came before `--`.
    pub dash: Option<usize>,
}

/// What was asked for.
pub enum Wish {
    Run(Box<Call>),
    /// Help for the command at this path, with the flags that reach it.
    Help(Chain),
}

/// A command and those above it, the top first.
#[derive(Clone)]
pub struct Chain(pub Vec<&'static Command>);

impl Chain {
    pub fn last(&self) -> &'static Command {
        self.0.last().expect("a chain starts with its root")
    }

    pub fn path(&self) -> String {
        self.0.iter().map(|c| c.name).collect::<Vec<_>>().join(" ")
    }

    pub fn globals(&self) -> impl Iterator<Item = &'static Flag> {
        self.0.iter().flat_map(|command| command.globals.iter())
    }

    fn flag(&self, matches: impl Fn(&Flag) -> bool) -> Option<&'static Flag> {
        let own = self.last().own_flags().find(|flag| matches(flag));
        own.or_else(|| self.globals().find(|flag| matches(flag)))
    }
}

impl Call {
    /// Whether a switch is on; one the row does not have is off.
    pub fn has(&self, flag: &str) -> bool {
        self.get(flag).is_some_and(|value| value != "false")
    }

    pub fn get(&self, flag: &str) -> Option<&str> {
        self.flags.get(flag).and_then(|values| values.last()).map(String::as_str)
    }

    pub fn all(&self, flag: &str) -> &[String] {
        self.flags.get(flag).map_or(&[], Vec::as_slice)
    }

    /// Values separated by commas, from every time the flag was given.
    pub fn list(&self, flag: &str) -> Vec<String> {
        let all = self.all(flag).iter();
        all.flat_map(|value| value.split(',')).map(str::to_owned).collect()
    }

    /// A number.
    ///
    /// # Errors
    /// When the value is none.
    pub fn number<T: std::str::FromStr>(&self, flag: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.get(flag) else { return Ok(None) };
        let bad = || self.bad_value(flag, text, "it is not a number in range");
        text.parse().map(Some).map_err(|_| bad())
    }

    pub fn bad_value(&self, flag: &str, value: &str, why: &str) -> Failure {
        let message = format!("invalid argument \"{value}\" for \"--{flag}\" flag: {why}");
        usage(self.voice, &self.path, &message)
    }
}

/// Reads a command line without the program's name.
///
/// # Errors
/// What in it no row knows, naming what there is.
pub fn parse(
    root: &'static Command,
    voice: Voice,
    words: impl IntoIterator<Item = OsString>,
) -> Result<Wish, Failure> {
    let mut state = State {
        chain: Chain(vec![root]),
        voice,
        flags: BTreeMap::new(),
        args: Vec::new(),
        dash: None,
    };
    let mut parser = lexopt::Parser::from_args(words);
    loop {
        if state.takes_rest()
            && let Ok(rest) = parser.raw_args()
        {
            for word in rest {
                state.args.push(text(word)?);
            }
            break;
        }
        if state.dash.is_none()
            && let Some(raw) = parser.try_raw_args()
            && raw.peek().is_some_and(|word| word == "--")
        {
            state.dash = Some(state.args.len());
        }
        match parser.next().map_err(|e| state.wrong(&e.to_string()))? {
            None => break,
            Some(Arg::Value(word)) => state.word(text(word)?)?,
            Some(Arg::Short('h')) if state.chain.flag(|f| f.short == Some('h')).is_none() => {
                return Ok(Wish::Help(state.chain));
            }
            Some(Arg::Long("help")) => return Ok(Wish::Help(state.chain)),
            Some(Arg::Short(short)) => {
                let flag = state.chain.flag(|flag| flag.short == Some(short));
                state.option(flag, &format!("shorthand flag: '{short}'"), None, &mut parser)?;
            }
            Some(Arg::Long(long)) => {
                let flag = state.chain.flag(|flag| flag.long == long);
                let name = format!("flag: --{long}");
                // What follows a letter in its cluster is no value of a switch; behind a name, `=` is.
                let has_value = |f: &Flag| matches!(f.takes, Takes::One(_) | Takes::Many(_));
                let given =
                    if flag.is_some_and(has_value) { None } else { parser.optional_value() };
                state.option(flag, &name, given, &mut parser)?;
            }
        }
    }
    state.finish()
}

struct State {
    chain: Chain,
    voice: Voice,
    flags: BTreeMap<&'static str, Vec<String>>,
    args: Vec<String>,
    dash: Option<usize>,
}

impl State {
    fn takes_rest(&self) -> bool {
        let command = self.chain.last();
        command.run.is_some() && self.args.len() >= command.rest_after
    }

    /// A word that is no option: the next command's name, or an argument.
    fn word(&mut self, word: String) -> Result<(), Failure> {
        let at = self.chain.last();
        if at.subs.is_empty() || !self.args.is_empty() || self.dash.is_some() {
            self.args.push(word);
            return Ok(());
        }
        match at.sub(&word) {
            Some(sub) => self.chain.0.push(sub),
            None if at.run.is_some() => self.args.push(word),
            None => return Err(self.unknown(&word)),
        }
        Ok(())
    }

    fn unknown(&self, word: &str) -> Failure {
        let path = self.chain.path();
        let names: Vec<&str> = self.chain.last().commands().map(|c| c.name).collect();
        let near = nearest(word, &names);
        let near = near.map(|name| format!("did you mean `{path} {name}`? ")).unwrap_or_default();
        let message = match self.voice {
            Voice::Kubectl => format!("error: unknown command \"{word}\" for \"{path}\""),
            _ => format!("{path}: '{word}' is not a command"),
        };
        let there_are = format!("{near}there are: {}", names.join(", "));
        let mut failure = usage(self.voice, &path, &message).hint(there_are.clone());
        if self.voice == Voice::Docker {
            failure.plain = failure.plain.map(|plain| format!("{plain}\n{there_are}"));
        }
        failure
    }

    fn option(
        &mut self,
        flag: Option<&'static Flag>,
        name: &str,
        given: Option<OsString>,
        parser: &mut lexopt::Parser,
    ) -> Result<(), Failure> {
        let Some(flag) = flag else { return Err(self.unknown_flag(name)) };
        let value = match flag.takes {
            Takes::Nothing => self.switch(flag, given)?,
            Takes::Perhaps(_, missing) => match given {
                Some(value) => text(value)?,
                None => missing.to_owned(),
            },
            Takes::One(_) | Takes::Many(_) => {
                let value = parser.value().and_then(|value| value.string());
                value
                    .map_err(|_| self.wrong(&format!("flag needs an argument: --{}", flag.long)))?
            }
        };
        self.flags.entry(flag.long).or_default().push(value);
        Ok(())
    }

    fn switch(&self, flag: &Flag, given: Option<OsString>) -> Result<String, Failure> {
        let Some(value) = given else { return Ok("true".into()) };
        // strconv.ParseBool
        match text(value)?.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok("true".into()),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok("false".into()),
            other => Err(self.wrong(&format!(
                "invalid argument \"{other}\" for \"--{}\" flag: it is true or false",
                flag.long
            ))),
        }
    }

    fn unknown_flag(&self, name: &str) -> Failure {
        let flags = self.chain.last().own_flags().chain(self.chain.globals());
        let known: Vec<String> = flags.map(|flag| format!("--{}", flag.long)).collect();
        let word = name.rsplit(' ').next().unwrap_or_default();
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let near = nearest(word, &names).map(|n| format!("did you mean {n}? ")).unwrap_or_default();
        self.wrong(&format!("unknown {name}")).hint(format!("{near}there are: {}", known.join(" ")))
    }

    fn wrong(&self, message: &str) -> Failure {
        usage(self.voice, &self.chain.path(), message)
    }

    fn finish(self) -> Result<Wish, Failure> {
        let command = self.chain.last();
        if command.run.is_none() {
            return Ok(Wish::Help(self.chain));
        }
        let (least, most) = command.args;
        let count = self.args.len();
        if count < least || count > most {
            return Err(self.wrong_count(least, most));
        }
        Ok(Wish::Run(Box::new(Call {
            voice: self.voice,
            path: self.chain.path(),
            command,
            flags: self.flags,
            args: self.args,
            dash: self.dash,
        })))
    }

    fn wrong_count(&self, least: usize, most: usize) -> Failure {
        let path = self.chain.path();
        let some = |n: usize| if n == 1 { "argument" } else { "arguments" };
        let wants = match (least, most) {
            (0, 0) => "accepts no arguments".to_owned(),
            (least, most) if least == most => format!("requires {least} {}", some(least)),
            (least, MANY) => format!("requires at least {least} {}", some(least)),
            (0, most) => format!("requires at most {most} {}", some(most)),
            (least, most) => format!("requires at least {least} and at most {most} arguments"),
        };
        let usage_line = format!("Usage:  {path} {}", self.chain.last().usage);
        usage(self.voice, &path, &format!("'{path}' {wants}")).hint(usage_line)
    }
}

/// A command line that says something there is not.
pub fn usage(voice: Voice, path: &str, message: &str) -> Failure {
    let see = format!("See '{path} --help'.");
    let code = if voice == Voice::Kubectl { 1 } else { 125 };
    let plain = match voice {
        Voice::Docker => format!("{message}\n\n{see}"),
        _ => format!("{}\n{see}", with_error(message)),
    };
    Failure { plain: Some(plain), ..Failure::new(message, "the command line") }.hint(see).code(code)
}

fn with_error(message: &str) -> String {
    if message.starts_with("error: ") { message.into() } else { format!("error: {message}") }
}

fn text(word: OsString) -> Result<String, Failure> {
    word.into_string().map_err(|word| {
        Failure::new(format!("read the argument `{}`", word.to_string_lossy()), "it is not UTF-8")
    })
}

/// The name that differs least, when it does not differ much.
pub fn nearest<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let best = names.iter().map(|name| (distance(word, name), *name)).min()?;
    (best.0 <= 2 && best.0 < word.len()).then_some(best.1)
}

/// Levenshtein's, with two letters swapped counting once.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if swapped {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
