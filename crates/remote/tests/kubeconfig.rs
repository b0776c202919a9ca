//! What a kubeconfig means, and what is refused in one.

use remote::Kubeconfig;
use std::path::PathBuf;

fn write(dir: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, text).expect("the directory is ours");
    path
}

const ONE: &str = r#"
apiVersion: v1
kind: Config
current-context: a
clusters: [{name: a, cluster: {server: "http://127.0.0.1:7001/base/"}}]
contexts: [{name: a, context: {cluster: a, user: u, namespace: shop}}]
users: [{name: u, user: {token: t}}]
"#;

const TWO: &str = r#"
current-context: b
clusters: [{name: b, cluster: {server: "https://127.0.0.1:7002", certificate-authority: ca.pem}},
           {name: a, cluster: {server: "http://elsewhere:1"}}]
contexts: [{name: b, context: {cluster: b, user: p}}]
users: [{name: p, user: {exec: {command: login}}}]
"#;

#[test]
fn the_first_file_counts_and_the_rest_is_added() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none");
    let config =
        Kubeconfig::load(&[write(&dir, "one", ONE), missing, write(&dir, "two", TWO)]).unwrap();
    let target = config.target(None).unwrap();
    assert_eq!((target.context.as_str(), target.namespace.as_str()), ("a", "shop"));
    assert_eq!(target.server, "http://127.0.0.1:7001/base/");
    let ca = config.entry("clusters", "b").unwrap()["certificate-authority"].as_str().unwrap();
    assert_eq!(ca, dir.path().join("ca.pem").to_str().unwrap());
}

#[test]
fn what_cannot_be_used_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let config = Kubeconfig::load(&[write(&dir, "two", TWO)]).unwrap();
    let why = |context| config.target(context).err().unwrap().to_string();
    assert!(why(None).contains("credential plugins are not run"), "{}", why(None));
    assert!(why(Some("x")).starts_with("context \"x\" does not exist"), "{}", why(Some("x")));
    let broken = Kubeconfig::load(&[write(&dir, "three", "[]")]).err().unwrap().to_string();
    assert!(broken.contains("the top level is not a map"), "{broken}");
    let none = Kubeconfig::load(&[]).unwrap().target(None).err().unwrap().to_string();
    assert!(none.contains("no current context"), "{none}");
}
