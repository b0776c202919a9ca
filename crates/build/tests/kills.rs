//! `kill -9` of the engine at random instants of builds: nothing is left behind, the next build goes
//! on from the cache. Eight kills; `BOXSHIP_KILLS` says how many.

#![allow(clippy::unwrap_used)]

mod engine;

use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use engine::{Engine, missing, spawn};

const STEPS: &str = "FROM busybox AS one
WORKDIR /w
COPY . /in/
RUN cat /in/* > sum && echo one
RUN --mount=type=cache,target=/c echo x >> /c/log && cp /c/log log
FROM busybox
RUN echo side > /side
COPY --from=one /w /w
RUN cat /w/sum > /copy && echo SALT
CMD [\"cat\", \"/copy\"]
";

#[test]
fn nothing_is_left_behind() {
    if let Some(why) = missing() {
        println!("skipped: {why}");
        return;
    }
    let kills = std::env::var("BOXSHIP_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let mut engine = Engine::start();
    for n in 0..50 {
        engine.write(&format!("c/{n}"), &format!("{n}\n"));
    }
    engine.write("c/Dockerfile", STEPS);
    let began = Instant::now();
    engine.ok(&["build", "-t", "it", "c"]);
    let whole = began.elapsed();
    for kill in 0..kills {
        // Other steps every time: some of them are in the cache already, some are not.
        engine.write("c/Dockerfile", &STEPS.replace("SALT", &kill.to_string()));
        engine.write("c/7", &format!("kill {kill}\n"));
        let after = whole.mul_f64(random());
        interrupt(&mut engine, after);
        clean(&engine, &format!("kill {kill} after {after:?}"));
    }
    let first = engine.ok(&["build", "-t", "it", "c"]);
    assert!(first.contains("Using cache"), "the common steps are there: {first}");
    assert_eq!(engine.ok(&["build", "-t", "it", "c"]).matches("Using cache").count(), 7);
    assert!(engine.ok(&["run", "--rm", "it"]).contains("kill "));
    everything_goes(&engine);
}

/// From 0 to 1.1: also a little after the end.
fn random() -> f64 {
    let noise = std::hash::RandomState::new().build_hasher().finish();
    (noise % 1_100) as f64 / 1_000.0
}

fn interrupt(engine: &mut Engine, after: Duration) {
    let mut build = Command::new("docker")
        .args(["build", "--no-cache", "-t", "it", "c"])
        .current_dir(engine.dir.path())
        .env("DOCKER_HOST", format!("unix://{}/d.sock", engine.dir.path().display()))
        .env("DOCKER_BUILDKIT", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Not to wait for something: the instant is what is tried.
    std::thread::sleep(after);
    engine.child.kill().unwrap();
    engine.child.wait().unwrap();
    build.wait().unwrap();
    engine.child = spawn(engine.dir.path());
    engine.wait();
}

fn clean(engine: &Engine, when: &str) {
    assert_eq!(engine.ok(&["ps", "-aq"]), "", "{when}");
    let data = engine.dir.path().join("data");
    assert_eq!(names(&data.join("build/work")), Vec::<String>::new(), "{when}");
    let snapshots = names(&data.join("images/snapshots"));
    assert!(snapshots.iter().all(|s| s.starts_with("buildcache-")), "{when}: {snapshots:?}");
    assert_eq!(mounts(&data), Vec::<String>::new(), "{when}");
}

/// After pruning everything, not a byte of any build is left.
fn everything_goes(engine: &Engine) {
    engine.ok(&["builder", "prune", "-af"]);
    engine.ok(&["image", "prune", "-af"]);
    let data = engine.dir.path().join("data/images");
    for folder in ["layers", "snapshots", "blobs/sha256"] {
        assert_eq!(names(&data.join(folder)), Vec::<String>::new(), "{folder}");
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

fn mounts(data: &Path) -> Vec<String> {
    let text = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let places = text.lines().filter_map(|l| l.split(' ').nth(1));
    places.filter(|p| p.starts_with(&data.display().to_string())).map(str::to_owned).collect()
}
