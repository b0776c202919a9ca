//! Instructions to stages: which stage stands on which.

use crate::instruction::{Command, Instruction};
use crate::parse::Dockerfile;
use crate::problem::{Problem, Result};

/// A FROM and what follows it. `image` and `platform` are not expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    pub index: usize,
    pub line: usize,
    pub image: String,
    pub platform: Option<String>,
    pub name: Option<String>,
    pub instructions: Vec<Instruction>,
}

/// The ARGs before the first FROM, and the stages in order.
pub fn stages(file: &Dockerfile) -> Result<(Vec<Instruction>, Vec<Stage>)> {
    let (mut globals, mut out) = (Vec::new(), Vec::<Stage>::new());
    for instruction in &file.instructions {
        match (&instruction.command, out.last_mut()) {
            (Command::From { image, platform, name }, _) => out.push(Stage {
                index: out.len(),
                line: instruction.line,
                image: image.clone(),
                platform: platform.clone(),
                name: name.clone(),
                instructions: Vec::new(),
            }),
            (_, Some(stage)) => stage.instructions.push(instruction.clone()),
            (Command::Arg(_), None) => globals.push(instruction.clone()),
            (_, None) => {
                let word = instruction.text.split_whitespace().next().unwrap_or_default();
                let text = format!("no build stage in current context: {word} before FROM");
                return Err(Problem::new(instruction.line, text)
                    .hint("begin with FROM image, or FROM scratch")
                    .in_text(&file.text));
            }
        }
    }
    if out.is_empty() {
        return Err(Problem::new(0, "dockerfile contains no stages to build"));
    }
    Ok((globals, out))
}

/// The stage before `before` that a name or number means.
pub fn find(stages: &[Stage], wanted: &str, before: usize) -> Option<usize> {
    let known = &stages[..before.min(stages.len())];
    let named = |s: &&Stage| s.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(wanted));
    known.iter().rev().find(named).map(|s| s.index)
}

/// As [`find`], numbers too: COPY --from, --mount from and --target take them, FROM does not.
pub fn find_or_index(stages: &[Stage], wanted: &str, before: usize) -> Option<usize> {
    let number = wanted.parse::<usize>().ok().filter(|n| *n < before.min(stages.len()));
    find(stages, wanted, before).or(number)
}
