//! What the face itself promises: who comes in, limits, streams, an orderly end.

mod client;
mod cluster;

use client::Client;
use cluster::Cluster;
use http_body_util::BodyExt;
use kube_http::{Audit, AuditPolicy, AuditSink, Config};
use meta::Time;
use serde_json::{Value, json};
use std::io::Read;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

struct Fixture {
    cluster: Cluster,
    dir: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(Config::default(), None).await
    }

    async fn with(config: Config, policy: Option<&str>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let audit = policy.map(|text| Audit {
            policy: AuditPolicy::parse(text).expect("a policy"),
            sink: AuditSink::open(&dir.path().join("audit")).expect("a file"),
        });
        let listen = ([127, 0, 0, 1], 0).into();
        let cluster =
            Cluster::start_with(dir.path(), listen, config, audit).await.expect("started");
        Self { cluster, dir }
    }

    async fn admin(&self) -> Client {
        let admin = self.cluster.pki().admin(now()).expect("a certificate");
        Client::connect(self.cluster.address, self.cluster.pki(), Some(&admin)).await
    }

    async fn stranger(&self) -> Client {
        Client::connect(self.cluster.address, self.cluster.pki(), None).await
    }
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Time::from_secs(since.as_secs() as i64)
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str, data: &str) -> Vec<u8> {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "a": data } })
        .to_string()
        .into_bytes()
}

async fn create(client: &mut Client, name: &str, data: &str) {
    let json = [("content-type", "application/json")];
    let answer = client.ask("POST", MAPS, &json, map(name, data)).await;
    assert_eq!(answer.code, 201, "{}", answer.text());
}

#[tokio::test]
async fn certificates_tokens_and_nobody() {
    let fixture = Fixture::new().await;
    let mut stranger = fixture.stranger().await;
    assert_eq!(stranger.get("/readyz").await.text(), "ok");
    let refused = stranger.get(MAPS).await;
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.json()["message"],
        "configmaps is forbidden: User \"system:anonymous\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\""
    );
    let wrong =
        stranger.ask("GET", "/readyz", &[("authorization", "Bearer nonsense")], Vec::new()).await;
    assert_eq!((wrong.code, wrong.json()["message"].as_str()), (401, Some("Unauthorized")));
    assert_eq!(fixture.admin().await.get(MAPS).await.code, 200);
    let other = tempfile::tempdir().expect("a directory");
    let names = pki::Names::standard("", [127, 0, 0, 1].into(), [10, 96, 0, 1].into());
    let foreign =
        pki::Pki::open(other.path(), names, now()).expect("made").admin(now()).expect("made");
    let (address, pki) = (fixture.cluster.address, fixture.cluster.pki());
    let mut foreign = Client::connect(address, pki, Some(&foreign)).await;
    assert_eq!(foreign.get("/readyz").await.code, 401);
    fixture.cluster.stop().await;
}

#[tokio::test]
async fn bodies_and_requests_are_limited() {
    let config = Config { body_bytes: 1000, reads: 1, ..Config::default() };
    let fixture = Fixture::with(config, None).await;
    let mut admin = fixture.admin().await;
    let json = [("content-type", "application/json")];
    let large = admin.ask("POST", MAPS, &json, vec![b' '; 1001]).await;
    assert_eq!(large.code, 413);
    assert_eq!(large.json()["message"], "Request entity too large: limit is 1000");
    assert_eq!(large.json()["reason"], "RequestEntityTooLarge");
    fixture.cluster.stop().await;
}

#[tokio::test]
async fn large_answers_are_compressed_when_asked() {
    let fixture = Fixture::new().await;
    let mut admin = fixture.admin().await;
    for i in 0..3 {
        create(&mut admin, &format!("m{i}"), &"x".repeat(60_000)).await;
    }
    let plain = admin.get(MAPS).await;
    assert_eq!(plain.header("content-encoding"), "");
    let packed = admin.ask("GET", MAPS, &[("accept-encoding", "gzip")], Vec::new()).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_end(&mut unpacked).expect("gzip");
    assert_eq!(unpacked, plain.body);
    let small = admin
        .ask("GET", &format!("{MAPS}?limit=1"), &[("accept-encoding", "gzip")], Vec::new())
        .await;
    assert_eq!(small.header("content-encoding"), "");
    fixture.cluster.stop().await;
}

/// The next event of a watch; `None` when it ended.
async fn event(body: &mut hyper::body::Incoming) -> Option<Value> {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(120), body.frame());
        let data = next.await.expect("in time")?.expect("a frame").into_data().expect("data");
        // HTTP/2 may end a stream with an empty frame.
        if !data.is_empty() {
            return Some(serde_json::from_slice(&data).expect("one event"));
        }
    }
}

#[tokio::test]
async fn a_watch_streams_and_ends_with_the_server() {
    let fixture = Fixture::new().await;
    let mut admin = fixture.admin().await;
    let uri = format!("{MAPS}?watch=1&fieldSelector=metadata.name=w");
    let mut watch = admin.send("GET", &uri, &[], Vec::new()).await.into_body();
    create(&mut admin, "other", "1").await;
    create(&mut admin, "w", "1").await;
    let added = event(&mut watch).await.expect("an event");
    assert_eq!(
        (added["type"].as_str(), added["object"]["metadata"]["name"].as_str()),
        (Some("ADDED"), Some("w"))
    );
    let deleted = admin.ask("DELETE", &format!("{MAPS}/w"), &[], Vec::new()).await;
    assert_eq!(deleted.code, 200);
    assert_eq!(event(&mut watch).await.expect("an event")["type"], "DELETED");
    let ending = tokio::spawn(fixture.cluster.stop());
    assert_eq!(event(&mut watch).await, None, "ends cleanly");
    ending.await.expect("stopped");
}

#[tokio::test]
async fn bookmarks_come_when_asked_for() {
    let config = Config { bookmark_every: Duration::from_millis(50), ..Config::default() };
    let fixture = Fixture::with(config, None).await;
    let mut admin = fixture.admin().await;
    let uri = format!("{MAPS}?watch=1&allowWatchBookmarks=true&resourceVersion=0&timeoutSeconds=1");
    let mut watch = admin.send("GET", &uri, &[], Vec::new()).await.into_body();
    let bookmark = event(&mut watch).await.expect("an event");
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_ne!(bookmark["object"]["metadata"]["resourceVersion"], "0");
    while event(&mut watch).await.is_some() {}
    fixture.cluster.stop().await;
}

#[tokio::test]
async fn a_thousand_watchers_see_one_change() {
    let fixture = Fixture::new().await;
    let mut admin = fixture.admin().await;
    let mut watchers = Vec::new();
    for _ in 0..500 {
        let response = admin.send("GET", &format!("{MAPS}?watch=1"), &[], Vec::new()).await;
        watchers.push(response.into_body());
    }
    let mut second = fixture.admin().await;
    for _ in 0..500 {
        let response = second.send("GET", &format!("{MAPS}?watch=1"), &[], Vec::new()).await;
        watchers.push(response.into_body());
    }
    create(&mut admin, "one", "1").await;
    for watch in &mut watchers {
        assert_eq!(event(watch).await.expect("an event")["object"]["metadata"]["name"], "one");
    }
    drop(watchers);
    fixture.cluster.stop().await;
}

#[tokio::test]
async fn connecting_without_a_node_says_so() {
    let fixture = Fixture::new().await;
    let mut admin = fixture.admin().await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" },
        "spec": { "containers": [{ "name": "c", "image": "i" }] },
    });
    let json = [("content-type", "application/json")];
    // No controller runs here that would make it.
    let account =
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let made = admin.ask("POST", accounts, &json, account.to_string().into_bytes()).await;
    assert_eq!(made.code, 201, "{}", made.text());
    let uri = "/api/v1/namespaces/default/pods";
    let made = admin.ask("POST", uri, &json, pod.to_string().into_bytes()).await;
    assert_eq!(made.code, 201, "{}", made.text());
    let log = admin.get(&format!("{uri}/p/log")).await;
    assert_eq!(log.code, 503, "{}", log.text());
    assert!(log.json()["message"].as_str().expect("text").starts_with("no node is attached"));
    fixture.cluster.stop().await;
}

#[tokio::test]
async fn audit_lines_tell_who_did_what() {
    let policy = "kind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Request\n  verbs: [create]\n- level: None\n";
    let fixture = Fixture::with(Config::default(), Some(policy)).await;
    let mut admin = fixture.admin().await;
    let headers =
        [("content-type", "application/json"), ("audit-id", "my-id"), ("user-agent", "test")];
    let answer = admin.ask("POST", MAPS, &headers, map("m", "1")).await;
    assert_eq!((answer.code, answer.header("audit-id")), (201, "my-id"));
    let path = fixture.dir.path().join("audit");
    fixture.cluster.stop().await;
    let deadline = std::time::Instant::now() + Duration::from_secs(120);
    let text = loop {
        let text = std::fs::read_to_string(&path).expect("read");
        if text.ends_with('\n') || std::time::Instant::now() > deadline {
            break text;
        }
        std::thread::yield_now();
    };
    let event: Value = serde_json::from_str(text.trim()).expect("one line");
    assert_eq!(event["auditID"], "my-id");
    assert_eq!(event["user"]["username"], "kubernetes-admin");
    assert_eq!(event["objectRef"]["resource"], "configmaps");
    assert_eq!(event["requestObject"]["data"]["a"], "1");
    assert_eq!(
        (event["stage"].as_str(), event["responseStatus"]["code"].as_i64()),
        (Some("ResponseComplete"), Some(201))
    );
}

#[tokio::test]
async fn a_restart_keeps_objects_and_writes_nothing() {
    let fixture = Fixture::new().await;
    let mut admin = fixture.admin().await;
    create(&mut admin, "m", "1").await;
    let before = admin.get(MAPS).await;
    drop(admin);
    fixture.cluster.stop().await;
    let listen = ([127, 0, 0, 1], 0).into();
    let cluster = Cluster::start(fixture.dir.path(), listen).await.expect("started again");
    let certificate = cluster.pki().admin(now()).expect("a certificate");
    let mut admin = Client::connect(cluster.address, cluster.pki(), Some(&certificate)).await;
    assert_eq!(admin.get(MAPS).await.text(), before.text(), "the same revision");
    cluster.stop().await;
}

#[tokio::test]
async fn plain_http_is_told_what_is_wrong() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let fixture = Fixture::new().await;
    for (sent, wanted) in [
        (
            &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
            "Client sent an HTTP request to an HTTPS server.",
        ),
        (&[0x16, 3, 1, 0xff, 0xff, 1, 2, 3][..], ""),
        (&[0; 64][..], ""),
    ] {
        let mut stream =
            tokio::net::TcpStream::connect(fixture.cluster.address).await.expect("connected");
        stream.write_all(sent).await.expect("sent");
        stream.shutdown().await.expect("half closed");
        let mut answer = Vec::new();
        // A reset is an answer as well.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(String::from_utf8_lossy(&answer).contains(wanted));
    }
    assert_eq!(fixture.stranger().await.get("/livez").await.code, 200);
    fixture.cluster.stop().await;
}

const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

#[tokio::test]
async fn a_proxy_in_front_speaks_for_others_and_nobody_else_does() {
    let fixture = Fixture::new().await;
    let (address, pki) = (fixture.cluster.address, fixture.cluster.pki());
    let headers = [
        ("content-type", "application/json"),
        ("x-remote-user", "jane"),
        ("x-remote-group", "devs"),
        ("x-remote-extra-example.com%2fscopes", "a"),
    ];
    let review = br#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
    let proxy = pki.front_proxy_client(now()).expect("a certificate");
    let mut proxy = Client::connect(address, pki, Some(&proxy)).await;
    let jane = proxy.ask("POST", WHO, &headers, review.to_vec()).await.json();
    assert_eq!(
        jane["status"]["userInfo"],
        json!({
            "username": "jane", "groups": ["devs", "system:authenticated"],
            "extra": { "example.com/scopes": ["a"] },
        })
    );
    let nobody = proxy.ask("POST", WHO, &headers[..1], review.to_vec()).await;
    assert_eq!(nobody.code, 401, "a proxy that names nobody is nobody here");
    // A name on the list of proxies, signed by another authority: a client like any other.
    let fake = pki::Subject::new("front-proxy-client", &[]);
    let fake = pki.issue(&fake, &pki::Purpose::Client, now()).expect("a certificate");
    let mut fake = Client::connect(address, pki, Some(&fake)).await;
    let who = fake.ask("POST", WHO, &headers, review.to_vec()).await.json();
    assert_eq!(who["status"]["userInfo"]["username"], "front-proxy-client");
    let mut admin = fixture.admin().await;
    let who = admin.ask("POST", WHO, &headers, review.to_vec()).await.json();
    assert_eq!(who["status"]["userInfo"]["username"], "kubernetes-admin");
    fixture.cluster.stop().await;
}

#[tokio::test]
async fn certificates_are_renewed_without_a_restart() {
    let fixture = Fixture::new().await;
    let pki = fixture.cluster.pki();
    let mut old = fixture.admin().await;
    assert_eq!(old.get(MAPS).await.code, 200);
    let shown = |client: &Client| client.server_certificate().to_vec();
    let before = shown(&old);
    assert_eq!(shown(&fixture.admin().await), before);
    // As if it were about to expire: the next look of the server's timer makes a new one.
    std::fs::remove_file(fixture.dir.path().join("pki/apiserver.crt")).expect("there is one");
    pki.renew(now()).expect("renewed");
    let mut new = fixture.admin().await;
    assert_ne!(shown(&new), before, "new connections are shown the new one");
    assert_eq!(new.get(MAPS).await.code, 200);
    assert_eq!(old.get(MAPS).await.code, 200, "old connections go on");
    fixture.cluster.stop().await;
}
