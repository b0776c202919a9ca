use super::*;
use crate::defaults;

fn host() -> Host {
    Host {
        layout: Layout { unified: Some(("/cg".into(), Vec::new())), v1: Vec::new() },
        capabilities: !(1 << 24),
        mount_point: "/run/mnt".into(),
    }
}

fn spec() -> ContainerSpec {
    ContainerSpec {
        id: "a".to_string(),
        rootfs: Rootfs::Dir("/rootfs".into()),
        process: ProcessSpec {
            args: vec!["sh".to_string()],
            capabilities: defaults::capabilities(0),
            ..ProcessSpec::default()
        },
        hostname: "box".to_string(),
        cgroup_parent: "/box".to_string(),
        ..ContainerSpec::default()
    }
}

#[test]
fn bare_container() {
    let text = container(&spec(), &host(), &Joins::default()).unwrap().to_string();
    assert_eq!(
        text,
        "\
cgroup /cg/box/a
clone pid
write 0 limits
join 0 cgroups
unshare mnt+net+ipc+uts+cgroup
bring lo up
set host name `box`
stop mount propagation
mount root Dir(\"/rootfs\")
pivot into the root
new session
wire stdio
new session keyring
umask 0022
chdir to cwd (\"/\") set in config.json
bound capabilities to 0xa80425fb
become 0:0 []
capabilities 0xa80425fb
find `sh`
wait for start
exec [\"sh\"]
"
    );
}

#[test]
fn walls_in_their_order() {
    let mut spec = spec();
    spec.process.tty = Some(TtySize { rows: 24, cols: 80 });
    spec.process.no_new_privileges = true;
    spec.process.seccomp = Seccomp::RuntimeDefault;
    spec.process.capabilities.bounding.push("CAP_SYS_RESOURCE".to_string());
    spec.process.user.uid = 5;
    spec.process.cwd = "/srv".to_string();
    spec.namespaces.net = Namespace::Sandbox;
    spec.namespaces.pid = Namespace::Host;
    spec.namespaces.cgroup = Namespace::Host;
    spec.readonly_rootfs = true;
    spec.init = true;
    spec.masked_paths = vec!["/proc/kcore".to_string()];
    spec.mounts = vec![Mount {
        target: "/data".to_string(),
        kind: MountKind::Bind {
            source: "/src".into(),
            recursive: true,
            propagation: Propagation::Shared,
        },
        readonly: false,
        flags: Vec::new(),
    }];
    let joins = Joins { net: Some("/proc/7/fd/9".into()), ..Joins::default() };
    let plan = container(&spec, &host(), &joins).unwrap();
    let text = plan.to_string();
    let order = [
        "join net namespace `/proc/7/fd/9`",
        "unshare mnt+ipc+uts",
        "keep shared source of `/data`",
        "stop mount propagation",
        "mount root",
        "mount `/data`",
        "pivot into the root",
        "open a terminal, console: Bind",
        "mkdir (\"/srv\")",
        "mask `/proc/kcore`",
        "make the root read-only",
        "new session",
        "wire stdio",
        "chdir to cwd",
        "bound capabilities",
        "become 5:0",
        "no new privileges",
        "seccomp",
        "find `sh`",
        "wait for start",
        "fork, stay as init",
        "exec",
        "! capability `CAP_SYS_RESOURCE` is not available on this machine",
    ];
    let mut rest = text.as_str();
    for line in order {
        let at = rest.find(line).unwrap_or_else(|| panic!("{line} is missing after:\n{text}"));
        rest = &rest[at + line.len()..];
    }
}

#[test]
fn the_same_specification_gives_the_same_plan() {
    let one = container(&spec(), &host(), &Joins::default()).unwrap().to_string();
    assert_eq!(one, container(&spec(), &host(), &Joins::default()).unwrap().to_string());
    let text = serde_json::to_string(&spec()).unwrap();
    assert_eq!(serde_json::from_str::<ContainerSpec>(&text).unwrap(), spec());
}
