//! `kill -9` of the daemon: containers live on, ends are learnt, nothing is lost.

use std::path::Path;

use crate::bench::Bench;

#[test]
fn containers_outlive_the_daemon() {
    let Some(mut b) = Bench::start("rec") else { return };
    let tick = "i=0; while true; do i=$((i+1)); echo $i; sleep 0.02; done";
    b.ok(&["run", "-d", "--name", "lives", "busybox", "sh", "-c", tick]);
    let gate = "while [ ! -e /gate ]; do sleep 0.02; done; exit 5";
    b.ok(&["run", "-d", "--name", "ends", "busybox", "sh", "-c", gate]);
    b.ok(&["run", "-d", "--name", "back", "--restart", "always", "busybox", "sh", "-c", gate]);
    let pid = |name: &str, b: &Bench| b.ok(&["inspect", "-f", "{{.State.Pid}}", name]);
    let (lives, ends, back) = (pid("lives", &b), pid("ends", &b), pid("back", &b));
    b.kill_daemon();
    for pid in [&ends, &back] {
        std::fs::write(format!("/proc/{pid}/root/gate"), "").unwrap();
        while Path::new(&format!("/proc/{pid}")).exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    b.up();
    let state = |name: &str| b.ok(&["inspect", "-f", "{{.State.Pid}} {{.State.Status}}", name]);
    assert_eq!(state("lives"), format!("{lives} running"));
    assert_eq!(b.ok(&["inspect", "-f", "{{.State.ExitCode}}", "ends"]), "5");
    assert_eq!(b.ok(&["exec", "lives", "echo", "in"]), "in");
    b.ok(&["stop", "-t", "0", "lives"]);
    let logs = b.ok(&["logs", "lives"]);
    let gap = logs.lines().enumerate().find(|(i, line)| line.parse() != Ok(i + 1));
    assert_eq!(gap, None);
    assert_eq!(b.docker(&["logs", "back"]).code, 0);
    assert!(b.ok(&["ps", "-a", "--format", "{{.Names}} {{.Status}}"]).contains("ends Exited (5)"));
}

/// Wherever the daemon is killed: afterwards everything can be removed, and nothing is left.
#[test]
fn killed_at_any_instant() {
    let Some(mut b) = Bench::start("kil") else { return };
    for round in 0..8_u64 {
        let name = format!("k{round}");
        let mut client =
            b.command(&["run", "-d", "-v", "/anon", "--name", &name, "busybox", "sleep", "1000"]);
        let mut client = client.spawn().unwrap();
        // Not to wait for something: to hit another instant each time.
        std::thread::sleep(std::time::Duration::from_millis(4 + round * 5));
        b.kill_daemon();
        client.wait().unwrap();
        b.up();
        b.docker(&["rm", "-f", &name]);
    }
    let all = b.ok(&["ps", "-aq"]);
    for id in all.split_whitespace() {
        b.ok(&["rm", "-fv", id]);
    }
    b.ok(&["volume", "prune", "-f"]);
    assert_eq!(b.ok(&["volume", "ls", "-q"]), "");
    for dir in ["data/containers", "data/images/snapshots", "data/volumes"] {
        let left: Vec<_> =
            std::fs::read_dir(b.path(dir)).unwrap().flatten().map(|e| e.path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
    let veths = b.instance().owned().unwrap();
    assert!(veths.iter().all(|o| o.kind == net::OwnedKind::Bridge), "{veths:?}");
}

#[test]
fn many_at_once() {
    let Some(b) = Bench::start("man") else { return };
    let names: Vec<String> = (0..20).map(|i| format!("m{i}")).collect();
    let run = |name: &String| {
        b.command(&["run", "-d", "--name", name, "busybox", "sleep", "1000"]).spawn().unwrap()
    };
    let clients: Vec<_> = names.iter().map(run).collect();
    for mut client in clients {
        assert!(client.wait().unwrap().success());
    }
    assert_eq!(b.ok(&["ps", "-q"]).lines().count(), 20);
    let addresses = b.ok(&[
        "network",
        "inspect",
        "-f",
        "{{range .Containers}}{{println .IPv4Address}}{{end}}",
        "bridge",
    ]);
    let unique: std::collections::BTreeSet<&str> = addresses.split_whitespace().collect();
    assert_eq!(unique.len(), 20);
}
