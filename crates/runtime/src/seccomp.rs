//! Seccomp profiles compiled to BPF.
//!
//! Own compiler rather than a crate: a profile has several actions and arguments conditions at
//! once, and the calls are found by binary search (9 comparisons instead of 350 per system
//! call). Programs of other architectures (32-bit, x32) get ENOSYS for every call. Nothing is
//! skipped silently: what cannot be expressed is refused, unknown names give a warning.

mod assemble;
mod calls;
mod default;
mod profile;
#[cfg(test)]
mod tests;

pub use profile::profile_program;

use std::collections::BTreeMap;

/// Instructions as the kernel reads them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Program {
    pub code: Vec<[u8; 8]>,
    pub warnings: Vec<String>,
}

/// The kernel's return value: action and data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Action(u32);

impl Action {
    const ALLOW: Self = Self(0x7fff_0000);

    const fn errno(number: u32) -> Self {
        Self(0x0005_0000 | (number & 0xffff))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// `argument & mask == value`
    Masked(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Condition {
    argument: u8,
    op: Op,
    value: u64,
}

/// All conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    action: Action,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone)]
struct Filter {
    /// By number; the first rule that holds decides.
    calls: BTreeMap<u32, Vec<Rule>>,
    otherwise: Action,
}

impl Filter {
    fn new(otherwise: Action) -> Self {
        Self { calls: BTreeMap::new(), otherwise }
    }

    /// False when this architecture has no such call.
    fn add(&mut self, name: &str, action: Action, conditions: Vec<Condition>) -> bool {
        let Some(number) = number(name) else { return false };
        self.calls.entry(number).or_default().push(Rule { action, conditions });
        true
    }
}

fn number(name: &str) -> Option<u32> {
    calls::CALLS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// Docker's default profile for a container with these capabilities.
pub fn default_program(capabilities: u64) -> Program {
    let mut filter = Filter::new(Action::errno(libc::EPERM as u32));
    let mut allow = |names: &str| {
        for name in names.split_whitespace() {
            filter.add(name, Action::ALLOW, Vec::new());
        }
    };
    allow(default::ALWAYS);
    let mut admin = false;
    for name in crate::caps::names(capabilities) {
        admin |= name == "CAP_SYS_ADMIN";
        let rows = default::WITH_CAPABILITY.iter().filter(|(cap, _)| *cap == name);
        rows.for_each(|(_, names)| allow(names));
    }
    if !admin {
        let op = Op::Masked(default::CLONE_NAMESPACES);
        let plain = Condition { argument: 0, op, value: 0 };
        filter.add("clone", Action::ALLOW, vec![plain]);
        // Its flags lie in memory where no filter sees them; libc falls back to clone.
        filter.add("clone3", Action::errno(libc::ENOSYS as u32), Vec::new());
    }
    let first = |op, value| vec![Condition { argument: 0, op, value }];
    filter.add("socket", Action::ALLOW, first(Op::Lt, default::SOCKETS_BELOW));
    for family in default::SOCKETS {
        filter.add("socket", Action::ALLOW, first(Op::Eq, *family));
    }
    for value in default::PERSONALITIES {
        filter.add("personality", Action::ALLOW, first(Op::Eq, *value));
    }
    Program { code: assemble::program(&filter), warnings: Vec::new() }
}
