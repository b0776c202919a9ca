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
