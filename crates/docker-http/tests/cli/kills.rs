//! `kill -9` of the daemon at random instants: after a restart nothing is on the machine that no
//! record knows of. `BOXSHIP_ENGINE_KILLS` sets the number of kills, `BOXSHIP_KILL_SEED` the seed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::bench::Bench;

/// Numbers that look random and are the same for the same seed (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What is being done when the daemon dies: the CLI's words, and how long it may take.
fn action(dice: &mut Dice, round: u64, address: &str, b: &Bench) -> (Vec<String>, u64) {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let any = |state: &str| {
        let filter = format!("status={state}");
        let all = b.ok(&["ps", "-aq", "-f", &filter]);
        all.split_whitespace().next().map(str::to_owned)
    };
    let create = format!("-v /anon --name k{round} busybox sleep 1000");
    match dice.roll(8) {
        0 => {
            b.docker(&["rmi", &format!("{address}/big:1")]);
            (words(&format!("pull {address}/big:1")), 400)
        }
        1 => (words(&format!("create {create}")), 60),
        2 => (words(&format!("run -d -p 0:80 --network mine {create}")), 110),
        3 => {
            (words(&format!("run --rm -v /anon --ipc shareable --name k{round} busybox true")), 150)
        }
        4 => match any("created") {
            Some(id) => (words(&format!("start {id}")), 90),
            None => (words(&format!("create {create}")), 60),
        },
        5 | 6 => match any("running").or_else(|| any("created")) {
            Some(id) => (words(&format!("rm -fv {id}")), 90),
            None => (words(&format!("run -d {create}")), 110),
        },
        _ => (words("system prune -af --volumes"), 120),
    }
}

#[test]
fn nothing_is_left_wherever_the_daemon_is_killed() {
    let Some(mut b) = Bench::start_apart("rnd") else { return };
    let address = b.registry(&[]);
    push_big_image(&b, &address);
    let mut dice = Dice(number("BOXSHIP_KILL_SEED", 0x9e37_79b9_7f4a_7c15) | 1);
    for round in 0..number("BOXSHIP_ENGINE_KILLS", 16) {
        if b.docker(&["network", "inspect", "mine"]).code != 0 {
            b.ok(&["network", "create", "mine"]);
        }
        if b.docker(&["image", "inspect", "busybox"]).code != 0 {
            b.import_busybox();
        }
        let (words, millis) = action(&mut dice, round, &address, &b);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut client = b.command(&words);
        let mut client = client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Not to wait for something: to hit another instant each time. The CLI itself needs some
        // 20 ms before its request is out.
        std::thread::sleep(Duration::from_micros(15_000 + dice.roll(millis * 1000)));
        b.kill_daemon();
        client.wait().unwrap();
        b.up();
        if words[0] == "system" {
            // A prune takes containers before volumes: between the two, theirs are nobody's.
            b.ok(&["volume", "prune", "-f"]);
        }
        settle(&b, &format!("round {round}: {words:?}"));
    }
    everything_goes(&b);
}

/// Layers of 3 and 12 MB that do not compress.
fn push_big_image(b: &Bench, address: &str) {
    let name = format!("{address}/big:1");
    b.ok(&["tag", "busybox", &name]);
    for megabytes in [3, 12] {
        let fill = format!("dd if=/dev/urandom of=/noise{megabytes} bs=1M count={megabytes}");
        b.ok(&["run", "--name", "filler", &name, "sh", "-c", &fill]);
        b.ok(&["commit", "filler", &name]);
        b.ok(&["rm", "filler"]);
    }
    b.ok(&["push", &name]);
    b.ok(&["rmi", &name]);
    b.ok(&["network", "create", "mine"]);
}

/// Processes that were killed need a moment to be gone: the audit is repeated until it holds.
fn settle(b: &Bench, when: &str) {
    let start = Instant::now();
    loop {
        let wrong = audit(b);
        if wrong.is_empty() {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{when}: {wrong:#?}\n{}", b.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// Everything on the machine that belongs to the instance and to no record of it.
fn audit(b: &Bench) -> Vec<String> {
    let ids = |args: &[&str]| -> BTreeSet<String> {
        b.ok(args).split_whitespace().map(str::to_owned).collect()
    };
    let all = ids(&["ps", "-aq", "--no-trunc"]);
    let running = ids(&["ps", "-q", "--no-trunc"]);
    let volumes = ids(&["volume", "ls", "-q"]);
    let data = b.path("data");
    let mut wrong = Vec::new();
    let mut compare = |what: &str, have: BTreeSet<String>, want: &BTreeSet<String>| {
        if have != *want {
            wrong.push(format!("{what}: {have:?}, recorded: {want:?}"));
        }
    };
    compare("container directories", names(&data.join("containers")), &all);
    compare("snapshots", names(&data.join("images/snapshots")), &all);
    compare("volume directories", names(&data.join("volumes")), &volumes);
    let unused = ids(&["volume", "ls", "-q", "-f", "dangling=true"]);
    compare("volumes nobody uses", unused, &BTreeSet::new());
    let kept = names(&data.join("keeper/containers"));
    let kept = kept.iter().map(|n| n.trim_end_matches(".json").to_owned()).collect();
    compare("the keeper's records", kept, &running);
    compare("processes", processes(b.name()), &running);
    for hierarchy in names(Path::new("/sys/fs/cgroup")) {
        let dir = Path::new("/sys/fs/cgroup").join(hierarchy).join(b.name());
        let groups: BTreeSet<String> = names(&dir).into_iter().filter(|n| n.len() == 64).collect();
        if !groups.is_subset(&running) {
            compare("cgroups", groups, &running);
        }
    }
    if b.links().len() != running.len() {
        wrong.push(format!("links: {:?} for {} containers", b.links(), running.len()));
    }
    wrong.extend(mounts(&data));
    wrong.extend(stray_content(&data.join("images")));
    wrong
}

/// Ids of the containers whose cgroups hold processes.
fn processes(name: &str) -> BTreeSet<String> {
    let marker = format!(":/{name}/");
    let numbers = names(Path::new("/proc")).into_iter().filter(|n| n.parse::<u32>().is_ok());
    let groups = numbers.map(|pid| text(&Path::new("/proc").join(pid).join("cgroup")));
    let ids = groups.filter_map(|text| {
        let line = text.lines().find(|l| l.contains(&marker))?;
        Some(line.split(&marker).nth(1)?.split('/').next()?.to_owned())
    });
    ids.collect()
}

/// Mounts below the data directory (no container here shares its memory while it runs on).
fn mounts(data: &Path) -> Vec<String> {
    let table = text(Path::new("/proc/self/mountinfo"));
    let points = table.lines().filter_map(|l| l.split(' ').nth(4)).map(PathBuf::from);
    points.filter(|p| p.starts_with(data)).map(|p| format!("mount {}", p.display())).collect()
}

/// Blobs and layers that nothing refers to, directly or through a document.
fn stray_content(images: &Path) -> Vec<String> {
    let mut known = text(&images.join("images.json"));
    for file in names(&images.join("ingest")) {
        if !file.ends_with(".part") && !file.ends_with(".pull") {
            return vec![format!("temporary file {file}")];
        }
        // What an interrupted pull has fetched is kept for the next one.
        if file.ends_with(".pull") {
            known += &text(&images.join("ingest").join(file));
        }
    }
    for snapshot in names(&images.join("snapshots")) {
        known += &text(&images.join("snapshots").join(snapshot).join("spec.json"));
    }
    let layers = names(&images.join("layers"));
    let mut wrong = Vec::new();
    for layer in &layers {
        let key = layer.trim_end_matches(".json");
        match known.contains(key) {
            true if layer.ends_with(".json") => known += &text(&images.join("layers").join(layer)),
            true => {}
            false => wrong.push(format!("layer {layer}")),
        }
    }
    let mut blobs = names(&images.join("blobs/sha256"));
    while let Some(digest) = blobs.iter().find(|d| known.contains(d.as_str())).cloned() {
        blobs.remove(&digest);
        let path = images.join("blobs/sha256").join(digest);
        if std::fs::metadata(&path).is_ok_and(|m| m.len() < 64 << 10) {
            known += &text(&path);
        }
    }
    wrong.extend(blobs.into_iter().map(|digest| format!("blob {digest}")));
    wrong
}

/// Removed by their users, all things are gone.
fn everything_goes(b: &Bench) {
    for id in b.ok(&["ps", "-aq"]).split_whitespace() {
        b.ok(&["rm", "-fv", id]);
    }
    b.ok(&["system", "prune", "-af", "--volumes"]);
    for dir in ["containers", "volumes", "images/layers", "images/blobs/sha256"] {
        assert_eq!(names(&b.path("data").join(dir)), BTreeSet::new(), "{dir}");
    }
    let partials = names(&b.path("data/images/ingest"));
    assert_eq!(partials, BTreeSet::new());
}

/// A hundred containers: half of them end while the daemon is dead.
#[test]
fn a_hundred_live_through_a_kill() {
    let Some(mut b) = Bench::start_apart("hun") else { return };
    let count = number("BOXSHIP_ENGINE_CONTAINERS", 100);
    let names: Vec<String> = (0..count).map(|i| format!("h{i}")).collect();
    for (i, name) in names.iter().enumerate() {
        let script = format!(
            "i=0; while [ ! -e /gate ]; do i=$((i+1)); echo $i; sleep 0.1; done; exit {}",
            i % 100 + 1
        );
        b.ok(&["run", "-d", "--name", name, "busybox", "sh", "-c", &script]);
    }
    let pids = |b: &Bench| -> Vec<String> {
        let mut args = vec!["inspect", "-f", "{{.State.Pid}} {{.State.ExitCode}}"];
        args.extend(names.iter().map(String::as_str));
        b.ok(&args).lines().map(str::to_owned).collect()
    };
    let open = |pid: &str| std::fs::write(format!("/proc/{pid}/root/gate"), "").unwrap();
    let before = pids(&b);
    b.kill_daemon();
    let first = |line: &String| line.split(' ').next().unwrap().to_owned();
    let (dying, living) = before.split_at(before.len() / 2);
    dying.iter().for_each(|line| open(&first(line)));
    for line in dying {
        while Path::new(&format!("/proc/{}", first(line))).exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    b.up();
    let mut want: Vec<String> = (0..dying.len()).map(|i| format!("0 {}", i % 100 + 1)).collect();
    want.extend(living.iter().cloned());
    assert_eq!(pids(&b), want);
    living.iter().for_each(|line| open(&first(line)));
    for (i, name) in names.iter().enumerate() {
        assert_eq!(b.ok(&["wait", name]), (i % 100 + 1).to_string());
        let logs = b.ok(&["logs", name]);
        let gap = logs.lines().enumerate().find(|(i, line)| line.parse() != Ok(i + 1));
        assert_eq!(gap, None, "{name}");
    }
}
