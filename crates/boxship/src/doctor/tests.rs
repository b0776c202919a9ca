use super::*;
use crate::doctor::Level;

#[test]
fn capabilities_are_named() {
    let all = capabilities_of("Name:\tx\nCapEff:\t000001ffffffffff\n");
    assert_eq!(all.level, Level::Ok);
    let here = capabilities_of("CapEff:\t000001fffeffffff\n");
    assert_eq!((here.level, here.found.as_str()), (Level::Warn, "without CAP_SYS_RESOURCE"));
    let none = capabilities_of("CapEff:\t0000000000000000\n");
    assert!(none.level == Level::Fail && none.found.contains("CAP_SYS_ADMIN"), "{none:?}");
    // Docker's default set for a container.
    let docker = capabilities_of("CapEff:\t00000000a80425fb\n");
    assert_eq!(docker.found, "without CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_SYS_ADMIN");
}

#[test]
fn both_versions_of_cgroups_do() {
    assert_eq!(cgroups_of("", "cpuset cpu io memory hugetlb pids").found, "version 2");
    let v1 = "1 2 0:3 / /c/cpu rw - cgroup cgroup rw,cpu,cpuacct\n1 2 0:3 / /c/m rw - cgroup cgroup rw,memory\n1 2 0:3 / /c/p rw - cgroup cgroup rw,pids";
    assert_eq!(cgroups_of(v1, "hugetlb").found, "version 1");
    let cut: String = v1.lines().take(2).collect::<Vec<_>>().join("\n");
    assert_eq!(cgroups_of(&cut, "").found, "no controller for pids");
}
