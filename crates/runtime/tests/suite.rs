//! The same checks on the real and the fake runtime.
#![allow(clippy::unwrap_used)]

#[path = "real/node.rs"]
#[allow(dead_code)]
mod node;

#[test]
fn fake_runtime() {
    let base = runtime::ContainerSpec {
        cgroup_parent: "/suite".to_string(),
        rootfs: runtime::Rootfs::Dir("/rootfs".into()),
        ..Default::default()
    };
    runtime::suite::run(&runtime::FakeRuntime::default(), &base);
}

#[test]
fn real_runtime() {
    let Some(node) = node::Node::new() else { return };
    let mut base = node.spec("base", "");
    base.labels.insert("key".to_string(), "value".to_string());
    runtime::suite::run(&node.keeper, &base);
}
