//! logs, attach, exec, cp, terminals, stats, events.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::bench::{Bench, said};

#[test]
fn logs_in_their_forms() {
    let Some(b) = Bench::start("log") else { return };
    b.ok(&["run", "--name", "lg", "busybox", "sh", "-c", "echo a; echo b >&2; echo c"]);
    let both = b.docker(&["logs", "lg"]);
    assert_eq!((both.out.as_str(), both.err.as_str()), ("a\nc\n", "b\n"));
    let newest = b.docker(&["logs", "--tail", "1", "lg"]);
    assert_eq!((newest.out + &newest.err).lines().count(), 1);
    assert!(b.ok(&["logs", "-t", "lg"]).lines().all(|l| l.contains('T') && l.contains("Z ")));
    // Following a running container ends with it.
    let script = "for i in 1 2 3; do echo $i; sleep 0.05; done";
    b.ok(&["run", "-d", "--name", "fl", "busybox", "sh", "-c", script]);
    assert_eq!(b.ok(&["logs", "-f", "fl"]), "1\n2\n3");
}

#[test]
fn standard_input() {
    let Some(b) = Bench::start("inp") else { return };
    let mut cat = b
        .command(&["run", "--rm", "-i", "busybox", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let big = "x".repeat(300_000);
    cat.stdin.take().unwrap().write_all(big.as_bytes()).unwrap();
    let said = said(cat.wait_with_output().unwrap());
    assert_eq!(said.code, 0);
    assert_eq!(said.out.len(), big.len());
}

#[test]
fn exec_and_its_codes() {
    let Some(b) = Bench::start("exe") else { return };
    b.ok(&["run", "-d", "--name", "ex", "-e", "A=b", "busybox", "sleep", "1000"]);
    assert_eq!(b.ok(&["exec", "ex", "sh", "-c", "echo $A"]), "b");
    assert_eq!(
        b.ok(&["exec", "-u", "ann", "-w", "/tmp", "ex", "sh", "-c", "id -u; pwd"]),
        "7\n/tmp"
    );
    assert_eq!(b.docker(&["exec", "ex", "sh", "-c", "exit 9"]).code, 9);
    assert_eq!(b.docker(&["exec", "ex", "nope"]).code, 127);
    let both = b.docker(&["exec", "ex", "sh", "-c", "echo o; echo e >&2"]);
    assert_eq!((both.out.as_str(), both.err.as_str()), ("o\n", "e\n"));
    b.ok(&["exec", "-d", "ex", "touch", "/made"]);
    let mut cat = b
        .command(&["exec", "-i", "ex", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    cat.stdin.take().unwrap().write_all(b"through").unwrap();
    assert_eq!(said(cat.wait_with_output().unwrap()).out, "through");
}

/// Runs docker on a terminal of its own, as `script` makes one.
fn on_terminal(b: &Bench, line: &str, input: &str) -> String {
    let mut script = Command::new("script")
        .args(["-qec", line, "/dev/null"])
        .env("DOCKER_HOST", b.host())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    script.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8_lossy(&script.wait_with_output().unwrap().stdout).into_owned()
}

#[test]
fn terminals() {
    let Some(b) = Bench::start("tty") else { return };
    let seen = on_terminal(&b, "docker run --rm -it busybox sh", "tty; exit\n");
    assert!(seen.contains("/dev/pts/0") || seen.contains("/dev/console"), "{seen}");
    b.ok(&["run", "-d", "--name", "tt", "busybox", "sleep", "1000"]);
    let seen = on_terminal(&b, "docker exec -it tt sh", "test -t 0 && echo ter''minal; exit\n");
    assert!(seen.contains("terminal"), "{seen}");
}

#[test]
fn copies() {
    let Some(b) = Bench::start("cp") else { return };
    let file = b.path("in");
    std::fs::write(&file, "payload").unwrap();
    let (file, back) = (file.display().to_string(), b.path("back").display().to_string());
    b.ok(&["create", "--name", "cc", "busybox", "sleep", "1000"]);
    for state in ["created", "running"] {
        b.ok(&["cp", &file, "cc:/tmp/in"]);
        b.ok(&["cp", "cc:/tmp/in", &back]);
        assert_eq!(std::fs::read_to_string(&back).unwrap(), "payload", "{state}");
        b.ok(&["start", "cc"]);
    }
    let missing = b.docker(&["cp", "cc:/nope", &back]);
    assert!(
        missing.err.contains("Could not find the file /nope in container cc"),
        "{}",
        missing.err
    );
    // A link that points out of the container stays inside it.
    b.ok(&["exec", "cc", "ln", "-s", "/../../../../..", "/tmp/up"]);
    b.ok(&["cp", &file, "cc:/tmp/up/escaped"]);
    assert_eq!(b.ok(&["exec", "cc", "cat", "/escaped"]), "payload");
    assert!(b.ok(&["diff", "cc"]).contains("A /escaped"));
}

#[test]
fn numbers_and_events() {
    let Some(b) = Bench::start("num") else { return };
    b.ok(&["run", "-d", "--name", "nn", "busybox", "sleep", "1000"]);
    let row = b.ok(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "nn"]);
    assert_eq!(row, "nn 1");
    b.ok(&["rm", "-f", "nn"]);
    let events =
        ["events", "--since", "1h", "--filter", "type=container", "--format", "{{.Action}}"];
    let mut stream = b.command(&events).stdout(Stdio::piped()).spawn().unwrap();
    let lines = std::io::BufReader::new(stream.stdout.take().unwrap());
    let actions: Vec<String> = std::io::BufRead::lines(lines).take(5).map(Result::unwrap).collect();
    stream.kill().unwrap();
    stream.wait().unwrap();
    assert_eq!(actions, ["create", "start", "kill", "die", "destroy"]);
}
