use super::*;
use crate::resources::Resources;

const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

fn v2() -> Layout {
    let line = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
    Layout::parse(line, |_| "cpu memory pids\n".to_string())
}

fn lines(plan: &CgroupPlan) -> Vec<String> {
    plan.writes.iter().map(|w| format!("{} = {}", w.file.display(), w.value)).collect()
}

#[test]
fn hybrid_uses_v1_for_limits() {
    let layout = Layout::parse(HYBRID, |_| "hugetlb\n".to_string());
    assert!(!layout.is_v2());
    let resources = Resources { memory: Some(1 << 20), cpu_shares: Some(2), ..Default::default() };
    let plan = plan(&layout, "/box/a", &resources, &[]).unwrap();
    assert_eq!(
        lines(&plan),
        [
            "/sys/fs/cgroup/memory/box/a/memory.limit_in_bytes = 1048576",
            "/sys/fs/cgroup/cpu/box/a/cpu.shares = 2",
        ]
    );
    assert_eq!(plan.procs.len(), 3);
}

#[test]
fn v2_converts_units() {
    let resources = Resources {
        memory: Some(100),
        memory_swap: Some(300),
        cpu_shares: Some(1024),
        cpu_quota: Some(50_000),
        pids: Some(-1),
        ..Default::default()
    };
    let plan = plan(&v2(), "/box/a", &resources, &[]).unwrap();
    assert_eq!(
        lines(&plan),
        [
            "/sys/fs/cgroup/box/a/memory.max = 100",
            "/sys/fs/cgroup/box/a/memory.swap.max = 200",
            "/sys/fs/cgroup/box/a/cpu.weight = 39",
            "/sys/fs/cgroup/box/a/cpu.max = 50000 100000",
            "/sys/fs/cgroup/box/a/pids.max = max",
        ]
    );
}

#[test]
fn paths_stay_inside() {
    for path in ["", "/", "a", "/../x", "/a/../b", "/a//b"] {
        assert!(plan(&v2(), path, &Resources::default(), &[]).is_err(), "{path}");
    }
}
