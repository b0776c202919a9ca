//! Pull and push against a registry of another make, over loopback.
#![allow(clippy::unwrap_used)] // helpers of tests are tests too

use image::{
    Base, Credentials, ErrorKind, ImageStore, PullRequest, PushRequest, RegistriesConfig, Reporter,
    unpack,
};
use oci::{ImageConfig, Reference};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A `docker-registry` on a free port, killed when dropped.
struct Registry {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Registry {
    async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            folder.path().display()
        );
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let started = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = started else {
            println!("skipped: docker-registry is not installed");
            return None;
        };
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::task::yield_now().await;
        }
        Some(Self { process, port, _folder: folder })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn open(folder: &Path, config: &str) -> ImageStore {
    ImageStore::open(folder, serde_json::from_str(config).unwrap()).unwrap()
}

/// A tar of a busybox root file system, made by the system's tar.
fn busybox_tar() -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    let copied = ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .any(|b| std::fs::copy(b, folder.path().join("bin/busybox")).is_ok());
    if !copied {
        println!("skipped: busybox is not installed");
        return None;
    }
    std::os::unix::fs::symlink("busybox", folder.path().join("bin/sh")).unwrap();
    let tar =
        Command::new("tar").arg("-C").arg(folder.path()).args(["-c", "bin"]).output().unwrap();
    Some(tar.stdout)
}

fn pull(name: &str, reporter: Reporter) -> PullRequest {
    PullRequest {
        reference: Reference::parse(name).unwrap(),
        platform: None,
        auth: Some(Credentials::default()),
        reporter,
    }
}

fn push(name: &str) -> PushRequest {
    PushRequest {
        reference: Reference::parse(name).unwrap(),
        auth: Some(Credentials::default()),
        reporter: Reporter::none(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn busybox_comes_back_through_a_mirror() {
    let (Some(registry), Some(tar)) = (Registry::start().await, busybox_tar()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("a"), "{}");
    let name = format!("127.0.0.1:{}/library/busybox:latest", registry.port);
    let reference = Reference::parse(&name).unwrap();
    let mut config = ImageConfig::default();
    config.config.cmd = Some(vec!["sh".into()]);
    let id = store.import(&mut &tar[..], config, Some(&reference)).unwrap();
    let pushed = store.push(push(&name)).await.unwrap();
    // A second push sends nothing and gives the same digest.
    assert_eq!(store.push(push(&name)).await.unwrap(), pushed);

    let mirror = format!(
        r#"{{"registries":{{"docker.io":{{"mirrors":["http://127.0.0.1:{}"]}}}}}}"#,
        registry.port
    );
    let other = open(&folder.path().join("b"), &mirror);
    let (reporter, mut lines) = Reporter::channel();
    let pulled = other.pull(pull("busybox", reporter)).await.unwrap();
    assert_eq!((pulled.id.clone(), pulled.digest.clone()), (id.clone(), pushed.digest.clone()));
    let mut said = Vec::new();
    while let Ok(line) = lines.try_recv() {
        if !line.is_count() {
            said.push(line.status);
        }
    }
    assert_eq!(said.first().map(String::as_str), Some("Pulling from library/busybox"));
    assert!(said.contains(&"Pull complete".to_owned()));
    assert_eq!(said.last().unwrap(), "Status: Downloaded newer image for busybox:latest");
    let image = other.get(&pulled.id).unwrap();
    assert_eq!(image.tags, [Reference::parse("docker.io/library/busybox:latest").unwrap()]);
    assert_eq!(image.digests[0].familiar(), format!("busybox@{}", pushed.digest));
    let rootfs = other.snapshots().prepare("c", &Base::Image(pulled.id)).unwrap();
    assert!(rootfs.lower[0].join("bin/busybox").exists());
    let again = other.pull(pull("busybox", Reporter::none())).await.unwrap();
    assert!(!again.downloaded);
    // By digest too.
    let by_digest = format!("busybox@{}", pushed.digest);
    assert_eq!(other.pull(pull(&by_digest, Reporter::none())).await.unwrap().id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_dockers() {
    let Some(registry) = Registry::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), "{}");
    let name = format!("127.0.0.1:{}/nope", registry.port);
    let error = store.pull(pull(&name, Reporter::none())).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    let want = format!("manifest for {name}:latest not found: manifest unknown: manifest unknown");
    assert_eq!(error.to_string(), want);
    let error = store.push(push(&name)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("An image does not exist locally with the tag: {name}"));
    let error = store.pull(pull("127.0.0.1:1/x", Reporter::none())).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    let left = store.usage().unwrap();
    assert_eq!(left, Default::default());
    let _ = (RegistriesConfig::default(), unpack);
}
