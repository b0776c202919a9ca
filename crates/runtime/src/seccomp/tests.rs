use super::*;

/// Runs a program the way the kernel does; panics on anything malformed.
fn run(code: &[[u8; 8]], arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(number.to_ne_bytes());
    data.extend(arch.to_ne_bytes());
    data.extend([0; 8]);
    args.iter().for_each(|arg| data.extend(arg.to_ne_bytes()));
    let (mut at, mut a) = (0, 0);
    loop {
        let i = code[at];
        let op = u16::from_ne_bytes([i[0], i[1]]);
        let k = u32::from_ne_bytes([i[4], i[5], i[6], i[7]]);
        let jump = |yes: bool| usize::from(if yes { i[2] } else { i[3] });
        at += 1;
        match op {
            0x20 => a = u32::from_ne_bytes(data[k as usize..k as usize + 4].try_into().unwrap()),
            0x54 => a &= k,
            0x05 => at += k as usize,
            0x15 => at += jump(a == k),
            0x25 => at += jump(a > k),
            0x35 => at += jump(a >= k),
            0x06 => return k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

const NATIVE: u32 = 0xc000_003e;

fn verdict(program: &Program, name: &str, first: u64) -> u32 {
    run(&program.code, NATIVE, number(name).unwrap(), [first, 0, 0, 0, 0, 0])
}

const ALLOW: u32 = Action::ALLOW.0;
const EPERM: u32 = Action::errno(1).0;
const ENOSYS: u32 = Action::errno(38).0;

#[test]
fn default_profile_matches_its_table() {
    let program = default_program(0);
    assert!(program.code.len() < 4096);
    let always: Vec<&str> = default::ALWAYS.split_whitespace().collect();
    for (name, _) in calls::CALLS {
        let expected = match *name {
            "clone" | "socket" | "personality" => continue,
            "clone3" => ENOSYS,
            name if always.contains(&name) => ALLOW,
            _ => EPERM,
        };
        assert_eq!(verdict(&program, name, 0), expected, "{name}");
    }
    assert!(always.iter().all(|name| number(name).is_some()));
}

#[test]
fn default_profile_looks_at_arguments() {
    let program = default_program(0);
    assert_eq!(verdict(&program, "socket", 2), ALLOW);
    assert_eq!(verdict(&program, "socket", 40), EPERM);
    assert_eq!(verdict(&program, "socket", 38), EPERM);
    assert_eq!(verdict(&program, "clone", 0x11), ALLOW);
    assert_eq!(verdict(&program, "clone", 0x1000_0000), EPERM);
    assert_eq!(verdict(&program, "personality", 8), ALLOW);
    assert_eq!(verdict(&program, "personality", 9), EPERM);
    let admin = default_program(1 << 21);
    assert_eq!(verdict(&admin, "clone", 0x1000_0000), ALLOW);
    assert_eq!(verdict(&admin, "clone3", 0), ALLOW);
    assert_eq!(verdict(&admin, "mount", 0), ALLOW);
}

#[test]
fn foreign_architectures_get_enosys() {
    let program = default_program(0);
    assert_eq!(run(&program.code, 0x4000_0003, 1, [0; 6]), ENOSYS);
    assert_eq!(run(&program.code, NATIVE, 0x4000_0001, [0; 6]), ENOSYS);
    assert_eq!(run(&program.code, NATIVE, 9999, [0; 6]), EPERM);
}

#[test]
fn comparisons_are_64_bit() {
    let big = 0x1_0000_0005_u64;
    type Tries<'a> = &'a [(u64, bool)];
    let cases: &[(&str, u64, Tries<'_>)] = &[
        ("SCMP_CMP_EQ", big, &[(big, true), (5, false), (big + 1, false)]),
        ("SCMP_CMP_NE", big, &[(big, false), (5, true), (big + 1, true)]),
        ("SCMP_CMP_LT", big, &[(big, false), (6, true), (big - 1, true), (2 * big, false)]),
        ("SCMP_CMP_LE", big, &[(big, true), (6, true), (big + 1, false)]),
        ("SCMP_CMP_GT", big, &[(big, false), (6, false), (big + 1, true), (2 * big, true)]),
        ("SCMP_CMP_GE", big, &[(big, true), (6, false), (big - 1, false)]),
    ];
    for (op, value, tries) in cases {
        let json = format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["read"],
            "action":"SCMP_ACT_ALLOW","args":[{{"index":0,"value":{value},"op":"{op}"}}]}}]}}"#
        );
        let program = profile_program(&json, 0).unwrap();
        for (argument, held) in *tries {
            let expected = if *held { ALLOW } else { EPERM };
            assert_eq!(verdict(&program, "read", *argument), expected, "{argument} {op} {value}");
        }
    }
}

#[test]
fn what_cannot_be_expressed_is_refused() {
    for json in [
        "{",
        r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#,
        r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/x"}"#,
        r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG"]}"#,
        r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_ARM"]}"#,
    ] {
        assert!(profile_program(json, 0).is_err(), "{json}");
    }
}
