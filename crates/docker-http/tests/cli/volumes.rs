//! Volumes that are mounts, images as mounts, log drivers, what is refused.

use crate::bench::Bench;

fn mounted(b: &Bench, below: &str) -> bool {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let point = b.path(below).display().to_string();
    table.lines().filter_map(|l| l.split(' ').nth(4)).any(|p| p.starts_with(&point))
}

#[test]
fn options_of_the_local_driver() {
    let Some(mut b) = Bench::start("vop") else { return };
    let device = b.path("device");
    std::fs::create_dir(&device).unwrap();
    std::fs::write(device.join("here"), "kept").unwrap();
    let option = format!("device={}", device.display());
    b.ok(&["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", &option, "bound"]);
    b.ok(&["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m", "mem"]);
    let shown = b.ok(&["volume", "inspect", "-f", "{{.Options.o}}", "mem"]);
    assert_eq!(shown, "size=1m");
    let run = ["run", "-d", "--name", "cc", "-v", "bound:/b", "-v", "mem:/m", "busybox", "sleep"];
    b.ok(&[&run[..], &["1000"]].concat());
    assert_eq!(b.ok(&["exec", "cc", "cat", "/b/here"]), "kept");
    assert!(b.ok(&["exec", "cc", "df", "/m"]).contains("1024"));
    b.kill_daemon();
    b.up();
    assert_eq!(b.ok(&["exec", "cc", "cat", "/b/here"]), "kept");
    b.ok(&["rm", "-f", "cc"]);
    assert!(!mounted(&b, "data/volumes"));
    b.ok(&["volume", "rm", "bound", "mem"]);
    assert_eq!(std::fs::read_to_string(device.join("here")).unwrap(), "kept");
    for (options, why) in [
        (&["-o", "type=none"][..], "missing required option: \"device\""),
        (&["-o", "colour=red"][..], "invalid option: \"colour\""),
    ] {
        let said = b.docker(&[&["volume", "create"], options, &["bad"]].concat());
        assert!(said.err.contains(why), "{}", said.err);
    }
    b.ok(&["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=/nope", "gone"]);
    let said = b.docker(&["run", "--rm", "-v", "gone:/x", "busybox"]);
    assert!(said.err.contains("failed to mount local volume"), "{}", said.err);
    assert_eq!(b.ok(&["ps", "-aq"]), "");
}

#[test]
fn images_as_mounts() {
    let Some(mut b) = Bench::start("imm") else { return };
    let mount = "type=image,source=busybox,target=/img";
    let script = "cat /img/data/seed; touch /img/x 2>/dev/null || echo refused; sleep 1000";
    b.ok(&["run", "-d", "--name", "cc", "--mount", mount, "busybox", "sh", "-c", script]);
    b.kill_daemon();
    b.up();
    assert_eq!(b.ok(&["exec", "cc", "cat", "/img/data/seed"]), "seed");
    b.ok(&["restart", "-t", "0", "cc"]);
    assert_eq!(b.ok(&["exec", "cc", "cat", "/img/data/seed"]), "seed");
    b.ok(&["stop", "-t", "0", "cc"]);
    assert!(!mounted(&b, "data/containers"));
    assert_eq!(b.ok(&["logs", "cc"]), "seed\nrefused\nseed\nrefused");
    b.ok(&["rm", "cc"]);
    assert_eq!(std::fs::read_dir(b.path("data/images/snapshots")).unwrap().count(), 0);
    let sub = "type=image,source=busybox,target=/img,image-subpath=data";
    assert_eq!(b.ok(&["run", "--rm", "--mount", sub, "busybox", "cat", "/img/seed"]), "seed");
}

#[test]
fn log_drivers() {
    let Some(b) = Bench::start("ldr") else { return };
    let many = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; done";
    let options = ["--log-driver", "local", "--log-opt", "max-size=20k", "--log-opt", "max-file=3"];
    b.ok(&[&["run", "--name", "cc"], &options[..], &["busybox", "sh", "-c", many]].concat());
    let logs = b.ok(&["logs", "cc"]);
    assert!(logs.ends_with("line 2000") && logs.lines().count() < 2000, "{}", logs.len());
    assert_eq!(b.ok(&["inspect", "-f", "{{.HostConfig.LogConfig.Type}}", "cc"]), "local");
    b.ok(&["run", "--name", "nn", "--log-driver", "none", "busybox", "echo", "x"]);
    let said = b.docker(&["logs", "nn"]);
    assert!(
        said.err.contains("configured logging driver does not support reading"),
        "{}",
        said.err
    );
    for (options, why) in [
        (["--log-driver", "syslog"], "no log driver named 'syslog' is registered"),
        (["--log-opt", "colour=red"], "unknown log opt 'colour' for json-file log driver"),
        (["--gpus", "all"], "could not select device driver \"\" with capabilities: [[gpu]]"),
        (["--userns", "private"], "invalid user namespace mode"),
    ] {
        let said = b.docker(&[&["run", "--rm"], &options[..], &["busybox"]].concat());
        assert!(said.err.contains(why) || said.err.contains("invalid USER mode"), "{}", said.err);
        assert_eq!(said.code, 125);
    }
}
