//! Real clients and hostile ones against the built-in registry, over loopback.
#![allow(clippy::unwrap_used)] // helpers of tests are tests too

use image::{Credentials, ImageStore, PullRequest, PushRequest, RegistriesConfig, Reporter};
use oci::{Digest, ImageConfig, Reference};
use registry_http::{Access, Account, Accounts, Options};
use std::io::{Read as _, Write as _};
use std::path::Path;

struct Server {
    store: ImageStore,
    port: u16,
    folder: tempfile::TempDir,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(options: Options) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(registry_http::serve(listener, store.clone(), options));
    Server { store, port, folder, task }
}

fn open(folder: &Path) -> ImageStore {
    ImageStore::open(folder, RegistriesConfig::default()).unwrap()
}

/// A tar with one file of `size` hardly compressible bytes, made by the system's tar.
fn tar_of(size: usize) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let mut seed = 7u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 56) as u8
    })
    .take(size)
    .collect();
    std::fs::write(folder.path().join("noise"), bytes).unwrap();
    let mut tar = std::process::Command::new("tar");
    tar.arg("-C").arg(folder.path()).args(["-c", "noise"]).output().unwrap().stdout
}

fn import(store: &ImageStore, name: &str, size: usize) -> Digest {
    let name = Reference::parse_tagged(name).unwrap();
    store.import(&mut &tar_of(size)[..], ImageConfig::default(), Some(&name)).unwrap()
}

/// One request over a fresh connection: status, head, body.
async fn ask(port: u16, request: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
    let bytes = [request.as_bytes(), body].concat();
    tokio::task::spawn_blocking(move || {
        let mut tcp = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        tcp.write_all(&bytes).unwrap();
        let mut all = Vec::new();
        tcp.read_to_end(&mut all).unwrap();
        let at = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(all[..at].to_vec()).unwrap().to_lowercase();
        let status = head[9..12].parse().unwrap();
        (status, head, all[at + 4..].to_vec())
    })
    .await
    .unwrap()
}

fn head(method: &str, path: &str, extra: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{extra}\r\n"
    )
}

fn location(head: &str) -> String {
    let line = head.lines().find_map(|l| l.strip_prefix("location: "));
    line.unwrap().to_owned()
}

async fn skopeo(args: &[String]) -> Option<String> {
    let output = tokio::process::Command::new("skopeo").args(args).output().await;
    let Ok(output) = output else {
        println!("skipped: skopeo is not installed");
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "skopeo {args:?}: {errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn local_images_are_served_without_a_push() {
    let server = serve(Options::default()).await;
    let id = import(&server.store, "busybox:1", 100_000);
    let other = open(&server.folder.path().join("other"));
    let name = format!("127.0.0.1:{}/library/busybox:1", server.port);
    let request = PullRequest {
        reference: Reference::parse(&name).unwrap(),
        platform: None,
        auth: Some(Credentials::default()),
        reporter: Reporter::none(),
    };
    assert_eq!(other.pull(request).await.unwrap().id, id);
    let tags = ask(server.port, &head("GET", "/v2/library/busybox/tags/list", "", 0), b"").await;
    assert_eq!(tags.2, br#"{"name":"library/busybox","tags":["1"]}"#);
    let catalog = ask(server.port, &head("GET", "/v2/_catalog", "", 0), b"").await;
    assert_eq!(catalog.2, br#"{"repositories":["library/busybox"]}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_both_ways() {
    let server = serve(Options::default()).await;
    import(&server.store, "one:v1", 200_000);
    let folder = server.folder.path().display().to_string();
    let ours = format!("docker://127.0.0.1:{}", server.port);
    let flags = ["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
    let copy = |from: String, to: String| {
        let mut args: Vec<String> = flags.map(String::from).to_vec();
        args.extend([from, to]);
        args
    };
    let rows = [
        (format!("{ours}/library/one:v1"), format!("oci:{folder}/oci:v1")),
        (format!("oci:{folder}/oci:v1"), format!("{ours}/copied/a:v1")),
        (format!("{ours}/copied/a:v1"), format!("dir:{folder}/dir")),
        (format!("dir:{folder}/dir"), format!("{ours}/copied/b:v2")),
        (format!("{ours}/copied/b:v2"), format!("docker-archive:{folder}/d.tar:again:v3")),
        (format!("docker-archive:{folder}/d.tar"), format!("{ours}/copied/c:v3")),
        (format!("{ours}/copied/a:v1"), format!("oci-archive:{folder}/o.tar")),
    ];
    for (from, to) in rows {
        if skopeo(&copy(from, to)).await.is_none() {
            return;
        }
    }
    let inspect = ["inspect", "--tls-verify=false"].map(String::from).to_vec();
    let shown = skopeo(&[inspect, vec![format!("{ours}/copied/b:v2")]].concat()).await.unwrap();
    assert!(shown.contains("\"RepoTags\": [\n        \"v2\"\n    ]"), "{shown}");
    // And what skopeo wrote is loaded by us, into the same layer.
    for file in ["d.tar", "o.tar"] {
        let other = open(&server.folder.path().join(format!("load-{file}")));
        let mut tar = std::fs::File::open(server.folder.path().join(file)).unwrap();
        let loaded = other.load(&mut tar, &Reporter::none()).unwrap();
        let ours = server.store.get(&server.store.resolve("one:v1").unwrap()).unwrap();
        let theirs = other.get(&loaded[0].id).unwrap();
        assert_eq!(theirs.layers[0].diff_id, ours.layers[0].diff_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn push_pull_delete_free_everything() {
    let server = serve(Options::default()).await;
    let mine = open(&server.folder.path().join("mine"));
    let name = format!("127.0.0.1:{}/team/app:v1", server.port);
    import(&mine, &name, 50_000);
    let request = PushRequest {
        reference: Reference::parse(&name).unwrap(),
        auth: Some(Credentials::default()),
        reporter: Reporter::none(),
    };
    let pushed = mine.push(request).await.unwrap();
    let manifest = format!("/v2/team/app/manifests/{}", pushed.digest);
    let (status, head_text, _) = ask(server.port, &head("HEAD", &manifest, "", 0), b"").await;
    assert_eq!(status, 200);
    assert!(head_text.contains(&format!("content-length: {}", pushed.size)));
    assert!(head_text.contains(&format!("docker-content-digest: {}", pushed.digest)));
    let (status, _, _) = ask(server.port, &head("DELETE", &manifest, "", 0), b"").await;
    assert_eq!(status, 202);
    let (status, _, body) = ask(server.port, &head("GET", &manifest, "", 0), b"").await;
    assert_eq!(status, 404);
    let want =
        br#"{"errors":[{"code":"MANIFEST_UNKNOWN","detail":null,"message":"manifest unknown"}]}"#;
    assert_eq!(body, want);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_in_chunks_with_errors() {
    let server = serve(Options::default()).await;
    let port = server.port;
    let sum = Digest::sha256(b"hello world");
    let (status, answer, _) = ask(port, &head("POST", "/v2/r/blobs/uploads/", "", 0), b"").await;
    assert_eq!(status, 202);
    let upload = location(&answer);
    let chunk = |range: &str| head("PATCH", &upload, &format!("content-range: {range}\r\n"), 5);
    let (status, answer, _) = ask(port, &chunk("0-4"), b"hello").await;
    assert_eq!((status, answer.contains("range: 0-4")), (202, true));
    assert_eq!(ask(port, &chunk("0-4"), b"hello").await.0, 416);
    assert_eq!(ask(port, &head("GET", &upload, "", 0), b"").await.0, 204);
    let close = |digest: &Digest| head("PUT", &format!("{upload}?digest={digest}"), "", 6);
    assert_eq!(ask(port, &close(&sum), b" world").await.0, 201);
    let blob = format!("/v2/r/blobs/{sum}");
    let (status, answer, body) =
        ask(port, &head("GET", &blob, "range: bytes=6-\r\n", 0), b"").await;
    assert_eq!((status, body.as_slice()), (206, &b"world"[..]));
    assert!(answer.contains("content-range: bytes 6-10/11"));
    assert_eq!(ask(port, &head("GET", &blob, "range: bytes=11-\r\n", 0), b"").await.0, 416);
    // A repository sees only its own blobs until they are mounted.
    let foreign = format!("/v2/other/blobs/{sum}");
    assert_eq!(ask(port, &head("GET", &foreign, "", 0), b"").await.0, 404);
    let mount = format!("/v2/other/blobs/uploads/?mount={sum}&from=r");
    assert_eq!(ask(port, &head("POST", &mount, "", 0), b"").await.0, 201);
    assert_eq!(ask(port, &head("HEAD", &foreign, "", 0), b"").await.0, 200);
    // A wrong digest is refused and leaves nothing.
    let wrong = format!("/v2/r/blobs/uploads/?digest={}", Digest::sha256(b"x"));
    let (status, _, body) = ask(port, &head("POST", &wrong, "", 5), b"wrong").await;
    assert_eq!(status, 400);
    assert!(String::from_utf8(body).unwrap().contains("DIGEST_INVALID"));
    assert_eq!(server.store.usage().unwrap().partials, 0);
    for hostile in [
        "/v2/r/blobs/uploads/..%2f..%2fimages.json",
        "/v2/r/blobs/sha256:..%2f..",
        "/v2/r/manifests/-x",
    ] {
        let (status, ..) = ask(port, &head("GET", hostile, "", 0), b"").await;
        assert!(matches!(status, 400 | 404), "{hostile}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn referrers_and_paging() {
    let server = serve(Options::default()).await;
    let port = server.port;
    let empty = Digest::sha256(b"{}");
    let upload = format!("/v2/r/blobs/uploads/?digest={empty}");
    assert_eq!(ask(port, &head("POST", &upload, "", 2), b"{}").await.0, 201);
    let manifest = |extra: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{empty}","size":2}},"layers":[]{extra}}}"#
        )
    };
    let kind = "content-type: application/vnd.oci.image.manifest.v1+json\r\n";
    let base = manifest("");
    let subject = Digest::sha256(base.as_bytes());
    for tag in ["a", "b", "c"] {
        let put = head("PUT", &format!("/v2/r/manifests/{tag}"), kind, base.len());
        assert_eq!(ask(port, &put, base.as_bytes()).await.0, 201);
    }
    let signature = manifest(&format!(
        r#","artifactType":"sig/x","annotations":{{"k":"v"}},"subject":{{"mediaType":"m","digest":"{subject}","size":1}}"#
    ));
    let put = head("PUT", "/v2/r/manifests/sig", kind, signature.len());
    let (status, answer, _) = ask(port, &put, signature.as_bytes()).await;
    assert_eq!((status, answer.contains(&format!("oci-subject: {subject}"))), (201, true));
    let path = format!("/v2/r/referrers/{subject}?artifactType=sig%2Fx");
    let (_, answer, body) = ask(port, &head("GET", &path, "", 0), b"").await;
    let text = String::from_utf8(body).unwrap();
    assert!(text.contains(r#""artifactType":"sig/x""#) && text.contains(r#""k":"v""#), "{text}");
    assert!(answer.contains("oci-filters-applied: artifacttype"));
    let (_, answer, body) = ask(port, &head("GET", "/v2/r/tags/list?n=2", "", 0), b"").await;
    assert_eq!(body, br#"{"name":"r","tags":["a","b"]}"#);
    assert!(answer.contains("link: </v2/r/tags/list?last=b&n=2>; rel=\"next\""), "{answer}");
    let (_, answer, body) = ask(port, &head("GET", "/v2/r/tags/list?n=2&last=b", "", 0), b"").await;
    assert_eq!(body, br#"{"name":"r","tags":["c","sig"]}"#);
    assert!(!answer.contains("link:"));
    // Missing parts are named.
    let broken = base.replace(empty.as_str(), Digest::sha256(b"gone").as_str());
    let put = head("PUT", "/v2/r/manifests/x", kind, broken.len());
    let (status, _, body) = ask(port, &put, broken.as_bytes()).await;
    assert_eq!(status, 404);
    assert!(String::from_utf8(body).unwrap().contains("MANIFEST_BLOB_UNKNOWN"));
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts() {
    let account = |n: &str, r| (n.to_owned(), format!("{n}-pw"), r);
    let accounts = vec![account("r", Account::Reader), account("w", Account::Writer)];
    let server = serve(Options { access: Access::Basic(Accounts::new(accounts)) }).await;
    let (status, answer, body) = ask(server.port, &head("GET", "/v2/", "", 0), b"").await;
    assert_eq!(status, 401);
    assert!(answer.contains("www-authenticate: basic realm="));
    assert!(String::from_utf8(body).unwrap().contains("UNAUTHORIZED"));
    let mine = open(&server.folder.path().join("mine"));
    let name = format!("127.0.0.1:{}/app:v1", server.port);
    import(&mine, &name, 1000);
    let push = |user: &str| PushRequest {
        reference: Reference::parse(&name).unwrap(),
        auth: Some(Credentials {
            username: user.into(),
            password: format!("{user}-pw"),
            ..Credentials::default()
        }),
        reporter: Reporter::none(),
    };
    let error = mine.push(push("r")).await.unwrap_err();
    assert_eq!(error.to_string(), "denied: requested access to the resource is denied");
    let error = mine.push(push("x")).await.unwrap_err();
    assert_eq!(error.to_string(), "unauthorized: authentication required");
    mine.push(push("w")).await.unwrap();
    let pull = PullRequest {
        reference: Reference::parse(&name).unwrap(),
        platform: None,
        auth: Some(Credentials::default()),
        reporter: Reporter::none(),
    };
    let error = mine.pull(pull).await.unwrap_err().to_string();
    let want = format!(
        "pull access denied for 127.0.0.1:{}/app, repository does not exist or may require 'docker login': unauthorized: authentication required",
        server.port
    );
    assert_eq!(error, want);
}

/// A proxy that lets `allowed` bytes of answers through, then cuts every connection once.
async fn cutting_proxy(to: u16, allowed: u64) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let left = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(allowed.cast_signed()));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let left = left.clone();
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                let server = tokio::net::TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let (mut from_server, mut to_server) = server.into_split();
                let (mut from_client, mut to_client) = client.into_split();
                let up = tokio::spawn(async move {
                    let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
                });
                let mut buffer = vec![0; 16 << 10];
                while let Ok(n) = from_server.read(&mut buffer).await {
                    let before = left
                        .fetch_sub(i64::try_from(n).unwrap(), std::sync::atomic::Ordering::SeqCst);
                    let cut = before > 0 && before <= i64::try_from(n).unwrap();
                    if n == 0 || cut || to_client.write_all(&buffer[..n]).await.is_err() {
                        break;
                    }
                }
                up.abort();
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_pulls_go_on() {
    let server = serve(Options::default()).await;
    let id = import(&server.store, "big", 3 << 20);
    let port = cutting_proxy(server.port, 1 << 20).await;
    let other = open(&server.folder.path().join("other"));
    let request = PullRequest {
        reference: Reference::parse(&format!("127.0.0.1:{port}/library/big")).unwrap(),
        platform: None,
        auth: Some(Credentials::default()),
        reporter: Reporter::none(),
    };
    assert_eq!(other.pull(request).await.unwrap().id, id);
    assert_eq!(other.usage().unwrap().partials, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_pulls_resume_where_they_stopped() {
    let server = serve(Options::default()).await;
    let id = import(&server.store, "big", 8 << 20);
    let path = server.folder.path().join("other");
    let other = open(&path);
    let (reporter, mut lines) = Reporter::channel();
    let request = |reporter| PullRequest {
        reference: Reference::parse(&format!("127.0.0.1:{}/library/big", server.port)).unwrap(),
        platform: None,
        auth: Some(Credentials::default()),
        reporter,
    };
    {
        let pull = other.pull(request(reporter));
        let half = async {
            while let Some(line) = lines.recv().await {
                if line.status == "Downloading" && line.current >= Some(2 << 20) {
                    return;
                }
            }
        };
        tokio::select! {
            _ = pull => panic!("pulled before it could be cancelled"),
            () = half => {}
        }
    }
    assert!(other.usage().unwrap().partials >= 2 << 20);
    drop(other);
    // As after a crash: a new store on the same folder.
    let again = open(&path);
    let (reporter, mut lines) = Reporter::channel();
    assert_eq!(again.pull(request(reporter)).await.unwrap().id, id);
    let mut first = None;
    while let Ok(line) = lines.try_recv() {
        first = first.or(line.current.filter(|_| line.status == "Downloading"));
    }
    assert!(first.unwrap() > 2 << 20, "it began again: {first:?}");
    assert_eq!(again.usage().unwrap().partials, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_blobs_come_in_ranges() {
    let server = serve(Options::default()).await;
    let id = import(&server.store, "huge", 80 << 20);
    let other = open(&server.folder.path().join("other"));
    let request = PullRequest {
        reference: Reference::parse(&format!("127.0.0.1:{}/library/huge", server.port)).unwrap(),
        platform: None,
        auth: Some(Credentials::default()),
        reporter: Reporter::none(),
    };
    // Printed anew it comes in one stream; once pushed it has a blob and comes in ranges.
    assert_eq!(other.pull(request.clone()).await.unwrap().id, id);
    other.remove(id.as_str(), image::Force::Yes).unwrap();
    let name = format!("127.0.0.1:{}/library/huge:latest", server.port);
    server.store.tag(&id, &Reference::parse(&name).unwrap()).unwrap();
    let push = PushRequest {
        reference: Reference::parse(&name).unwrap(),
        auth: Some(Credentials::default()),
        reporter: Reporter::none(),
    };
    server.store.push(push).await.unwrap();
    assert_eq!(other.pull(request).await.unwrap().id, id);
}
