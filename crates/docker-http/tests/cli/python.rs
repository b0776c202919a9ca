//! docker-py, where it is installed (or `DOCKER_PY` names a Python that has it).

use std::process::Command;

use crate::bench::{Bench, said};

const SCRIPT: &str = include_str!("client.py");

#[test]
fn docker_py() {
    let python = std::env::var("DOCKER_PY").unwrap_or_else(|_| "python3".to_owned());
    let there = Command::new(&python).args(["-c", "import docker.models.containers"]).output();
    if !there.is_ok_and(|o| o.status.success()) {
        println!("skipped docker_py: {python} has no docker-py");
        return;
    }
    let Some(b) = Bench::start("pyt") else { return };
    let run = Command::new(&python).args(["-c", SCRIPT]).env("DOCKER_HOST", b.host()).output();
    let said = said(run.unwrap());
    assert_eq!(said.code, 0, "{}\n{}\n{}", said.out, said.err, b.log());
}
