//! What an operator does to a control plane, with the real binary: backups, restores, key rotations, and `kill -9`.
#![allow(clippy::unwrap_used)]

use remote::Kube;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_boxship");
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// `boxship server` on a directory.
struct Server {
    child: Child,
    kubeconfig: PathBuf,
}

impl Server {
    fn start(dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        let kubeconfig = dir.with_extension("kubeconfig");
        let mut child = Command::new(BINARY)
            .args(["server", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir)
            .arg("--write-kubeconfig")
            .arg(&kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.any(|line| line.unwrap().starts_with("ready in"));
        assert!(ready, "the server ended before it was ready");
        Self { child, kubeconfig }
    }

    fn kube(&self) -> Kube {
        Kube::from_file(&self.kubeconfig).unwrap()
    }

    fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn boxship(args: &[&str], data_dir: Option<&Path>) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("server").args(args);
    if let Some(dir) = data_dir {
        command.arg("--data-dir").arg(dir);
    }
    command.output().unwrap()
}

fn done(args: &[&str], data_dir: Option<&Path>) -> String {
    let output = boxship(args, data_dir);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    said
}

fn refused(args: &[&str], data_dir: Option<&Path>) -> String {
    let output = boxship(args, data_dir);
    assert!(!output.status.success(), "{args:?} went through");
    String::from_utf8(output.stderr).unwrap()
}

fn secret(number: usize) -> Value {
    let value = format!("hidden-{number}");
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": format!("s{number}") },
        "stringData": { "value": value } })
}

/// Name and data of every Secret.
async fn secrets(kube: &Kube) -> BTreeMap<String, Value> {
    let list = kube.get(SECRETS).await.unwrap();
    let items = list["items"].as_array().unwrap().iter();
    items.map(|s| (s["metadata"]["name"].as_str().unwrap().into(), s["data"].clone())).collect()
}

async fn token(kube: &Kube) -> String {
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let wanted =
        json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match kube.post(path, &wanted).await {
            Ok(made) => return made["status"]["token"].as_str().unwrap().into(),
            // The account is the work of a controller, which may need a moment.
            Err(e) if e.is_not_found() && Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(e) => panic!("no token: {e:?}"),
        }
    }
}

async fn is_good(kube: &Kube, token: &str) -> bool {
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": { "token": token } });
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    kube.post(path, &review).await.unwrap()["status"]["authenticated"] == true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_restore_and_every_secret_survives_rotations() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, file) = (scratch.path().join("one"), scratch.path().join("monday"));
    let name = file.to_str().unwrap();
    let server = Server::start(&dir);
    let kube = server.kube();
    for number in 0..20 {
        kube.post(SECRETS, &secret(number)).await.unwrap();
    }
    let (before, early) = (secrets(&kube).await, token(&kube).await);
    assert!(before.len() >= 20);

    let said = done(&["backup", name], Some(&dir));
    assert!(said.contains("read back and right"), "{said}");
    let bytes = fs::read(&file).unwrap();
    assert!(!bytes.windows(7).any(|part| part == b"hidden-"), "Secrets stay sealed");
    let keys = scratch.path().join("monday.keys");
    assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);

    let key = fs::read_to_string(dir.join("store/secrets.key")).unwrap();
    done(&["rotate-key"], Some(&dir));
    let rotated = fs::read_to_string(dir.join("store/secrets.key")).unwrap();
    assert!(key.lines().skip(1).all(|line| !rotated.contains(line)), "the old key is gone");
    done(&["rotate-signing-key"], Some(&dir));
    let late = token(&kube).await;
    let header = |token: &str| token.split('.').next().unwrap().to_string();
    assert_ne!(header(&early), header(&late), "signed with another key");
    assert!(is_good(&kube, &early).await && is_good(&kube, &late).await);
    kube.post(SECRETS, &secret(100)).await.unwrap();
    let after = secrets(&kube).await;

    let held = refused(&["verify"], Some(&dir));
    assert!(held.contains("stop the server first"), "{held}");
    server.kill();
    assert!(done(&["verify"], Some(&dir)).contains("all right"));
    let server = Server::start(&dir);
    assert_eq!(secrets(&server.kube()).await, after, "read back with the new key");
    assert!(is_good(&server.kube(), &early).await && is_good(&server.kube(), &late).await);
    drop(server);

    assert!(done(&["verify", name], None).contains("all right"));
    let other = scratch.path().join("two");
    done(&["restore", name], Some(&other));
    let restored = Server::start(&other);
    assert_eq!(secrets(&restored.kube()).await, before);
    assert!(is_good(&restored.kube(), &early).await, "its tokens are good in the restored cluster");
    drop(restored);
    let again = refused(&["restore", name], Some(&other));
    assert!(again.contains("there already is a log"), "{again}");
}

#[test]
fn damage_is_named_and_nothing_is_made_of_it() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, file) = (scratch.path().join("one"), scratch.path().join("monday"));
    let name = file.to_str().unwrap();
    drop(Server::start(&dir));
    // Without a server the command opens the directory itself.
    done(&["backup", name], Some(&dir));
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    for args in [["verify", name], ["restore", name]] {
        let said = refused(&args, Some(&scratch.path().join("two")));
        assert!(said.contains(name) && said.contains("damaged"), "{said}");
    }
    assert!(!scratch.path().join("two/store").exists(), "nothing was written");

    let log = fs::read_dir(dir.join("store")).unwrap().flatten().map(|e| e.path());
    let log = log.filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("log-"));
    let log = log.max().unwrap();
    let mut bytes = fs::read(&log).unwrap();
    // Well inside what was acknowledged long before the end.
    bytes[5000] ^= 1;
    fs::write(&log, bytes).unwrap();
    let said = refused(&["verify"], Some(&dir));
    assert!(said.contains(log.to_str().unwrap()), "{said}");
    let said = refused(&["--listen", "127.0.0.1:0"], Some(&dir));
    assert!(said.contains(log.to_str().unwrap()), "a server does not start over it: {said}");
}

#[test]
fn another_datastore_is_refused_plainly() {
    let dir = tempfile::tempdir().unwrap();
    let said = refused(&["--datastore", "etcd://127.0.0.1:2379"], Some(dir.path()));
    assert!(said.contains("etcd as a datastore is not there yet"), "{said}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was touched");
}

/// What was acknowledged: name and revision.
type Acked = Arc<Mutex<BTreeMap<String, u64>>>;

async fn write_until_it_dies(kube: Kube, kill: usize, client: usize, acked: Acked) {
    for number in 0.. {
        let name = format!("k{kill}-{client}-{number}");
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
            "data": { "x": "y".repeat(200) } });
        let Ok(made) = kube.post(MAPS, &map).await else { return };
        let revision = made["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        acked.lock().unwrap().insert(name, revision);
    }
}

/// `BOXSHIP_SERVER_KILLS` says how often; the log alone is killed far more often in its own test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_the_server_loses_nothing_acknowledged() {
    let kills = std::env::var("BOXSHIP_SERVER_KILLS").map_or(20, |count| count.parse().unwrap());
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("one");
    let (acked, mut newest) = (Acked::default(), 0);
    for kill in 0..=kills {
        let server = Server::start(&dir);
        let kube = server.kube();
        let list = kube.get(MAPS).await.unwrap();
        let revision: u64 = list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        assert!(revision >= newest, "kill {kill}: revisions went back from {newest} to {revision}");
        newest = revision;
        let found: BTreeMap<&str, u64> = list["items"].as_array().unwrap().iter().map(of).collect();
        for (name, revision) in acked.lock().unwrap().iter() {
            assert_eq!(found.get(name.as_str()), Some(revision), "kill {kill}: {name}");
            newest = newest.max(*revision);
        }
        if kill == kills {
            break;
        }
        let writers =
            (0..8).map(|client| write_until_it_dies(server.kube(), kill, client, acked.clone()));
        let writers: Vec<_> = writers.map(tokio::spawn).collect();
        tokio::time::sleep(Duration::from_micros(kill as u64 * 79_193 % 300_000)).await;
        server.kill();
        for writer in writers {
            writer.await.unwrap();
        }
    }
    println!(
        "{kills} kills, {} acknowledged writes, revision {newest}",
        acked.lock().unwrap().len()
    );
}

fn of(map: &Value) -> (&str, u64) {
    let metadata = &map["metadata"];
    let revision = metadata["resourceVersion"].as_str().unwrap().parse().unwrap();
    (metadata["name"].as_str().unwrap(), revision)
}
