//! The directory of a cluster: made once, kept, renewed in time.

use meta::Time;
use pki::{Context, Kubeconfig, Names, Pki, Purpose, Subject, write_kubeconfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Time::from_secs(since.as_secs() as i64)
}

fn names() -> Names {
    Names::standard("host", [127, 0, 0, 1].into(), [10, 96, 0, 1].into())
}

fn text(dir: &Path, file: &str) -> String {
    fs::read_to_string(dir.join("pki").join(file)).expect(file)
}

#[test]
fn a_second_start_keeps_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Pki::open(dir.path(), names(), now()).expect("made");
    let key = first.signing_key().wait().expect("a key").to_vec();
    let before = text(dir.path(), "apiserver.crt");
    let second = Pki::open(dir.path(), names(), now()).expect("opened");
    assert_eq!(second.signing_key().wait().expect("a key"), key);
    assert_eq!(text(dir.path(), "apiserver.crt"), before);
    assert_eq!(second.ca(), first.ca());
    for file in ["ca.key", "sa.key", "admin.key", "apiserver.key"] {
        let mode =
            fs::metadata(dir.path().join("pki").join(file)).expect(file).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn leaves_are_renewed_long_before_they_expire_and_when_names_change() {
    let dir = tempfile::tempdir().expect("a directory");
    let pki = Pki::open(dir.path(), names(), now()).expect("made");
    let before = text(dir.path(), "apiserver.crt");
    pki.renew(now().plus_secs(200 * 86400)).expect("nothing to do");
    assert_eq!(text(dir.path(), "apiserver.crt"), before);
    pki.renew(now().plus_secs(300 * 86400)).expect("renewed");
    let renewed = text(dir.path(), "apiserver.crt");
    assert_ne!(renewed, before);
    let more = Names::standard("other", [127, 0, 0, 1].into(), [10, 96, 0, 1].into());
    Pki::open(dir.path(), more, now()).expect("opened");
    assert_ne!(text(dir.path(), "apiserver.crt"), renewed);
}

#[test]
fn own_clients_verify_and_strangers_do_not() {
    let (one, two) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
    let ours = Pki::open(one.path(), names(), now()).expect("made");
    let theirs = Pki::open(two.path(), names(), now()).expect("made");
    let subject = Subject::new("system:node:n", &["system:nodes"]);
    let issued = ours.issue(&subject, &Purpose::Client, now()).expect("issued");
    let leaf = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("PEM");
    assert!(ours.clients().verify(std::slice::from_ref(&leaf)).is_ok());
    assert!(theirs.clients().verify(&[leaf]).is_err());
    let server = ours.issue(&subject, &Purpose::Server(vec!["x".into()]), now()).expect("issued");
    let leaf = CertificateDer::from_pem_slice(server.certificate.as_bytes()).expect("PEM");
    assert!(ours.clients().verify(&[leaf]).is_err(), "a serving certificate is no client");
}

#[test]
fn half_a_pair_is_named_not_replaced() {
    let dir = tempfile::tempdir().expect("a directory");
    Pki::open(dir.path(), names(), now()).expect("made");
    fs::remove_file(dir.path().join("pki/ca.key")).expect("removed");
    let error = Pki::open(dir.path(), names(), now()).err().expect("refused").to_string();
    assert!(error.ends_with("pki/ca.key: is missing, but its certificate exists"), "{error}");
}

#[test]
fn a_kubeconfig_keeps_other_contexts() {
    let dir = tempfile::tempdir().expect("a directory");
    let pki = Pki::open(dir.path(), names(), now()).expect("made");
    let path = dir.path().join("sub/config");
    fs::create_dir(dir.path().join("sub")).expect("made");
    let old = "apiVersion: v1\nkind: Config\ncurrent-context: old\nclusters:\n- name: old\n  cluster: {server: 'https://old'}\n\
               contexts:\n- name: old\n  context: {cluster: old, user: old}\n- name: mine\n  context: {cluster: x, user: y}\n\
               users:\n- name: old\n  user: {token: abc}\n";
    fs::write(&path, old).expect("written");
    let client = pki.admin(now()).expect("admin");
    let context =
        Context { name: "mine", server: "https://127.0.0.1:1", ca: pki.ca(), client: &client };
    write_kubeconfig(&path, &context).expect("merged");
    let text = fs::read_to_string(&path).expect("read");
    let config: meta::Value = serde_saphyr::from_str(&text).expect("YAML");
    assert_eq!(config["current-context"], "mine");
    let names = |list: &str| -> Vec<String> {
        let entries = config[list].as_array().expect("a list");
        entries.iter().map(|e| e["name"].as_str().expect("a name").to_string()).collect()
    };
    for list in ["clusters", "contexts", "users"] {
        assert_eq!(names(list), ["old", "mine"], "{list}");
    }
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    fs::write(&path, "- not a kubeconfig\n").expect("written");
    assert!(write_kubeconfig(&path, &context).is_err());
}

#[test]
fn a_kept_kubeconfig_follows_the_renewed_certificate() {
    let dir = tempfile::tempdir().expect("a directory");
    let pki = Pki::open(dir.path(), names(), now()).expect("made");
    let path = dir.path().join("config");
    let kept = Kubeconfig { path: path.clone(), name: "c".into(), server: "https://h:1".into() };
    pki.keep_kubeconfig(kept, now()).expect("written");
    let before = fs::read_to_string(&path).expect("read");
    pki.renew(now().plus_secs(300 * 86400)).expect("renewed");
    assert_ne!(fs::read_to_string(&path).expect("read"), before);
}

#[test]
fn a_rotated_signing_key_leaves_the_one_before_it() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(pki::rotate_signing_key(dir.path()).is_err(), "there is none yet");
    let pki = Pki::open(dir.path(), names(), now()).expect("made");
    let first = pki.signing_key().wait().expect("a key").to_vec();
    assert_eq!(pki.signing_key().older(), None);
    pki::rotate_signing_key(dir.path()).expect("rotated");
    let again = pki::SigningKey::read(dir.path()).expect("read");
    let second = again.wait().expect("a key").to_vec();
    assert_ne!(second, first);
    assert_eq!(again.older(), Some(first.as_slice()));
    pki::rotate_signing_key(dir.path()).expect("rotated");
    let last = pki::SigningKey::read(dir.path()).expect("read");
    assert_eq!(last.older(), Some(second.as_slice()), "the first one is forgotten");
}
