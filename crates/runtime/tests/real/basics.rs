use super::node::{Node, is_exited, process, wait};
use runtime::{ErrorKind, Runtime, State, User};
use std::fs;

#[test]
fn exit_codes_and_output() {
    let Some(node) = Node::new() else { return };
    let (exit, out) = node.run(&node.spec("a", "echo out; echo err; exit 7"));
    assert_eq!((exit.code, exit.signal, exit.oom, exit.lost), (7, None, false, false));
    assert_eq!(out, "out\nerr\n");
    let (exit, _) = node.run(&node.spec("b", "kill -9 $$; sleep 1; exit 3"));
    // Pid 1 cannot kill itself with what it does not handle.
    assert_eq!(exit.code, 3);
    let seen = node.seen("a").unwrap();
    assert!(is_exited(&seen) && seen.pid == 0 && seen.exit.unwrap().code == 7);
    node.keeper.delete("a").unwrap();
    node.keeper.delete("a").unwrap();
    assert!(node.seen("a").is_none());
    assert!(node.cgroups("a").is_empty());
}

#[test]
fn environment_directory_and_user() {
    let Some(node) = Node::new() else { return };
    let mut spec = node.spec("a", "echo $NAME; pwd; id; umask; touch /tmp/mine; hostname");
    spec.rootfs = node.overlay("a");
    spec.process.env.push("NAME=value with spaces".to_string());
    spec.process.cwd = "/some/new/dir".to_string();
    spec.process.user =
        User { uid: 1000, gid: 1000, additional_gids: vec![7, 8], umask: Some(0o077) };
    spec.process.capabilities = runtime::defaults::capabilities(1000);
    let (exit, out) = node.run(&spec);
    assert_eq!(
        out,
        "value with spaces\n/some/new/dir\nuid=1000(user) gid=1000 groups=7,8\n0077\n\
         touch: /tmp/mine: Permission denied\nbox\n"
    );
    assert_eq!(exit.code, 0);
    assert!(node.path("a.upper/some/new/dir").is_dir());
}

#[test]
fn programs_that_cannot_be_started() {
    let Some(node) = Node::new() else { return };
    fs::write(node.rootfs().join("etc/plain"), "no program").unwrap();
    let cases = [
        (
            "nothing",
            ErrorKind::ExecNotFound,
            "exec: \"nothing\": executable file not found in $PATH",
        ),
        ("/no/thing", ErrorKind::ExecNotFound, "no such file or directory"),
        ("/etc/plain", ErrorKind::ExecDenied, "permission denied"),
        ("/etc", ErrorKind::ExecDenied, "is a directory"),
    ];
    for (program, kind, text) in cases {
        let mut spec = node.spec("a", "");
        spec.process.args = vec![program.to_string()];
        let error = node.keeper.create(&spec).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(text), "{error}");
        assert!(node.seen("a").is_none() && node.cgroups("a").is_empty());
    }
    let mut spec = node.spec("b", "");
    fs::write(node.rootfs().join("bin/script"), "#!/no/such/shell\n").unwrap();
    let file = node.rootfs().join("bin/script");
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    spec.process.args = vec!["script".to_string()];
    node.keeper.create(&spec).unwrap();
    let error = node.keeper.start("b").unwrap_err();
    assert!(error.message.contains("no such file or directory"), "{error}");
    assert_eq!(node.seen("b").unwrap().exit.unwrap().code, 127);
}

#[test]
fn states_are_kept_apart() {
    let Some(node) = Node::new() else { return };
    let spec = node.spec("a", "sleep 1000");
    let seen = node.keeper.create(&spec).unwrap();
    assert_eq!(seen.state, State::Created);
    assert_eq!(node.keeper.create(&spec).unwrap_err().kind, ErrorKind::Exists);
    assert_eq!(node.keeper.start("a").unwrap().state, State::Running);
    assert_eq!(node.keeper.start("a").unwrap_err().kind, ErrorKind::WrongState);
    assert_eq!(node.keeper.start("b").unwrap_err().kind, ErrorKind::NotFound);
    let mut events = node.keeper.events().unwrap();
    node.keeper.signal("a", 9).unwrap();
    assert_eq!(wait(&mut *events, "a").code, 137);
    assert_eq!(node.keeper.signal("a", 9).unwrap_err().kind, ErrorKind::WrongState);
    node.keeper.create(&node.spec("b", "true")).unwrap();
    node.keeper.delete("b").unwrap();
    assert!(node.seen("b").is_none());
}

#[test]
fn signals_reach_the_program() {
    let Some(node) = Node::new() else { return };
    let script = "trap 'echo got; exit 5' TERM; echo up; while :; do sleep 0.1; done";
    for init in [false, true] {
        let id = if init { "init" } else { "plain" };
        let mut spec = node.spec(id, script);
        spec.init = init;
        let mut events = node.keeper.events().unwrap();
        node.keeper.create(&spec).unwrap();
        let mut out = fs::File::from(node.attach(id).stdout.unwrap());
        node.keeper.start(id).unwrap();
        super::node::read_until(&mut out, "up");
        node.keeper.signal(id, 15).unwrap();
        assert_eq!(wait(&mut *events, id).code, 5);
        assert_eq!(node.output(id), "up\ngot\n");
    }
}

#[test]
fn init_is_pid_one_and_reaps() {
    let Some(node) = Node::new() else { return };
    let mut spec = node.spec("a", "echo $$; cat /proc/1/comm; exit 9");
    spec.init = true;
    let (exit, out) = node.run(&spec);
    assert_eq!((exit.code, out.as_str()), (9, "2\ndocker-init\n"));
}

#[test]
fn exec_runs_inside() {
    let Some(node) = Node::new() else { return };
    node.launch(&node.spec("a", "sleep 1000"));
    let (code, out) = node.exec("a", "hostname; cat /proc/1/comm; exit 4");
    assert_eq!((code, out.as_str()), (4, "box\nsleep\n"));
    let mut process = process("");
    process.args = vec!["nothing".to_string()];
    let spec = runtime::ExecSpec {
        id: "x".to_string(),
        container: "a".to_string(),
        process,
        stdin: false,
    };
    let error = node.keeper.exec(&spec).unwrap_err();
    assert_eq!(error.kind, ErrorKind::ExecNotFound);
    assert!(node.keeper.observe().unwrap().execs.is_empty());
}
