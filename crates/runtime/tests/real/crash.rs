use super::node::{Node, is_exited, options, read_until, wait};
use runtime::{Keeper, Runtime, State, Stdin};
use std::fs::File;
use std::io::Write;

fn kill(pid: i32) {
    let status = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

/// A daemon is nothing but its connections: a second one finds everything as it was.
#[test]
fn another_daemon_adopts_everything() {
    let Some(node) = Node::new() else { return };
    let mut spec = node.spec("a", "echo one; read x; echo $x; exit 5");
    spec.stdin = Stdin::Open;
    node.launch(&spec);
    let (exit, _) = node.run(&node.spec("b", "exit 8"));
    let daemon = Keeper::open(&options(node.dir.path())).unwrap();
    assert_eq!(daemon.pid(), node.keeper.pid());
    let seen = daemon.observe().unwrap().containers;
    assert_eq!(seen.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((seen[0].state, seen[1].exit.clone()), (State::Running, Some(exit)));
    let mut events = daemon.events().unwrap();
    let stdio = daemon
        .attach("a", &runtime::AttachSpec { stdin: true, stdout: true, stderr: false })
        .unwrap();
    File::from(stdio.stdin.unwrap()).write_all(b"two\n").unwrap();
    read_until(&mut File::from(stdio.stdout.unwrap()), "two\n");
    assert_eq!(wait(&mut *events, "a").code, 5);
    assert_eq!(node.output("a"), "one\ntwo\n");
}

#[test]
fn a_killed_keeper_leaves_nothing_running() {
    let Some(node) = Node::new() else { return };
    let running = node.launch(&node.spec("a", "sleep 1000"));
    let waiting = node.keeper.create(&node.spec("b", "sleep 1000")).unwrap();
    node.run(&node.spec("c", "exit 8"));
    kill(node.keeper.pid());
    let keeper = Keeper::open(&options(node.dir.path())).unwrap();
    let seen = keeper.observe().unwrap().containers;
    assert!(seen.len() == 3 && seen.iter().all(is_exited), "{seen:?}");
    let exits: Vec<_> = seen.iter().map(|c| c.exit.clone().unwrap()).collect();
    assert_eq!((exits[0].code, exits[0].lost), (137, true));
    assert_eq!((exits[1].code, exits[1].lost), (137, true));
    assert_eq!((exits[2].code, exits[2].lost), (8, false));
    for pid in [running.pid, waiting.pid] {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }
    assert!(node.cgroups("a").is_empty() && node.cgroups("b").is_empty());
    keeper.delete("a").unwrap();
    assert_eq!(keeper.observe().unwrap().containers.len(), 2);
}

/// At any moment of a create, start, delete cycle.
#[test]
fn keeper_killed_at_many_moments() {
    let Some(node) = Node::new() else { return };
    for round in 0..12 {
        let keeper = Keeper::open(&options(node.dir.path())).unwrap();
        let spec = node.spec("a", "sleep 1000");
        let victim = keeper.pid();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_micros(700 * round));
            kill(victim);
        });
        let acknowledged = keeper.create(&spec).is_ok();
        let _ = keeper.start("a");
        killer.join().unwrap();
        let next = Keeper::open(&options(node.dir.path())).unwrap();
        let seen = next.observe().unwrap().containers;
        assert!(seen.iter().all(is_exited));
        assert!(!acknowledged || seen.len() == 1);
        assert!(node.cgroups("a").is_empty(), "{:?}", node.cgroups("a"));
        next.delete("a").unwrap();
    }
}

#[test]
fn fifty_at_once() {
    let Some(node) = Node::new() else { return };
    let mut events = node.keeper.events().unwrap();
    std::thread::scope(|scope| {
        for n in 0..50 {
            let node = &node;
            scope.spawn(move || {
                let script = format!("echo {n}; exit {n}");
                node.launch(&node.spec(&format!("c{n}"), &script));
            });
        }
    });
    let mut left = 50;
    while left > 0 {
        if let runtime::Event::Exited { id, exit } = events.next().unwrap() {
            assert_eq!(id, format!("c{}", exit.code));
            assert_eq!(node.output(&id), format!("{}\n", exit.code));
            left -= 1;
        }
    }
}
