use super::node::{Node, process, read_all, read_until, wait, wait_exec};
use runtime::{ExecSpec, LogFormat, Runtime, Stdin, TtySize};
use std::fs::{self, File};
use std::io::Write;

#[test]
fn stdin_once_reaches_its_end() {
    let Some(node) = Node::new() else { return };
    let mut spec = node.spec("a", "cat; echo done");
    spec.stdin = Stdin::Once;
    let mut events = node.keeper.events().unwrap();
    node.keeper.create(&spec).unwrap();
    let stdio = node.attach("a");
    node.keeper.start("a").unwrap();
    // More than any pipe or socket holds.
    let text = "0123456789abcdef".repeat(40_000);
    let mut stdin = File::from(stdio.stdin.unwrap());
    let sent = text.clone();
    let writer = std::thread::spawn(move || stdin.write_all(sent.as_bytes()).unwrap());
    let out = read_all(stdio.stdout.unwrap());
    writer.join().unwrap();
    assert_eq!(out, format!("{text}done\n"));
    assert_eq!(wait(&mut *events, "a").code, 0);
    assert_eq!(node.output("a"), format!("{text}done\n"));
}

#[test]
fn open_stdin_survives_clients() {
    let Some(node) = Node::new() else { return };
    let mut spec = node.spec("a", "read x; echo got $x; read x; echo got $x");
    spec.stdin = Stdin::Open;
    node.launch(&spec);
    for word in ["one", "two"] {
        let stdio = node.attach("a");
        let mut out = File::from(stdio.stdout.unwrap());
        writeln!(File::from(stdio.stdin.unwrap()), "{word}").unwrap();
        read_until(&mut out, &format!("got {word}\n"));
    }
}

#[test]
fn slow_clients_lose_nothing() {
    let Some(node) = Node::new() else { return };
    let mut events = node.keeper.events().unwrap();
    node.keeper.create(&node.spec("a", "seq 1 300000")).unwrap();
    let (slow, fast) = (node.attach("a"), node.attach("a"));
    node.keeper.start("a").unwrap();
    let fast = std::thread::spawn(move || read_all(fast.stdout.unwrap()));
    // The slow one has read nothing yet, so the container cannot be through.
    let first =
        read_until(&mut File::from(slow.stdout.as_ref().unwrap().try_clone().unwrap()), "1000\n");
    let rest = read_all(slow.stdout.unwrap());
    let whole: String = (1..=300_000).map(|n| format!("{n}\n")).collect();
    assert!(format!("{first}{rest}") == whole);
    assert!(fast.join().unwrap() == whole);
    wait(&mut *events, "a");
    assert!(node.output("a") == whole);
}

#[test]
fn terminal() {
    let Some(node) = Node::new() else { return };
    let script =
        "tty; stty size; read x; echo got $x >&2; ls -l /dev/console | grep -c 'crw'; stty size";
    let mut spec = node.spec("a", script);
    spec.process.tty = Some(TtySize { rows: 40, cols: 100 });
    spec.stdin = Stdin::Open;
    let mut events = node.keeper.events().unwrap();
    node.keeper.create(&spec).unwrap();
    let stdio = node.attach("a");
    assert!(stdio.stderr.is_none());
    node.keeper.start("a").unwrap();
    let mut out = File::from(stdio.stdout.unwrap());
    read_until(&mut out, "/dev/pts/0\r\n40 100\r\n");
    node.keeper.resize("a", TtySize { rows: 50, cols: 120 }).unwrap();
    File::from(stdio.stdin.unwrap()).write_all(b"word\n").unwrap();
    read_until(&mut out, "got word\r\n1\r\n50 120\r\n");
    assert_eq!(wait(&mut *events, "a").code, 0);
}

#[test]
fn exec_with_terminal_and_stdin() {
    let Some(node) = Node::new() else { return };
    node.launch(&node.spec("a", "sleep 1000"));
    let mut events = node.keeper.events().unwrap();
    let mut spec = ExecSpec {
        id: "x".to_string(),
        container: "a".to_string(),
        process: process("tty; read x; echo got $x; exit 3"),
        stdin: true,
    };
    spec.process.tty = Some(TtySize { rows: 24, cols: 80 });
    let started = node.keeper.exec(&spec).unwrap();
    let mut out = File::from(started.stdio.stdout.unwrap());
    read_until(&mut out, "/dev/pts/0\r\n");
    node.keeper.exec_resize("x", TtySize { rows: 30, cols: 90 }).unwrap();
    File::from(started.stdio.stdin.unwrap()).write_all(b"word\n").unwrap();
    read_until(&mut out, "got word\r\n");
    assert_eq!(wait_exec(&mut *events, "x"), 3);
    spec.id = "y".to_string();
    spec.process = process("cat; echo end");
    let started = node.keeper.exec(&spec).unwrap();
    File::from(started.stdio.stdin.unwrap()).write_all(b"text\n").unwrap();
    assert_eq!(read_all(started.stdio.stdout.unwrap()), "text\nend\n");
}

#[test]
fn json_logs_rotate() {
    let Some(node) = Node::new() else { return };
    let mut spec = node.spec("a", "seq 1 1000; printf 'no newline'");
    spec.logs.format = LogFormat::JsonFile;
    (spec.logs.max_size, spec.logs.max_files) = (20_000, 3);
    let mut events = node.keeper.events().unwrap();
    node.launch(&spec);
    wait(&mut *events, "a");
    let read = |name: &str| fs::read_to_string(node.path(name)).unwrap_or_default();
    assert!(read("a.log.3").is_empty() && read("a.log").len() <= 20_000);
    let all = format!("{}{}{}", read("a.log.2"), read("a.log.1"), read("a.log"));
    let last = all.lines().last().unwrap();
    assert!(last.starts_with(r#"{"log":"no newline","stream":"stdout","time":"20"#), "{last}");
    assert!(last.ends_with("Z\"}"), "{last}");
    let numbers: Vec<u32> = all
        .lines()
        .filter_map(|line| line.strip_prefix("{\"log\":\"")?.split_once("\\n")?.0.parse().ok())
        .collect();
    assert!(numbers.len() > 300 && numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    assert_eq!(numbers.last(), Some(&1000));
}

#[test]
fn cri_logs_mark_partial_lines_and_reopen() {
    let Some(node) = Node::new() else { return };
    let spec = node.spec("a", "echo first; read x; head -c 20000 /dev/zero; echo; printf part");
    let mut spec = spec;
    spec.stdin = Stdin::Once;
    node.keeper.create(&spec).unwrap();
    let stdio = node.attach("a");
    node.keeper.start("a").unwrap();
    read_until(&mut File::from(stdio.stdout.as_ref().unwrap().try_clone().unwrap()), "first\n");
    fs::rename(node.path("a.log"), node.path("old.log")).unwrap();
    node.keeper.reopen_log("a").unwrap();
    let mut events = node.keeper.events().unwrap();
    File::from(stdio.stdin.unwrap()).write_all(b"go\n").unwrap();
    read_all(stdio.stdout.unwrap());
    wait(&mut *events, "a");
    assert!(fs::read_to_string(node.path("old.log")).unwrap().ends_with(" stdout F first\n"));
    let log = fs::read_to_string(node.path("a.log")).unwrap();
    let tags: Vec<(&str, usize)> = log
        .lines()
        .map(|line| line.splitn(4, ' ').collect::<Vec<_>>())
        .map(|words| (words[2], words[3].len()))
        .collect();
    assert_eq!(tags, [("P", 16_384), ("F", 3_616), ("P", 4)]);
}
