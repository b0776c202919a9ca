//! Sources from elsewhere and what becomes of an image: URLs, repositories, named contexts,
//! outputs, caches, times. Needs what `cli.rs` needs, and `git`.

#![allow(clippy::unwrap_used)]

mod engine;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use engine::{Engine, missing};
use serde_json::{Value, json};

/// A web server for files of a folder; remembers what was asked.
struct Web {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    fn start(root: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (root, log) = (root.clone(), log.clone());
                std::thread::spawn(move || answer(stream, &root, &log));
            }
        });
        Self { url, asked }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn answer(mut stream: TcpStream, root: &Path, log: &Mutex<Vec<String>>) {
    let reader = BufReader::new(stream.try_clone().unwrap());
    let head: Vec<String> =
        reader.lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
    let Some(first) = head.first() else { return };
    let path = first.split(' ').nth(1).unwrap().split('?').next().unwrap().to_owned();
    let fresh = head.iter().any(|l| l.eq_ignore_ascii_case("if-none-match: \"v1\""));
    let file = std::fs::read(root.join(path.trim_start_matches('/'))).ok();
    let (status, body) = match file {
        _ if path == "/moved" => ("302 Found\r\nLocation: /plain.txt", Vec::new()),
        Some(_) if fresh => ("304 Not Modified", Vec::new()),
        Some(body) => ("200 OK\r\nETag: \"v1\"", body),
        None => ("404 Not Found", Vec::new()),
    };
    log.lock().unwrap().push(format!("{} {path}", &status[..3]));
    let head = format!(
        "HTTP/1.1 {status}\r\nLast-Modified: Thu, 01 Jan 2015 00:00:00 GMT\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

fn sh(dir: &Path, script: &str) -> String {
    let out = Command::new("sh").args(["-ec", script]).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

#[test]
fn everything_around_a_build() {
    if let Some(why) = missing() {
        println!("skipped: {why}");
        return;
    }
    if Command::new("git").arg("--version").output().is_err() {
        println!("skipped: no git");
        return;
    }
    let engine = Engine::start();
    sh(
        engine.dir.path(),
        "mkdir -p www c && echo plain > www/plain.txt && mkdir t && \
        echo inside > t/file && tar -cjf www/a.tar.bz2 -C t . && tar -czf www/a.tgz -C t .",
    );
    let web = Web::start(engine.dir.path().join("www"));
    urls(&engine, &web);
    repositories(&engine, &web);
    remote_contexts(&engine, &web);
    named_contexts_and_secrets(&engine);
    outputs(&engine);
    caches(&engine);
    same_bits(&engine);
    checks(&engine);
    failed_trees(&engine);
    agents(&engine);
    kept_below_the_limit(&engine, &web);
}

fn build(engine: &Engine, text: &str) -> String {
    engine.write("c/Dockerfile", text);
    engine.ok(&["build", "-t", "it", "c"])
}

fn inside(engine: &Engine, script: &str) -> String {
    engine.ok(&["run", "--rm", "it", "sh", "-c", script])
}

fn urls(engine: &Engine, web: &Web) {
    let url = &web.url;
    let text = format!(
        "FROM busybox\nADD {url}/plain.txt /got/\nADD {url}/moved /other\n\
         ADD {url}/a.tgz /kept.tgz\nADD --unpack=true {url}/a.tar.bz2 /open/\n"
    );
    build(engine, &text);
    let look = "stat -c '%a %u %Y' /got/plain.txt; cat /got/plain.txt /other /open/file; ls /";
    let seen = inside(engine, look);
    assert!(seen.starts_with("600 0 1420070400\nplain\nplain\ninside\n"), "{seen}");
    assert!(seen.contains("kept.tgz"), "{seen}");
    web.take();
    let out = build(engine, &text);
    assert_eq!(out.matches("Using cache").count(), 4, "{out}");
    assert!(web.take().iter().all(|l| l.starts_with("304") || l.starts_with("302")));
    let sum = format!("sha256:{}", sh(engine.dir.path(), "sha256sum www/plain.txt | cut -c1-64"));
    build(engine, &format!("FROM busybox\nADD --checksum={sum} {url}/plain.txt /x\n"));
    assert_eq!(web.take(), Vec::<String>::new(), "a known checksum needs no asking");
    let wrong = sum.replace(&sum[7..10], "000");
    engine
        .write("c/Dockerfile", &format!("FROM busybox\nADD --checksum={wrong} {url}/plain.txt /x"));
    let said = engine.fails(&["build", "c"]);
    assert!(said.contains("digest mismatch"), "{said}");
    engine.write("c/Dockerfile", &format!("FROM busybox\nADD {url}/none /x"));
    let said = engine.fails(&["build", "c"]);
    assert!(said.contains("invalid response status 404"), "{said}");
}

fn repositories(engine: &Engine, web: &Web) {
    let commit = sh(
        engine.dir.path(),
        "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
         mkdir -p r/sub && cd r && git init -q -b main . && echo one > f && echo two > sub/g
         printf 'FROM busybox\\nCOPY f /from-git\\n' > Dockerfile
         git add . && git commit -q -m 1 && git tag v1 && echo three > f && git commit -q -a -m 2
         git clone -q --bare . ../www/r.git && cd ../www/r.git && git update-server-info
         git rev-parse v1",
    );
    let url = format!("{}/r.git", web.url);
    let text = format!(
        "FROM busybox\nADD {url} /new/\nADD {url}#v1:sub /old/\n\
         ADD --keep-git-dir=true --checksum={commit} {url}#{commit} /all/\n"
    );
    build(engine, &text);
    let seen = inside(engine, "cat /new/f /old/g /all/f; ls -a /new /all");
    assert!(seen.starts_with("three\ntwo\none\n"), "{seen}");
    assert_eq!(seen.matches(".git\n").count(), 1, "{seen}");
    assert_eq!(build(engine, &text).matches("Using cache").count(), 3);
    engine.write("c/Dockerfile", &format!("FROM busybox\nADD --checksum=dead {url} /x"));
    let said = engine.fails(&["build", "c"]);
    assert!(said.contains("expected checksum to match dead"), "{said}");
}

/// The lines as one text: streams, errors.
fn text(lines: &[Value]) -> String {
    let part = |l: &Value| {
        let stream = l["stream"].as_str().or(l["error"].as_str()).unwrap_or_default();
        stream.to_owned()
    };
    lines.iter().map(part).collect()
}

fn encoded(value: &Value) -> String {
    let text = value.to_string();
    text.bytes().map(|b| format!("%{b:02x}")).collect()
}

fn remote_contexts(engine: &Engine, web: &Web) {
    sh(
        engine.dir.path(),
        "mkdir -p rc && printf 'FROM busybox\\nCOPY x /x\\n' > rc/Dockerfile \
        && echo packed > rc/x && tar -czf www/rc.tgz -C rc . \
        && printf 'FROM busybox\\nRUN echo bare > /x\\n' > www/Dockerfile",
    );
    for (place, wanted) in [("rc.tgz", "packed\n"), ("Dockerfile", "bare\n")] {
        let said = text(&engine.post(&format!("t=it&remote={}/{place}", web.url), &[]));
        assert!(said.contains("Successfully tagged it:latest"), "{said}");
        assert_eq!(inside(engine, "cat /x"), wanted);
    }
    let query = format!("t=it&remote={}/r.git%23v1", web.url);
    let said = text(&engine.post(&query, &[]));
    assert!(said.contains("Successfully tagged"), "{said}");
    assert_eq!(inside(engine, "cat /from-git"), "one\n");
    // The CLI's own ways: a Dockerfile, and an archive, on standard input.
    let socket = format!("unix://{}/d.sock", engine.dir.path().display());
    let docker = format!("export DOCKER_BUILDKIT=0 DOCKER_HOST={socket};");
    sh(engine.dir.path(), &format!("{docker} docker build -q -t it - < www/Dockerfile"));
    assert_eq!(inside(engine, "cat /x"), "bare\n");
    sh(
        engine.dir.path(),
        &format!(
            "{docker} bzip2 < /dev/null >/dev/null; tar -cj -C rc . | docker build -q -t it -"
        ),
    );
    assert_eq!(inside(engine, "cat /x"), "packed\n");
    sh(engine.dir.path(), &format!("{docker} docker build -q -t it -f - rc < www/Dockerfile"));
    assert_eq!(inside(engine, "cat /x"), "bare\n");
}

fn named_contexts_and_secrets(engine: &Engine) {
    engine.write(
        "n/Dockerfile",
        "FROM base\nCOPY --from=extra /* /e/\nCOPY . /all/\n\
        RUN --mount=type=secret,id=pass,required cp /run/secrets/pass /seen\n\
        RUN --mount=type=bind,from=extra,target=/m cat /m/one > /two\n\
        RUN --mount=type=bind,rw,target=/w echo new > /w/scribble && ls /w > /ls\n",
    );
    engine.write("n/.boxship/secrets/pass", "hush");
    engine.write("n/.boxship/contexts/extra/one", "1\n");
    let contexts = encoded(&json!({ "base": "docker-image://busybox" }));
    let said =
        text(&engine.post(&format!("t=it&boxship=1&buildcontexts={contexts}"), &engine.tar("n")));
    assert!(said.contains("Successfully tagged"), "{said}");
    assert_eq!(
        inside(engine, "cat /e/one /two /seen; ls -a /all"),
        "1\n1\nhush.\n..\nDockerfile\n"
    );
    assert_eq!(inside(engine, "cat /ls"), "Dockerfile\nscribble\n");
    // Without the word it is a folder like any other.
    engine.write("n/Dockerfile", "FROM busybox\nCOPY . /all/\n");
    text(&engine.post("t=it", &engine.tar("n")));
    assert_eq!(inside(engine, "cat /all/.boxship/secrets/pass"), "hush");
}

/// The files that an answer carries, by number.
fn files(lines: &[Value]) -> BTreeMap<u64, Vec<u8>> {
    let mut out: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for output in lines.iter().filter_map(|l| l["aux"].get("boxship.output")) {
        let data = output["data"].as_str().unwrap_or_default();
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
        out.entry(output["n"].as_u64().unwrap()).or_default().extend(bytes);
    }
    out
}

fn outputs(engine: &Engine) {
    engine.write("o/Dockerfile", "FROM scratch\nCOPY x /deep/x\n");
    engine.write("o/x", "output\n");
    let images = engine.ok(&["images", "-aq"]);
    let wanted = encoded(&json!([{ "Type": "local" }, { "Type": "oci" }]));
    let lines = engine.post(&format!("outputs={wanted}"), &engine.tar("o"));
    let files = files(&lines);
    std::fs::write(engine.dir.path().join("tree.tar"), &files[&0]).unwrap();
    std::fs::write(engine.dir.path().join("image.tar"), &files[&1]).unwrap();
    assert_eq!(sh(engine.dir.path(), "tar -xOf tree.tar deep/x"), "output");
    assert!(sh(engine.dir.path(), "tar -tf image.tar").contains("oci-layout"));
    assert_eq!(engine.ok(&["images", "-aq"]), images, "files leave no image");
    let said = text(&engine.post("outputs=%5B%7B%22Type%22:%22magic%22%7D%5D", &engine.tar("o")));
    assert!(said.is_empty() || said.contains("not supported"), "{said}");
}

fn caches(engine: &Engine) {
    let text_of = "FROM busybox AS one\nRUN echo $$ > /r\nFROM busybox\nCOPY --from=one /r /r\n";
    engine.write("k/Dockerfile", text_of);
    let to = encoded(&json!([{ "Type": "local" }]));
    let lines = engine.post(&format!("t=first&cacheto={to}"), &engine.tar("k"));
    let first = engine.ok(&["image", "inspect", "first", "--format", "{{.Id}}"]);
    engine.ok(&["rmi", "first"]);
    engine.ok(&["builder", "prune", "-af"]);
    assert!(!text(&engine.post("t=cold", &engine.tar("k"))).contains("Using cache"));
    engine.ok(&["rmi", "cold"]);
    engine.ok(&["builder", "prune", "-af"]);
    std::fs::create_dir_all(engine.dir.path().join("k/.boxship/cache")).unwrap();
    std::fs::write(engine.dir.path().join("k/.boxship/cache/c"), &files(&lines)[&0]).unwrap();
    let from = encoded(&json!([{ "Type": "local", "Attrs": { "src": "c" } }]));
    let said = text(&engine.post(&format!("t=again&boxship=1&cachefrom={from}"), &engine.tar("k")));
    assert_eq!(said.matches("Using cache").count(), 2, "{said}");
    assert_eq!(engine.ok(&["image", "inspect", "again", "--format", "{{.Id}}"]), first);
    // Inline: the image itself carries what made it.
    let args = ["build", "-t", "it", "--build-arg", "BUILDKIT_INLINE_CACHE=1", "k"];
    engine.ok(&args);
    engine.ok(&["builder", "prune", "-af"]);
    let out = engine.ok(&["build", "--cache-from", "it", "--cache-from", "127.0.0.1:1/none", "k"]);
    assert!(out.contains("importing the cache of 127.0.0.1:1/none"), "{out}");
    assert_eq!(out.matches("Using cache").count(), 1, "{out}");
}

/// SOURCE_DATE_EPOCH: two builds without a cache give one image, times of files included.
fn same_bits(engine: &Engine) {
    engine.write(
        "s/Dockerfile",
        "FROM busybox\nARG SOURCE_DATE_EPOCH\nWORKDIR /w\nCOPY x y/\n\
        RUN echo $SOURCE_DATE_EPOCH > /made && mkdir /d && rm /etc/passwd\n",
    );
    engine.write("s/x", "x");
    let mut ids = Vec::new();
    for name in ["left", "right"] {
        let arg = "SOURCE_DATE_EPOCH=1000000000";
        engine.ok(&["build", "--no-cache", "-t", name, "--build-arg", arg, "s"]);
        ids.push(engine.ok(&["image", "inspect", name, "--format", "{{.Id}}"]));
        let look = ["run", "--rm", name, "stat", "-c", "%Y", "/made", "/w/y/x", "/d", "/w"];
        let times = engine.ok(&look);
        assert!(times.lines().all(|t| t.parse::<u64>().unwrap() <= 1_000_000_000), "{times}");
        // A second passes on the file system's clock before the next one.
        let (begin, clock) = (std::time::SystemTime::now(), engine.dir.path().join("clock"));
        while begin.elapsed().unwrap().as_millis() < 1100 {
            std::fs::write(&clock, "tick").unwrap();
        }
    }
    assert_eq!(ids[0], ids[1]);
}

fn checks(engine: &Engine) {
    engine.write("l/Dockerfile", "FROM busybox\nCMD echo\n");
    let said = text(&engine.post("check=1", &engine.tar("l")));
    assert!(said.contains("WARNING: JSONArgsRecommended - https://"), "{said}");
    assert!(said.contains("   2 | >>> CMD echo"), "{said}");
    assert!(said.ends_with("Check complete, 1 warning has been found!"), "{said}");
    engine.write("l/Dockerfile", "FROM busybox\nCMD [\"x\"]\n");
    let said = text(&engine.post("check=1", &engine.tar("l")));
    assert_eq!(said, "Check complete, no warnings found.\n");
}

fn failed_trees(engine: &Engine) {
    engine.write("f/Dockerfile", "FROM busybox\nWORKDIR /w\nRUN echo half > done; exit 3\n");
    let lines = engine.post("debugshell=1&progress=rawjson", &engine.tar("f"));
    let image = lines.iter().find_map(|l| l["aux"]["boxship.failed"]["image"].as_str()).unwrap();
    assert_eq!(engine.ok(&["run", "--rm", image, "/bin/sh", "-c", "cat done"]), "half\n");
    engine.ok(&["rmi", image]);
    let status = |l: &&Value| l["aux"].get("boxship.status").is_some();
    assert!(lines.iter().filter(status).count() > 3, "{lines:?}");
    assert_eq!(lines.last().unwrap()["errorDetail"]["code"], 3);
}

/// A socket is there when an agent was named; `iris.rs` talks through one.
fn agents(engine: &Engine) {
    let path = engine.dir.path().join("agent.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    engine.write(
        "h/Dockerfile",
        "FROM busybox\nRUN --mount=type=ssh,required,mode=0666 \\\n\
        test -S $SSH_AUTH_SOCK && stat -c %a $SSH_AUTH_SOCK\n",
    );
    let ssh = encoded(&json!({ "default": path }));
    let said = text(&engine.post(&format!("ssh={ssh}"), &engine.tar("h")));
    assert!(said.contains("666\n") && said.contains("Successfully built"), "{said}");
}

fn kept_below_the_limit(engine: &Engine, web: &Web) {
    let text = format!(
        "FROM busybox\nADD {}/plain.txt /x\n\
         RUN --mount=type=cache,target=/c head -c 3000000 /dev/zero > /c/big\n\
         RUN head -c 2000000 /dev/zero > /big\n",
        web.url
    );
    build(engine, &text);
    let df = engine.ok(&["system", "df", "-v"]);
    assert!(df.contains("exec.cachemount") && df.contains("source.http"), "{df}");
    engine.ok(&["builder", "prune", "-f", "--keep-storage", "2500000"]);
    let df = engine.ok(&["system", "df", "--format", "{{.Type}} {{.Size}}"]);
    let line = df.lines().find(|l| l.starts_with("Build Cache")).unwrap().to_owned();
    engine.ok(&["builder", "prune", "-af"]);
    let df = engine.ok(&["system", "df", "--format", "{{.Type}} {{.Size}}"]);
    assert!(df.contains("Build Cache 0B"), "{line} then {df}");
}
