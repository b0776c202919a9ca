//! The real docker CLI builds on a real engine. Needs root, `docker` and a static `busybox`;
//! says so and passes where they are missing.

#![allow(clippy::unwrap_used)]

mod engine;

use std::path::Path;
use std::process::Command;

use engine::{Engine, missing, spawn};

const MULTI_STAGE: &str = "FROM busybox AS one
ENV GREETING=hello
WORKDIR /src
COPY a.txt dir ./
RUN echo \"$GREETING $(cat a.txt b.txt)\" > out.txt
FROM busybox
COPY --from=one --chown=app /src/out.txt /app/
COPY <<EOF /doc/inline
heredoc
EOF
RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t echo x >> /c/n && cat /c/n > /n
LABEL a=b
CMD [\"cat\", \"/app/out.txt\", \"/doc/inline\"]
";

/// One engine for all cases: starting one is dear, and the cases do not disturb each other.
#[test]
fn docker_builds() {
    if let Some(why) = missing() {
        println!("skipped: {why}");
        return;
    }
    let mut engine = Engine::start();
    engine.write("c/Dockerfile", MULTI_STAGE);
    engine.write("c/a.txt", "A\n");
    engine.write("c/dir/b.txt", "B\n");
    multi_stage(&engine);
    warm_is_the_same_image(&engine);
    one_changed_file(&engine);
    epochs(&engine);
    same_build_twice_at_once(&engine);
    failures(&engine);
    platforms(&engine);
    checks_and_agents(&engine);
    credentials(&engine);
    killed_builds_leave_nothing(&mut engine);
}

fn multi_stage(engine: &Engine) {
    let out = engine.ok(&["build", "-t", "one", "c"]);
    assert!(out.contains("Step 1/11 : FROM busybox AS one\n ---> "), "{out}");
    assert!(out.contains("Successfully tagged one:latest"), "{out}");
    assert_eq!(engine.ok(&["run", "--rm", "one"]), "hello A\nB\nheredoc\n");
    let look = ["run", "--rm", "one", "stat", "-c", "%u:%g %n", "/app/out.txt"];
    assert_eq!(engine.ok(&look), "7:8 /app/out.txt\n");
    let rest = engine.ok(&["run", "--rm", "one", "sh", "-c", "ls / /c 2>&1 || echo gone"]);
    assert!(rest.contains("gone") && !rest.contains("run\n"), "{rest}");
    let config = engine.ok(&["image", "inspect", "one", "--format", "{{json .Config}}"]);
    assert!(!config.contains("ca-certificates") && config.contains("\"a\":\"b\""), "{config}");
}

fn warm_is_the_same_image(engine: &Engine) {
    let id = || engine.ok(&["image", "inspect", "one", "--format", "{{.Id}}"]);
    let first = id();
    let out = engine.ok(&["build", "-t", "one", "c"]);
    assert_eq!(out.matches("Using cache").count(), 6, "{out}");
    assert_eq!(id(), first);
    assert_eq!(engine.ok(&["build", "-q", "c"]), first);
    let out = engine.ok(&["build", "--no-cache", "-t", "fresh", "c"]);
    assert!(!out.contains("Using cache"), "{out}");
}

fn one_changed_file(engine: &Engine) {
    engine.write("c/a.txt", "C\n");
    let out = engine.ok(&["build", "-t", "one", "c"]);
    assert_eq!(out.matches("Using cache").count(), 1, "{out}");
    assert_eq!(engine.ok(&["run", "--rm", "one", "cat", "/app/out.txt"]), "hello C\nB\n");
}

fn epochs(engine: &Engine) {
    let args = ["build", "-t", "epoch", "--build-arg", "SOURCE_DATE_EPOCH=0", "c"];
    engine.ok(&args);
    let created = engine.ok(&["image", "inspect", "epoch", "--format", "{{.Created}}"]);
    assert_eq!(created, "1970-01-01T00:00:00Z\n");
}

fn same_build_twice_at_once(engine: &Engine) {
    std::thread::scope(|scope| {
        for name in ["left", "right"] {
            scope.spawn(move || engine.ok(&["build", "--no-cache", "-t", name, "c"]));
        }
    });
    engine.ok(&["build", "-t", "again", "c"]);
    assert_eq!(engine.ok(&["run", "--rm", "again", "cat", "/app/out.txt"]), "hello C\nB\n");
}

fn failures(engine: &Engine) {
    let cases = [
        ("FROM busybox\nRUN exit 7", "returned a non-zero code: 7"),
        ("FROM busybox\nCOPY nope /", "file not found in build context"),
        ("FROM busybox\nRNU x", "dockerfile parse error on line 2: unknown instruction: RNU"),
        ("FROM busybox\nADD http://127.0.0.1:1/y /", "dial tcp 127.0.0.1:1"),
    ];
    for (text, wanted) in cases {
        engine.write("c/Bad", text);
        let said = engine.fails(&["build", "-f", "c/Bad", "c"]);
        assert!(said.contains(wanted), "{text}: {said}");
    }
    assert_eq!(engine.ok(&["ps", "-aq"]), "");
}

/// An image for another platform is found out; its programs need QEMU, its files do not.
fn platforms(engine: &Engine) {
    engine.ok(&["import", "--platform", "linux/s390x", "base.tar", "foreign:latest"]);
    engine.write("c/Own", "FROM --platform=$BUILDPLATFORM busybox\nRUN true\n");
    engine.ok(&["build", "-f", "c/Own", "c"]);
    let files =
        "FROM --platform=linux/s390x foreign AS f\nFROM busybox\nCOPY --from=f /etc/passwd /p\n";
    engine.write("c/Files", files);
    engine.ok(&["build", "-f", "c/Files", "c"]);
    engine.write("c/Bad", "FROM foreign\nCMD x\n");
    let said = engine.fails(&["build", "-f", "c/Bad", "c"]);
    assert!(said.contains("its platform (linux/s390x) does not match"), "{said}");
    if Path::new("/proc/sys/fs/binfmt_misc/qemu-s390x").exists() {
        println!("not tried: RUN without QEMU (it is registered here)");
        return;
    }
    engine.write("c/Bad", "FROM --platform=linux/s390x foreign\nRUN true\n");
    let said = engine.fails(&["build", "-f", "c/Bad", "c"]);
    assert!(said.contains("no binfmt_misc handler for qemu-s390x"), "{said}");
}

fn checks_and_agents(engine: &Engine) {
    engine.write("c/Bad", "# check=error=true\nFROM busybox AS Upper\nCMD [\"x\"]\n");
    let said = engine.fails(&["build", "-f", "c/Bad", "c"]);
    assert!(said.contains("lint violation found for rules: StageNameCasing"), "{said}");
    let skipped = "# check=skip=StageNameCasing;error=true\nFROM busybox AS Upper\nCMD [\"x\"]\n";
    engine.write("c/Good", skipped);
    engine.ok(&["build", "-f", "c/Good", "c"]);
    engine.write("c/Bad", "FROM busybox\nRUN --mount=type=ssh,required true\n");
    let said = engine.fails(&["build", "-f", "c/Bad", "c"]);
    assert!(said.contains("no SSH key \"default\" forwarded"), "{said}");
    // As with BuildKit, a step that does not require the agent runs without it.
    let text = "FROM busybox\nRUN --mount=type=ssh test -z \"$SSH_AUTH_SOCK\"\n";
    engine.write("c/Good", text);
    engine.ok(&["build", "-f", "c/Good", "c"]);
}

/// What `docker login` left goes to the registry of FROM.
fn credentials(engine: &Engine) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let domain = listener.local_addr().unwrap().to_string();
    let auths = format!(r#"{{"auths":{{"{domain}":{{"auth":"dXNlcjpwYXNz"}}}}}}"#);
    engine.write("config/config.json", &auths);
    engine.write("c/Bad", &format!("FROM {domain}/private\n"));
    let seen = std::thread::spawn(move || {
        let mut sent = Vec::new();
        for stream in listener.incoming().take(64) {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> =
                lines.by_ref().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
            let basic = head.iter().find(|l| l.to_ascii_lowercase().starts_with("authorization:"));
            sent.extend(basic.cloned());
            let last = head.is_empty() || basic.is_some();
            let answer = "HTTP/1.1 401 Unauthorized\r\nWww-Authenticate: Basic realm=\"r\"\r\n\
                          Connection: close\r\nContent-Length: 0\r\n\r\n";
            // TLS is tried first on some registries: that client does not read this.
            let _ = stream.write_all(answer.as_bytes());
            if last && basic.is_some() {
                break;
            }
        }
        sent
    });
    let out = Command::new("docker")
        .args(["build", "-f", "c/Bad", "c"])
        .current_dir(engine.dir.path())
        .env("DOCKER_CONFIG", engine.dir.path().join("config"))
        .env("DOCKER_HOST", format!("unix://{}/d.sock", engine.dir.path().display()))
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .unwrap();
    assert!(!out.status.success());
    let sent = seen.join().unwrap();
    assert!(sent.iter().any(|l| l.ends_with("Basic dXNlcjpwYXNz")), "{sent:?}");
}

fn killed_builds_leave_nothing(engine: &mut Engine) {
    engine.write("c/Slow", "FROM busybox\nRUN echo started; sleep 600\n");
    let images = engine.ok(&["images", "-aq"]);
    let mut build = Command::new("docker")
        .args(["build", "-f", "c/Slow", "c"])
        .current_dir(engine.dir.path())
        .env("DOCKER_HOST", format!("unix://{}/d.sock", engine.dir.path().display()))
        .env("DOCKER_BUILDKIT", "0")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let out = std::io::BufReader::new(build.stdout.take().unwrap());
    let mut lines = std::io::BufRead::lines(out).map_while(Result::ok);
    assert!(lines.any(|l| l == "started"));
    engine.child.kill().unwrap();
    engine.child.wait().unwrap();
    build.wait().unwrap();
    engine.child = spawn(engine.dir.path());
    engine.wait();
    assert_eq!(engine.ok(&["ps", "-aq"]), "");
    assert_eq!(engine.ok(&["images", "-aq"]), images);
    let work = engine.dir.path().join("data/build/work");
    assert_eq!(std::fs::read_dir(work).unwrap().count(), 0);
}
