//! run, ps, stop, kill, wait, restart, pause, update, rename, rm, exit codes.

use crate::bench::Bench;

#[test]
fn run_and_its_exit_codes() {
    let Some(b) = Bench::start("run") else { return };
    assert_eq!(b.ok(&["run", "--rm", "busybox", "echo", "hi"]), "hi");
    for (args, code) in [
        (vec!["sh", "-c", "exit 7"], 7),
        (vec!["nope"], 127),
        (vec!["/etc"], 126),
        (vec!["/etc/passwd"], 126),
    ] {
        let said = b.docker(&[&["run", "--rm", "busybox"], &args[..]].concat());
        assert_eq!(said.code, code, "{args:?} {}", said.err);
    }
    assert_eq!(b.docker(&["run", "--rm", "--memory", "1k", "busybox"]).code, 125);
    assert_eq!(b.ok(&["ps", "-aq"]), "");
}

#[test]
fn what_a_process_sees() {
    let Some(b) = Bench::start("see") else { return };
    let sh = |options: &[&str], script: &str| {
        b.ok(&[&["run", "--rm"], options, &["busybox", "sh", "-c", script]].concat())
    };
    assert_eq!(sh(&["-e", "A=b", "-w", "/tmp"], "echo $A $PWD"), "b /tmp");
    assert_eq!(sh(&["-u", "ann"], "id -u; id -g; echo $HOME"), "7\n8\n/home");
    assert_eq!(sh(&["-h", "web"], "hostname; cat /etc/hostname"), "web\nweb");
    assert_eq!(sh(&["--add-host", "db:1.2.3.4"], "grep db /etc/hosts"), "1.2.3.4\tdb");
    assert_eq!(sh(&["--init"], "cat /proc/1/comm"), "docker-init");
    assert_eq!(sh(&["--read-only"], "touch /x 2>/dev/null || echo refused"), "refused");
    assert_eq!(sh(&["--tmpfs", "/t"], "mount | grep -c ' /t '"), "1");
    assert_eq!(sh(&["--dns", "9.9.9.9"], "cat /etc/resolv.conf | head -1"), "nameserver 9.9.9.9");
    let memory = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true";
    assert_eq!(sh(&["-m", "64m"], memory), "67108864");
    assert_eq!(
        sh(&["--cap-drop", "ALL"], "grep CapEff /proc/self/status"),
        "CapEff:\t0000000000000000"
    );
}

#[test]
fn volumes_and_binds() {
    let Some(b) = Bench::start("vol") else { return };
    let host = b.path("shared");
    std::fs::create_dir(&host).unwrap();
    let bind = format!("{}:/x", host.display());
    b.ok(&["run", "--rm", "-v", &bind, "busybox", "sh", "-c", "echo made > /x/f"]);
    assert_eq!(std::fs::read_to_string(host.join("f")).unwrap(), "made\n");
    assert_eq!(b.ok(&["run", "--rm", "-v", "v1:/data", "busybox", "cat", "/data/seed"]), "seed");
    assert_eq!(b.ok(&["volume", "ls", "-q"]), "v1");
    let id = b.ok(&["create", "-v", "/anon", "busybox"]);
    assert_eq!(b.ok(&["volume", "ls", "-q"]).lines().count(), 2);
    let refused = b.docker(&["volume", "rm", "v2"]);
    assert!(refused.err.contains("no such volume"), "{}", refused.err);
    b.ok(&["rm", "-v", &id]);
    assert_eq!(b.ok(&["volume", "ls", "-q"]), "v1");
    b.ok(&["volume", "rm", "v1"]);
}

#[test]
fn life_of_a_container() {
    let Some(b) = Bench::start("life") else { return };
    b.ok(&["run", "-d", "--name", "web", "--label", "tier=front", "busybox", "sleep", "1000"]);
    assert_eq!(b.ok(&["ps", "--format", "{{.Names}} {{.State}}"]), "web running");
    assert_eq!(b.ok(&["ps", "-q", "--filter", "label=tier=back"]), "");
    let clash = b.docker(&["create", "--name", "web", "busybox"]);
    assert!(clash.err.contains("is already in use by container"), "{}", clash.err);
    assert!(b.docker(&["rm", "web"]).err.contains("container is running"));
    b.ok(&["pause", "web"]);
    assert_eq!(b.ok(&["inspect", "-f", "{{.State.Status}}", "web"]), "paused");
    b.ok(&["unpause", "web"]);
    b.ok(&["rename", "web", "site"]);
    b.ok(&["update", "--memory", "128m", "--memory-swap", "256m", "site"]);
    assert_eq!(b.ok(&["inspect", "-f", "{{.HostConfig.Memory}}", "site"]), "134217728");
    assert!(b.ok(&["top", "site"]).contains("sleep 1000"));
    b.ok(&["restart", "-t", "0", "site"]);
    b.ok(&["kill", "-s", "KILL", "site"]);
    assert_eq!(b.ok(&["wait", "site"]), "137");
    b.ok(&["start", "site"]);
    b.ok(&["stop", "-t", "0", "site"]);
    assert_eq!(
        b.ok(&["inspect", "-f", "{{.State.ExitCode}} {{.State.Running}}", "site"]),
        "137 false"
    );
    b.ok(&["rm", "site"]);
    assert_eq!(b.docker(&["inspect", "site"]).code, 1);
}

#[test]
fn restart_policy_and_health() {
    let Some(b) = Bench::start("pol") else { return };
    let id = b.ok(&["run", "-d", "--restart", "on-failure:2", "busybox", "false"]);
    let filter = format!("container={id}");
    let events = [
        "events",
        "--since",
        "1h",
        "--filter",
        &filter,
        "--filter",
        "event=die",
        "--format",
        "{{.Action}}",
    ];
    // Three ends: the first run and two restarts. The stream itself is what we wait on.
    let mut stream = b.command(&events).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let lines = std::io::BufReader::new(stream.stdout.take().unwrap());
    let ends = std::io::BufRead::lines(lines).take(3).count();
    stream.kill().unwrap();
    stream.wait().unwrap();
    assert_eq!(ends, 3);
    assert_eq!(b.ok(&["wait", &id]), "1");
    assert_eq!(b.ok(&["inspect", "-f", "{{.RestartCount}}", &id]), "2");

    let healthy = [
        "run",
        "-d",
        "--health-cmd",
        "true",
        "--health-interval",
        "50ms",
        "busybox",
        "sleep",
        "100",
    ];
    let id = b.ok(&healthy);
    let filter = format!("container={id}");
    let events = [
        "events",
        "--since",
        "1h",
        "--filter",
        &filter,
        "--filter",
        "event=health_status",
        "--format",
        "{{.Action}}",
    ];
    let mut stream = b.command(&events).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut lines = std::io::BufReader::new(stream.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
    stream.kill().unwrap();
    stream.wait().unwrap();
    assert_eq!(line, "health_status: healthy\n");
    assert!(b.ok(&["ps"]).contains("(healthy)"));
}

#[test]
fn prune_frees() {
    let Some(b) = Bench::start("pru") else { return };
    b.ok(&["run", "busybox", "true"]);
    b.ok(&["network", "create", "unused"]);
    let said = b.ok(&["system", "prune", "-f"]);
    assert!(said.contains("Deleted Containers") && said.contains("unused"), "{said}");
    assert_eq!(b.ok(&["ps", "-aq"]), "");
    assert!(b.ok(&["system", "df"]).contains("Images"));
}
