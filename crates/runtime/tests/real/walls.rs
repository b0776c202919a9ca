use super::node::Node;
use runtime::{
    ContainerSpec, Device, DeviceKind, Mount, MountKind, Namespace, Propagation, Runtime, Seccomp,
};
use std::fs;

fn bind(source: &std::path::Path, target: &str) -> Mount {
    Mount {
        target: target.to_string(),
        kind: MountKind::Bind {
            source: source.to_path_buf(),
            recursive: true,
            propagation: Propagation::Private,
        },
        readonly: false,
        flags: Vec::new(),
    }
}

#[test]
fn namespaces_are_its_own() {
    let Some(node) = Node::new() else { return };
    let mut spec = node.spec("a", "echo $$; ps | wc -l; hostname; ip link | grep -c ': '; ls /dev");
    spec.namespaces.net = Namespace::New;
    let out = node.run(&spec).1;
    let (first, devices) = out.split_once("fd\n").unwrap();
    assert!(first.starts_with("1\n") && first.contains("\nbox\n1\n"), "{out}");
    assert_eq!(
        devices,
        "full\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n"
    );
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(node.dir.path().to_str().unwrap()), "{mounts}");
}

#[test]
fn no_descriptor_leaks_in() {
    let Some(node) = Node::new() else { return };
    node.launch(&node.spec("other", "sleep 100"));
    // 0, 1, 2 and the one ls opens itself.
    assert_eq!(node.sh("a", "ls /proc/self/fd; readlink /proc/self/cwd"), "0\n1\n2\n3\n/\n");
    let mut spec = node.spec("b", "");
    spec.process.args =
        ["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"].map(str::to_string).to_vec();
    let none = "0000000000000000";
    assert_eq!(node.run(&spec).1, format!("SigBlk:\t{none}\nSigIgn:\t{none}\n"));
}

#[test]
fn masked_and_readonly_paths() {
    let Some(node) = Node::new() else { return };
    let script =
        "cat /proc/interrupts | wc -c; ls /proc/acpi | wc -l; echo 1 > /proc/sys/kernel/panic;
        echo x > /sys/x; mkdir /sys/fs/cgroup/x";
    let out = node.sh("a", script);
    assert!(out.starts_with("0\n0\n"), "{out}");
    assert_eq!(out.matches("Read-only file system").count(), 3, "{out}");
    let mut spec = node.spec("b", "touch /x; touch /tmp/x && echo tmp; touch /vol/x && echo vol");
    spec.readonly_rootfs = true;
    let tmp = Mount {
        target: "/tmp".to_string(),
        kind: MountKind::Tmpfs { options: vec!["rw".into(), "noexec".into(), "size=1m".into()] },
        readonly: false,
        flags: Vec::new(),
    };
    fs::create_dir(node.path("vol")).unwrap();
    spec.mounts.extend([tmp, bind(&node.path("vol"), "/vol")]);
    let out = node.run(&spec).1;
    assert_eq!(out, "touch: /x: Read-only file system\ntmp\nvol\n");
}

#[test]
fn capabilities_and_privileges() {
    let Some(node) = Node::new() else { return };
    let script = "grep -E 'Cap(Eff|Bnd|Amb)|NoNewPrivs' /proc/self/status; chown 5 /tmp";
    let mut spec = node.spec("a", script);
    spec.rootfs = node.overlay("a");
    for set in [
        &mut spec.process.capabilities.bounding,
        &mut spec.process.capabilities.effective,
        &mut spec.process.capabilities.permitted,
    ] {
        *set = vec!["CAP_KILL".to_string(), "CAP_SYS_RESOURCE".to_string()];
    }
    spec.process.no_new_privileges = true;
    let out = node.run(&spec).1;
    assert!(out.contains("NoNewPrivs:\t1") && out.contains("Operation not permitted"), "{out}");
    let own = runtime::caps::own_bounding();
    let expected = (1 << 5 | 1 << 24) & own;
    assert!(out.contains(&format!("CapBnd:\t{expected:016x}")), "{out}");
    if own >> 24 & 1 == 0 {
        let warnings = node.seen("a").unwrap().warnings;
        assert_eq!(warnings, ["capability `CAP_SYS_RESOURCE` is not available on this machine"]);
    }
    let mut spec = node.spec("b", "grep -E 'CapAmb|CapEff' /proc/self/status");
    let kill = vec!["CAP_KILL".to_string()];
    let caps = &mut spec.process.capabilities;
    (caps.ambient, caps.inheritable) = (kill.clone(), kill.clone());
    (caps.effective, caps.permitted) = (kill.clone(), kill);
    (spec.process.user.uid, spec.process.user.gid) = (1000, 1000);
    let out = node.run(&spec).1;
    assert_eq!(out, "CapEff:\t0000000000000020\nCapAmb:\t0000000000000020\n");
}

#[test]
fn seccomp_blocks() {
    let Some(node) = Node::new() else { return };
    let script = "unshare -U true; grep Seccomp: /proc/self/status; echo on | cat";
    for no_new_privileges in [false, true] {
        let mut spec = node.spec(&format!("a{no_new_privileges}"), script);
        spec.process.seccomp = Seccomp::RuntimeDefault;
        spec.process.no_new_privileges = no_new_privileges;
        let out = node.run(&spec).1;
        assert!(out.contains("Operation not permitted"), "{out}");
        assert!(out.ends_with("Seccomp:\t2\non\n"), "{out}");
    }
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],
        "action":"SCMP_ACT_ERRNO","errnoRet":28}]}"#;
    let mut spec = node.spec("b", "mkdir /tmp/x");
    spec.process.seccomp = Seccomp::Profile(profile.to_string());
    assert!(node.run(&spec).1.contains("No space left"));
}

#[test]
fn hostile_links_stay_inside() {
    let Some(node) = Node::new() else { return };
    let outside = node.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let root = node.rootfs();
    let link = |to: &std::path::Path, name: &str| {
        std::os::unix::fs::symlink(to, root.join(name)).unwrap();
    };
    link(&outside, "vol");
    link("../../../../../../../..".as_ref(), "up");
    fs::remove_dir(root.join("dev")).unwrap();
    link(&outside, "dev");
    fs::create_dir(node.path("data")).unwrap();
    fs::write(node.path("data/mine"), "mine").unwrap();
    let mut spec = node.spec("a", "cat /vol/in/mine; ls /up | grep -c rootfs");
    spec.mounts.push(bind(&node.path("data"), "/vol/in"));
    spec.mounts.push(bind(&node.path("data"), "/up/made"));
    spec.masked_paths.push("/vol/secret".to_string());
    let (_, out) = node.run(&spec);
    assert_eq!(out, "mine0\n");
    let left: Vec<_> = fs::read_dir(&outside).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["secret"]);
}

#[test]
fn binds_readonly_files_and_propagation() {
    let Some(node) = Node::new() else { return };
    fs::create_dir_all(node.path("src/sub")).unwrap();
    fs::write(node.path("file"), "text\n").unwrap();
    let mut read = bind(&node.path("src"), "/ro");
    read.readonly = true;
    let mut spec =
        node.spec("a", "touch /ro/x; cat /etc/one; cat /proc/self/mountinfo | grep -c ' /ro ro'");
    spec.mounts.extend([read, bind(&node.path("file"), "/etc/one")]);
    let out = node.run(&spec).1;
    assert_eq!(out, "touch: /ro/x: Read-only file system\ntext\n1\n");
    let mut spec = node.spec("b", "true");
    spec.mounts.push(bind(&node.path("missing"), "/x"));
    let error = node.keeper.create(&spec).unwrap_err();
    assert!(error.message.contains("no such file or directory"), "{error}");
}

#[test]
fn devices_sysctls_and_tmpfs() {
    let Some(node) = Node::new() else { return };
    let mut spec = node.spec("a", "stat -c '%t:%T %a' /dev/mine; cat /proc/sys/net/core/somaxconn");
    spec.namespaces.net = Namespace::New;
    spec.sysctls.insert("net.core.somaxconn".to_string(), "99".to_string());
    spec.devices.push(Device {
        path: "/dev/mine".to_string(),
        kind: DeviceKind::Char,
        major: 1,
        minor: 5,
        mode: 0o640,
        uid: 0,
        gid: 0,
    });
    assert_eq!(node.run(&spec).1, "1:5 640\n99\n");
    let refused = |change: fn(&mut ContainerSpec)| {
        let mut spec = node.spec("b", "true");
        change(&mut spec);
        node.keeper.create(&spec).unwrap_err().message
    };
    let text = refused(|spec| drop(spec.sysctls.insert("kernel.panic".into(), "1".into())));
    assert!(text.contains("is not in a separate kernel namespace"), "{text}");
    refused(|spec| spec.id = "../x".to_string());
    refused(|spec| spec.cgroup_parent = "/../x".to_string());
    refused(|spec| spec.process.args.clear());
    refused(|spec| spec.process.env.push("A=\0".to_string()));
}

#[test]
fn user_namespace() {
    let Some(node) = Node::new() else { return };
    let mut spec = node.spec("a", "id -u; cat /proc/self/uid_map; touch /tmp/x");
    let map = |size| vec![runtime::IdMap { container: 0, host: 100_000, size }];
    spec.namespaces.user = Some(runtime::UserMaps { uids: map(1000), gids: map(1000) });
    let out = node.run(&spec).1;
    assert!(out.starts_with("0\n         0     100000       1000\n"), "{out}");
    assert!(out.contains("Permission denied"), "{out}");
}
