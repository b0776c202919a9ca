//! From rules to BPF instructions. Pure.

use super::{Action, Condition, Filter, Op, Rule};

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JEQ: u16 = 0x15;
const JGT: u16 = 0x25;
const JGE: u16 = 0x35;
const RETURN: u16 = 0x06;

const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARGS: u32 = 16;
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
/// x32 calls carry this bit.
const X32: u32 = 0x4000_0000;

type Code = Vec<[u8; 8]>;

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> [u8; 8] {
    let (c, k) = (code.to_ne_bytes(), k.to_ne_bytes());
    [c[0], c[1], jt, jf, k[0], k[1], k[2], k[3]]
}

fn returns(action: Action) -> [u8; 8] {
    instruction(RETURN, 0, 0, action.0)
}

pub fn program(filter: &Filter) -> Code {
    let foreign = returns(Action::errno(libc::ENOSYS as u32));
    let mut code = vec![
        instruction(LOAD, 0, 0, OFFSET_ARCH),
        instruction(JEQ, 1, 0, ARCH),
        foreign,
        instruction(LOAD, 0, 0, OFFSET_NUMBER),
        instruction(JGE, 0, 1, X32),
        foreign,
    ];
    code.extend(tree(&ranges(filter), filter.otherwise));
    code
}

/// From this number on, up to the next range, these rules hold.
struct Range<'a> {
    from: u32,
    rules: &'a [Rule],
}

/// Neighbours with equal rules become one range; gaps get no rules.
fn ranges(filter: &Filter) -> Vec<Range<'_>> {
    let mut out = vec![Range { from: 0, rules: &[] }];
    let mut next = 0;
    for (number, rules) in &filter.calls {
        let rules = significant(rules);
        if *number > next {
            push(&mut out, Range { from: next, rules: &[] });
        }
        push(&mut out, Range { from: *number, rules });
        next = number + 1;
    }
    push(&mut out, Range { from: next, rules: &[] });
    out
}

/// Rules after an unconditional one never count.
fn significant(rules: &[Rule]) -> &[Rule] {
    let end = rules.iter().position(|rule| rule.conditions.is_empty());
    end.map_or(rules, |end| &rules[..=end])
}

fn push<'a>(out: &mut Vec<Range<'a>>, range: Range<'a>) {
    match out.last_mut() {
        Some(last) if last.from == range.from => last.rules = range.rules,
        Some(last) if last.rules == range.rules => {}
        _ => out.push(range),
    }
}

/// Binary search; every leaf returns.
fn tree(ranges: &[Range<'_>], otherwise: Action) -> Code {
    let [range] = ranges else {
        let middle = ranges.len() / 2;
        let left = tree(&ranges[..middle], otherwise);
        let right = tree(&ranges[middle..], otherwise);
        return branch(ranges[middle].from, left, right);
    };
    let mut code: Code = range.rules.iter().flat_map(rule).collect();
    if range.rules.last().is_none_or(|rule| !rule.conditions.is_empty()) {
        code.push(returns(otherwise));
    }
    code
}

/// Conditional jumps reach 255 instructions; farther ones take a plain jump.
fn branch(from: u32, left: Code, right: Code) -> Code {
    let mut code = match u8::try_from(left.len()) {
        Ok(skip) => vec![instruction(JGE, skip, 0, from)],
        Err(_) => {
            let far = left.len() as u32;
            vec![instruction(JGE, 0, 1, from), instruction(JUMP, 0, 0, far)]
        }
    };
    code.extend(left);
    code.extend(right);
    code
}

#[derive(Clone, Copy)]
enum To {
    Next,
    /// The condition holds.
    Hold,
    /// The rule does not apply.
    Fail,
}

type Abstract = (u16, u32, To, To);

/// Checks all conditions, returns the action if they hold, else falls off the end.
fn rule(rule: &Rule) -> Code {
    let parts: Vec<Vec<Abstract>> = rule.conditions.iter().map(condition).collect();
    let total: usize = parts.iter().map(Vec::len).sum();
    let mut code = Code::new();
    for part in &parts {
        let end = code.len() + part.len();
        for (op, k, yes, no) in part {
            let at = code.len() + 1;
            let reach = |to: &To| match to {
                To::Next => 0,
                To::Hold => (end - at) as u8,
                To::Fail => (total + 1 - at) as u8,
            };
            code.push(instruction(*op, reach(yes), reach(no), *k));
        }
    }
    code.push(returns(rule.action));
    code
}

/// 64-bit comparisons in two halves.
fn condition(c: &Condition) -> Vec<Abstract> {
    use To::{Fail, Hold, Next};
    let offset = OFFSET_ARGS + 8 * u32::from(c.argument);
    let low = (LOAD, offset, Next, Next);
    let high = (LOAD, offset + 4, Next, Next);
    let (vl, vh) = (c.value as u32, (c.value >> 32) as u32);
    match c.op {
        Op::Eq => vec![high, (JEQ, vh, Next, Fail), low, (JEQ, vl, Next, Fail)],
        Op::Ne => vec![high, (JEQ, vh, Next, Hold), low, (JEQ, vl, Fail, Next)],
        Op::Masked(mask) => vec![
            high,
            (AND, (mask >> 32) as u32, Next, Next),
            (JEQ, vh, Next, Fail),
            low,
            (AND, mask as u32, Next, Next),
            (JEQ, vl, Next, Fail),
        ],
        Op::Gt => above(high, low, vh, (JGT, vl)),
        Op::Ge => above(high, low, vh, (JGE, vl)),
        Op::Lt => {
            vec![high, (JGT, vh, Fail, Next), (JEQ, vh, Next, Hold), low, (JGE, vl, Fail, Next)]
        }
        Op::Le => {
            vec![high, (JGT, vh, Fail, Next), (JEQ, vh, Next, Hold), low, (JGT, vl, Fail, Next)]
        }
    }
}

fn above(high: Abstract, low: Abstract, vh: u32, last: (u16, u32)) -> Vec<Abstract> {
    use To::{Fail, Hold, Next};
    vec![high, (JGT, vh, Hold, Next), (JEQ, vh, Next, Fail), low, (last.0, last.1, Next, Fail)]
}
