//! Device rules on cgroup v2: a small BPF program of type CGROUP_DEVICE.
//!
//! Like v1, the last rule that matches decides. (The program form follows crun's and runc's
//! `ebpf/devicefilter`, written for this rule type.) Attaching needs CAP_BPF or CAP_SYS_ADMIN.

use crate::spec::{DeviceKind, DeviceRule};
use crate::sys;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

/// One eBPF instruction as the kernel reads it.
type Instruction = [u8; 8];

const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xbf;
const MOVE_VALUE: u8 = 0xb7;
const AND_VALUE: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_NOT_EQUAL: u8 = 0x55;
const JUMP_NOT_EQUAL_REGISTER: u8 = 0x5d;
const EXIT: u8 = 0x95;

/// Registers: what is asked for.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

const fn instruction(code: u8, to: u8, from: u8, offset: i16, value: i32) -> Instruction {
    let (o, v) = (offset.to_ne_bytes(), value.to_ne_bytes());
    [code, to | from << 4, o[0], o[1], v[0], v[1], v[2], v[3]]
}

/// The program; everything that no rule matches is allowed, as in a new v1 cgroup.
pub fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut code = vec![
        instruction(LOAD_WORD, KIND, CONTEXT, 0, 0),
        instruction(MOVE, ACCESS, KIND, 0, 0),
        instruction(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        instruction(AND_VALUE, KIND, 0, 0, 0xffff),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in rules.iter().rev() {
        code.extend(check(rule));
        if matches_all(rule) {
            return code;
        }
    }
    code.extend(verdict(true));
    code
}

fn verdict(allow: bool) -> [Instruction; 2] {
    [instruction(MOVE_VALUE, RESULT, 0, 0, i32::from(allow)), instruction(EXIT, 0, 0, 0, 0)]
}

fn matches_all(rule: &DeviceRule) -> bool {
    rule.kind == DeviceKind::All && access(&rule.access) == 7
}

/// BPF_DEVCG_ACC_MKNOD 1, READ 2, WRITE 4.
fn access(text: &str) -> i32 {
    let bit = |letter: char, bit: i32| if text.contains(letter) { bit } else { 0 };
    bit('m', 1) | bit('r', 2) | bit('w', 4)
}

/// Jumps to the next rule at the first difference. A partial denial hits when any of its
/// accesses is asked for, a partial permission only when it covers all of them.
fn check(rule: &DeviceRule) -> Vec<Instruction> {
    let mut tests: Vec<Vec<Instruction>> = Vec::new();
    let differs = |register, value| vec![instruction(JUMP_NOT_EQUAL, register, 0, 0, value)];
    match rule.kind {
        DeviceKind::Block => tests.push(differs(KIND, 1)),
        DeviceKind::Char => tests.push(differs(KIND, 2)),
        DeviceKind::All | DeviceKind::Fifo => {}
    }
    let bits = access(&rule.access);
    if bits != 7 {
        let masked = vec![
            instruction(MOVE, SCRATCH, ACCESS, 0, 0),
            instruction(AND_VALUE, SCRATCH, 0, 0, bits),
        ];
        tests.push(masked);
        tests.push(match rule.allow {
            true => vec![instruction(JUMP_NOT_EQUAL_REGISTER, SCRATCH, ACCESS, 0, 0)],
            // Equal to zero: jump over the jump that would not be taken.
            false => vec![
                instruction(JUMP_NOT_EQUAL, SCRATCH, 0, 1, 0),
                instruction(JUMP_ALWAYS, 0, 0, 0, 0),
            ],
        });
    }
    if rule.kind != DeviceKind::All {
        tests.extend(rule.major.map(|major| differs(MAJOR, major as i32)));
        tests.extend(rule.minor.map(|minor| differs(MINOR, minor as i32)));
    }
    let mut code: Vec<Instruction> = tests.into_iter().flatten().collect();
    code.extend(verdict(rule.allow));
    let end = code.len() as i16;
    for (at, one) in code.iter_mut().enumerate() {
        let leaves = matches!(one[0], JUMP_NOT_EQUAL | JUMP_NOT_EQUAL_REGISTER | JUMP_ALWAYS);
        if leaves && one[2..4] == [0, 0] {
            one[2..4].copy_from_slice(&(end - at as i16 - 1).to_ne_bytes());
        }
    }
    code
}

const JUMP_ALWAYS: u8 = 0x05;

/// Puts the rules on a cgroup; they stay as long as it exists.
pub fn attach(cgroup: &Path, rules: &[DeviceRule]) -> io::Result<()> {
    let program: OwnedFd = sys::bpf_load_device(&program(rules))?;
    let dir = sys::open(cgroup, libc::O_DIRECTORY)?;
    sys::bpf_attach_device(dir.as_fd().as_raw_fd(), program.as_fd().as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program the way the kernel does.
    fn run(code: &[Instruction], kind: i64, access: i64, major: i64, minor: i64) -> bool {
        let context = [kind | access << 16, major, minor];
        let mut registers = [0_i64; 11];
        let mut at = 0;
        loop {
            let i = code[at];
            let (to, from) = (usize::from(i[1] & 15), usize::from(i[1] >> 4));
            let offset = i16::from_ne_bytes([i[2], i[3]]);
            let value = i64::from(i32::from_ne_bytes([i[4], i[5], i[6], i[7]]));
            let mut jump = |yes: bool| at += if yes { offset as usize } else { 0 };
            match i[0] {
                LOAD_WORD => registers[to] = context[offset as usize / 4],
                MOVE => registers[to] = registers[from],
                MOVE_VALUE => registers[to] = value,
                AND_VALUE => registers[to] &= value,
                SHIFT_RIGHT => registers[to] >>= value,
                JUMP_NOT_EQUAL => jump(registers[to] != value),
                JUMP_NOT_EQUAL_REGISTER => jump(registers[to] != registers[from]),
                JUMP_ALWAYS => jump(true),
                EXIT => return registers[0] == 1,
                other => panic!("instruction {other:#x}"),
            }
            at += 1;
        }
    }

    #[test]
    fn docker_rules() {
        const BLOCK: i64 = 1;
        const CHAR: i64 = 2;
        let mut rules = crate::defaults::device_rules();
        let code = program(&rules);
        assert!(run(&code, CHAR, 6, 1, 3));
        assert!(run(&code, CHAR, 2, 136, 99));
        assert!(run(&code, BLOCK, 1, 254, 0));
        assert!(!run(&code, BLOCK, 2, 254, 0));
        assert!(!run(&code, BLOCK, 3, 254, 0));
        assert!(!run(&code, CHAR, 2, 10, 200));
        rules.push(DeviceRule {
            allow: false,
            kind: DeviceKind::Char,
            major: Some(1),
            minor: Some(3),
            access: "w".to_string(),
        });
        let code = program(&rules);
        assert!(run(&code, CHAR, 2, 1, 3) && !run(&code, CHAR, 6, 1, 3));
        assert!(run(&program(&[]), BLOCK, 7, 8, 0));
    }

    /// The kernel's verifier takes it, and a cgroup2 directory too.
    #[test]
    fn the_kernel_accepts_it() {
        let Some((root, _)) = crate::cgroup::Layout::detect().unified else {
            return eprintln!("skipped: no cgroup2 mount");
        };
        let dir = root.join(format!("boxship-bpf-test-{}", std::process::id()));
        if let Err(error) = std::fs::create_dir(&dir) {
            return eprintln!("skipped: {error}");
        }
        let result = attach(&dir, &crate::defaults::device_rules());
        std::fs::remove_dir(&dir).unwrap();
        match result {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                eprintln!("skipped: no CAP_BPF");
            }
            other => other.unwrap(),
        }
    }
}
