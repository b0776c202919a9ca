use super::node::{Node, wait};
use runtime::{Event, HugetlbLimit, Resources, Rlimit, Runtime};
use std::fs;
use std::time::Instant;

#[test]
fn memory_limit_kills_and_says_so() {
    let Some(node) = Node::new() else { return };
    let mut spec = node.spec("a", "head -c 200m /dev/zero | tail -c 150m > /dev/null; echo left");
    spec.resources.memory = Some(20 << 20);
    spec.resources.memory_swap = Some(20 << 20);
    let mut events = node.keeper.events().unwrap();
    node.launch(&spec);
    let mut oom_event = false;
    let exit = loop {
        match events.next().unwrap() {
            Event::Oom { .. } => oom_event = true,
            Event::Exited { exit, .. } => break exit,
            _ => {}
        }
    };
    assert!(exit.oom && oom_event, "{exit:?}");
    assert!(node.seen("a").unwrap().oom);
    // The first process itself.
    let mut spec = node.spec("b", "");
    spec.process.args = ["tail", "-c", "150m", "/dev/zero"].map(str::to_string).to_vec();
    spec.resources.memory = Some(20 << 20);
    let (exit, _) = node.run(&spec);
    assert_eq!((exit.code, exit.signal, exit.oom), (137, Some(9), true));
    let (exit, _) = node.run(&node.spec("c", "exit 137"));
    assert!(!exit.oom);
}

#[test]
fn pids_limit_stops_forks() {
    let Some(node) = Node::new() else { return };
    let mut spec = node.spec("a", "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo all");
    spec.resources.pids = Some(5);
    let (exit, out) = node.run(&spec);
    assert!(exit.code != 0 && out.contains("can't fork"), "{exit:?} {out}");
}

#[test]
fn cpu_quota_slows_down_and_can_be_changed() {
    let Some(node) = Node::new() else { return };
    let mut spec = node.spec("a", "while :; do :; done");
    (spec.resources.cpu_quota, spec.resources.cpu_period) = (Some(10_000), Some(100_000));
    node.launch(&spec);
    let throttled = |count: u64| {
        while node.keeper.stats("a").unwrap().cpu.throttled_periods < count {
            std::thread::yield_now();
        }
    };
    throttled(2);
    let (before, start) = (node.keeper.stats("a").unwrap().cpu.total, Instant::now());
    throttled(7);
    let used = (node.keeper.stats("a").unwrap().cpu.total - before) as f64;
    let share = used / start.elapsed().as_nanos() as f64;
    assert!(share < 0.3, "{share}");
    let more = Resources {
        cpu_quota: Some(-1),
        memory: Some(64 << 20),
        memory_swap: Some(128 << 20),
        pids: Some(77),
        ..Resources::default()
    };
    node.keeper.update("a", &more).unwrap();
    let less =
        Resources { memory: Some(32 << 20), memory_swap: Some(32 << 20), ..Resources::default() };
    node.keeper.update("a", &less).unwrap();
    let stats = node.keeper.stats("a").unwrap();
    assert_eq!((stats.memory.limit, stats.pids.limit), (32 << 20, Some(77)));
    assert!(stats.memory.usage > 0 && stats.pids.current == 1 && stats.memory.working_set > 0);
}

#[test]
fn devices_are_walled_off() {
    let Some(node) = Node::new() else { return };
    let script = "mknod /tmp/vda b 254 0 && head -c 1 /tmp/vda; mknod /tmp/n c 1 3 && echo x > /tmp/n && echo ok";
    let mut spec = node.spec("a", script);
    spec.rootfs = node.overlay("a");
    let (_, out) = node.run(&spec);
    assert!(out.contains("Operation not permitted") && out.ends_with("ok\n"), "{out}");
}

#[test]
fn pause_stops_and_thaws() {
    let Some(node) = Node::new() else { return };
    node.launch(&node.spec("a", "while :; do :; done"));
    node.keeper.pause("a").unwrap();
    node.keeper.pause("a").unwrap();
    assert!(node.seen("a").unwrap().paused);
    let cpu = node.keeper.stats("a").unwrap().cpu.total;
    assert_eq!(node.keeper.stats("a").unwrap().cpu.total, cpu);
    node.keeper.unpause("a").unwrap();
    assert!(!node.seen("a").unwrap().paused);
    node.keeper.pause("a").unwrap();
    let mut events = node.keeper.events().unwrap();
    node.keeper.signal("a", 9).unwrap();
    assert_eq!(wait(&mut *events, "a").code, 137);
    node.launch(&node.spec("b", "sleep 100"));
    node.keeper.pause("b").unwrap();
    node.keeper.delete("b").unwrap();
}

#[test]
fn rlimits_are_best_effort() {
    let Some(node) = Node::new() else { return };
    let mut spec = node.spec("a", "ulimit -n; ulimit -c");
    let limit = |name: &str, n| Rlimit { name: name.to_string(), soft: n, hard: n };
    spec.process.rlimits = vec![limit("nofile", 1234), limit("core", 0)];
    assert_eq!(node.run(&spec).1, "1234\n0\n");
    let mut spec = node.spec("b", "true");
    spec.process.rlimits = vec![limit("nofile", 1 << 40)];
    spec.process.oom_score_adj = Some(-999);
    let error = node.keeper.create(&spec).err().map(|error| error.message);
    // The most a kernel ever allows is fs.nr_open.
    let most = fs::read_to_string("/proc/sys/fs/nr_open").unwrap();
    match error {
        Some(text) => assert!(text.contains("rlimit nofile"), "{text} {most}"),
        None => {
            let warnings = node.seen("b").unwrap().warnings;
            assert!(warnings.iter().any(|text| text.contains("nofile")), "{warnings:?}");
        }
    }
}

#[test]
fn limits_that_cannot_be_had_are_refused() {
    let Some(node) = Node::new() else { return };
    let mut spec = node.spec("a", "true");
    spec.resources.hugetlb = vec![HugetlbLimit { page_size: "3MB".to_string(), limit: 1 }];
    assert!(node.keeper.create(&spec).is_err());
    spec.resources =
        Resources { memory: Some(1 << 20), memory_swap: Some(4096), ..Resources::default() };
    assert!(node.keeper.create(&spec).is_err());
    assert!(node.cgroups("a").is_empty());
}
