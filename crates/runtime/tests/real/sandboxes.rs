use super::node::{Node, wait};
use runtime::{ErrorKind, Namespace, Runtime, SandboxSpec};

fn spec(id: &str, pid: bool) -> SandboxSpec {
    SandboxSpec {
        id: id.to_string(),
        net: true,
        ipc: true,
        uts: true,
        pid,
        hostname: "pod".to_string(),
        sysctls: [("net.core.somaxconn".to_string(), "77".to_string())].into(),
        ..SandboxSpec::default()
    }
}

fn member(node: &Node, id: &str, script: &str) -> runtime::ContainerSpec {
    let mut spec = node.spec(id, script);
    spec.sandbox = Some("pod".to_string());
    let ns = &mut spec.namespaces;
    (ns.net, ns.ipc, ns.uts) = (Namespace::Sandbox, Namespace::Sandbox, Namespace::Sandbox);
    spec
}

#[test]
fn containers_share_a_sandbox() {
    let Some(node) = Node::new() else { return };
    let seen = node.keeper.create_sandbox(&spec("pod", false)).unwrap();
    assert_eq!(seen.pid, 0);
    let net = std::fs::read_link(seen.net.unwrap()).unwrap();
    let script = "hostname; cat /proc/sys/net/core/somaxconn; ip addr | grep -c 127.0.0.1;
        for ns in net ipc uts; do readlink /proc/self/ns/$ns; done; echo $$";
    let outs = ["a", "b"].map(|id| node.run(&member(&node, id, script)).1);
    assert_eq!(outs[0], outs[1]);
    assert!(outs[0].starts_with("pod\n77\n1\n") && outs[0].ends_with("\n1\n"), "{}", outs[0]);
    assert!(outs[0].contains(net.to_str().unwrap()));
    node.launch(&member(&node, "c", "sleep 100"));
    assert_eq!(node.keeper.delete_sandbox("pod").unwrap_err().kind, ErrorKind::WrongState);
    node.keeper.delete("c").unwrap();
    node.keeper.delete_sandbox("pod").unwrap();
    node.keeper.delete_sandbox("pod").unwrap();
    assert!(node.keeper.observe().unwrap().sandboxes.is_empty());
    let error = node.keeper.create(&member(&node, "d", "true")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[test]
fn shared_processes_end_with_their_container() {
    let Some(node) = Node::new() else { return };
    node.keeper.create_sandbox(&spec("pod", true)).unwrap();
    let mut a = member(&node, "a", "sleep 1000 & sleep 1000 & echo $$; cat /proc/1/comm; exit 6");
    let mut b = member(&node, "b", "sleep 1000");
    a.namespaces.pid = Namespace::Sandbox;
    b.namespaces.pid = Namespace::Sandbox;
    node.launch(&b);
    let (exit, out) = node.run(&a);
    assert_eq!(exit.code, 6);
    assert!(!out.starts_with("1\n") && out.ends_with("\npause\n"), "{out}");
    assert!(node.cgroups("a").is_empty());
    let (_, out) = node.exec("b", "ps | grep -c 'sleep 1000$'");
    assert_eq!(out, "1\n");
}

#[test]
fn a_container_joins_another() {
    let Some(node) = Node::new() else { return };
    let mut first = node.spec("a", "sleep 1000");
    first.namespaces.net = Namespace::New;
    node.launch(&first);
    let mut second =
        node.spec("b", "cat /proc/1/comm; readlink /proc/self/ns/net; readlink /proc/1/ns/net");
    second.namespaces.net = Namespace::Container("a".to_string());
    second.namespaces.pid = Namespace::Container("a".to_string());
    let out = node.run(&second).1;
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines[0], lines[1]), ("sleep", lines[2]), "{out}");
}

#[test]
fn host_processes_are_cleared_too() {
    let Some(node) = Node::new() else { return };
    let mut spec = node.spec("a", "sleep 4321 & sleep 4321 & exit 0");
    spec.namespaces.pid = Namespace::Host;
    let mut events = node.keeper.events().unwrap();
    node.launch(&spec);
    assert_eq!(wait(&mut *events, "a").code, 0);
    assert!(node.cgroups("a").is_empty());
}

#[test]
fn foreign_sysctls_are_refused() {
    let Some(node) = Node::new() else { return };
    let mut spec = spec("pod", false);
    spec.sysctls.insert("kernel.panic".to_string(), "0".to_string());
    assert_eq!(node.keeper.create_sandbox(&spec).unwrap_err().kind, ErrorKind::Invalid);
}
