//! login, logout, search, push and pull with accounts, `/distribution`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::bench::Bench;

/// One request on the engine's socket: status and body.
pub fn ask(b: &Bench, request: &str) -> (u16, String) {
    let mut socket = UnixStream::connect(b.host().strip_prefix("unix://").unwrap()).unwrap();
    write!(socket, "{request} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let status = answer[9..12].parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

fn journey(b: &Bench, address: &str) {
    let name = format!("{address}/team/app:1");
    b.ok(&["tag", "busybox", &name]);
    let denied = b.docker(&["push", &name]);
    assert!(denied.err.contains("unauthorized: authentication required"), "{}", denied.err);
    let wrong = b.docker(&["login", "-u", "ann", "-p", "guess", address]);
    assert!(wrong.err.contains("unauthorized: authentication required"), "{}", wrong.err);
    assert_eq!(wrong.code, 1);
    assert!(b.ok(&["login", "-u", "ann", "-p", "secret", address]).contains("Login Succeeded"));
    b.ok(&["push", &name]);
    b.ok(&["rmi", &name]);
    b.ok(&["pull", &name]);
    let (status, body) = ask(b, &format!("GET /v1.50/distribution/{name}/json"));
    assert_eq!(status, 401, "{body}");
    b.ok(&["logout", address]);
    b.ok(&["rmi", &name]);
    let denied = b.docker(&["pull", &name]);
    assert!(denied.err.contains("pull access denied for"), "{}", denied.err);
}

#[test]
fn login_with_a_password() {
    let Some(mut b) = Bench::start("lgn") else { return };
    let address = b.registry(&["--auth", "basic"]);
    journey(&b, &address);
}

#[test]
fn login_with_a_token() {
    let Some(mut b) = Bench::start("tok") else { return };
    let address = b.registry(&["--auth", "token"]);
    journey(&b, &address);
}

#[test]
fn what_a_name_stands_for() {
    let Some(mut b) = Bench::start("dst") else { return };
    let address = b.registry(&[]);
    let name = format!("{address}/app:1");
    b.ok(&["tag", "busybox", &name]);
    b.ok(&["push", &name]);
    let (status, body) = ask(&b, &format!("GET /v1.50/distribution/{name}/json"));
    assert_eq!(status, 200, "{body}");
    let digest = b.ok(&["inspect", "-f", "{{index .RepoDigests 0}}", &name]);
    assert!(body.contains(digest.split('@').nth(1).unwrap()), "{body}");
    assert!(body.contains("\"os\":\"linux\""), "{body}");
    let (status, _) = ask(&b, &format!("GET /v1.50/distribution/{address}/nope:1/json"));
    assert_eq!(status, 404);
    let search = b.docker(&["search", &format!("{address}/app")]);
    assert!(search.err.contains("Unexpected status code 404"), "{}", search.err);
}

#[test]
fn an_import_has_one_history_row() {
    let Some(b) = Bench::start("his") else { return };
    assert_eq!(b.ok(&["history", "-q", "busybox"]).lines().count(), 1);
    assert!(b.ok(&["history", "--format", "{{.Comment}}", "busybox"]).contains("Imported from -"));
}
