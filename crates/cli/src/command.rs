//! What a command is: a row. Parsing, help and completion derive from the rows.

use crate::failure::Failure;
use crate::parse::Call;
use std::future::Future;
use std::pin::Pin;

/// How a command is run; the number is the exit code.
pub type Run = for<'a> fn(&'a Call) -> Pin<Box<dyn Future<Output = Result<u8, Failure>> + 'a>>;

/// A command, or a group of commands.
pub struct Command {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    /// One line, starting with a verb.
    pub about: &'static str,
    /// What follows the name, as documentation writes it.
    pub usage: &'static str,
    pub flags: &'static [&'static [Flag]],
    /// How many arguments there may be.
    pub args: (usize, usize),
    /// After this many arguments everything belongs to the command to be run, flags too.
    pub rest_after: usize,
    /// What one types, and what it does.
    pub examples: &'static [(&'static str, &'static str)],
    pub subs: &'static [&'static [Command]],
    /// Flags of this command and of all commands below it.
    pub globals: &'static [Flag],
    pub run: Option<Run>,
    /// What its arguments name, for completion.
    pub completes: Names,
}

/// What a shell offers for the arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Names {
    Files,
    Containers,
    Images,
    Networks,
    Volumes,
    Kinds,
    Nothing,
}

/// As many arguments as one likes.
pub const MANY: usize = usize::MAX;

/// What most rows have; for `..NONE`.
pub const NONE: Command = Command {
    name: "",
    aliases: &[],
    about: "",
    usage: "",
    flags: &[],
    args: (0, 0),
    rest_after: MANY,
    examples: &[],
    subs: &[],
    globals: &[],
    run: None,
    completes: Names::Nothing,
};

impl Command {
    /// The command below this one that goes by a name.
    pub fn sub(&self, name: &str) -> Option<&'static Command> {
        self.commands().find(|sub| sub.name == name || sub.aliases.contains(&name))
    }

    pub fn commands(&self) -> impl Iterator<Item = &'static Command> + use<> {
        self.subs.iter().flat_map(|group| group.iter())
    }

    pub fn own_flags(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        self.flags.iter().flat_map(|group| group.iter())
    }
}

/// An option.
pub struct Flag {
    /// Without the dashes; what [`Call`] knows it by.
    pub long: &'static str,
    pub short: Option<char>,
    pub help: &'static str,
    pub takes: Takes,
}

/// What an option is given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing, or `=true` and `=false`.
    Nothing,
    /// A value of this description; the last one counts.
    One(&'static str),
    /// Values; all count.
    Many(&'static str),
    /// `=VALUE`, or this when there is none.
    Perhaps(&'static str, &'static str),
}

/// A switch.
pub const fn on(long: &'static str, short: Option<char>, help: &'static str) -> Flag {
    Flag { long, short, help, takes: Takes::Nothing }
}

/// An option with a value.
pub const fn one(
    long: &'static str,
    short: Option<char>,
    value: &'static str,
    help: &'static str,
) -> Flag {
    Flag { long, short, help, takes: Takes::One(value) }
}

/// An option that may be repeated.
pub const fn many(
    long: &'static str,
    short: Option<char>,
    value: &'static str,
    help: &'static str,
) -> Flag {
    Flag { long, short, help, takes: Takes::Many(value) }
}

/// An option whose value may be left out.
pub const fn perhaps(
    long: &'static str,
    value: &'static str,
    missing: &'static str,
    help: &'static str,
) -> Flag {
    Flag { long, short: None, help, takes: Takes::Perhaps(value, missing) }
}

/// Makes a row's `run` from an async function.
macro_rules! run {
    ($call:path) => {
        Some(|call| Box::pin($call(call)))
    };
}
pub(crate) use run;
