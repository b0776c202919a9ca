//! A process that commits under load is killed at random instants: every acknowledged write is there
//! afterwards, revisions only grow, and no transaction is torn. `BOXSHIP_KILLS` says how often.
#![allow(clippy::unwrap_used)]

mod common;

use common::{HEADS, key, put};
use log::{Aside, Options, RealDisk, Wal};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use store::{Store, Txn, View};

const DIR: &str = "BOXSHIP_KILL_DIR";
const THREADS: usize = 4;

fn open(dir: &Path) -> Store {
    let options = Options { snapshot_bytes: 200_000, aside: Aside::Thread, ..Options::default() };
    let wal = Wal::open(RealDisk::open(dir).unwrap(), options).unwrap();
    Store::open(Box::new(wal), store::Options::new(HEADS)).unwrap()
}

/// Not a test of its own: the process that is killed. Each thread moves a pair of objects in step and tells
/// each acknowledged step: `thread step revision`.
#[test]
fn victim() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let store = open(Path::new(&dir));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                let from = counter(&store.view(), thread, "a");
                for step in from + 1.. {
                    let data = format!("{step} {}", "x".repeat(500));
                    let pair = ["a", "b"].map(|half| put(pair(thread, half), &data));
                    let receipt = store.commit(Txn { ops: pair.into() }).unwrap();
                    let line = format!("ack {thread} {step} {}\n", receipt.revision);
                    if std::io::stdout().write_all(line.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

fn pair(thread: usize, half: &str) -> store::Key {
    key(if half == "a" { "pods" } else { "secrets" }, &format!("{thread}{half}"))
}

fn counter(view: &View, thread: usize, half: &str) -> u64 {
    let object = view.get(&pair(thread, half));
    object.map_or(0, |object| {
        object.value()["data"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap()
    })
}

/// Kills a victim some time after its first acknowledgement; answers all of them.
fn kill_one(dir: &Path, delay: Duration) -> Vec<[u64; 3]> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["victim", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acks: Vec<_> =
        lines.by_ref().map_while(Result::ok).filter_map(|l| ack(&l)).take(1).collect();
    assert_eq!(acks.len(), 1, "the victim worked");
    let killer = std::thread::spawn(move || {
        std::thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap();
    });
    acks.extend(lines.map_while(Result::ok).filter_map(|line| ack(&line)));
    killer.join().unwrap();
    acks
}

fn ack(line: &str) -> Option<[u64; 3]> {
    // The test harness writes its own words before the first one.
    let words: Vec<_> = line.split("ack ").nth(1)?.split(' ').map(str::parse).collect();
    match words[..] {
        [Ok(thread), Ok(step), Ok(revision)] => Some([thread, step, revision]),
        _ => None,
    }
}

#[test]
fn kill_9_loses_nothing() {
    let kills: u64 = std::env::var("BOXSHIP_KILLS").map_or(500, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (mut last, mut acked, started) = (0, 0, std::time::Instant::now());
    for kill in 0..kills {
        let acks = kill_one(dir.path(), Duration::from_micros(kill * 7919 % 15_000));
        let store = open(dir.path());
        let view = store.view();
        for [thread, step, revision] in &acks {
            let found = counter(&view, *thread as usize, "a");
            assert!(
                found >= *step,
                "kill {kill}: step {step} of {thread} is lost, it is at {found}"
            );
            assert!(*revision > last && *revision <= view.revision(), "kill {kill}: {revision}");
        }
        for thread in 0..THREADS {
            let halves = ["a", "b"].map(|half| counter(&view, thread, half));
            assert_eq!(halves[0], halves[1], "kill {kill}: a transaction is torn");
        }
        acked += acks.len();
        last = view.revision();
    }
    let rate = kills as f64 / started.elapsed().as_secs_f64();
    println!("{kills} kills at {rate:.0}/s, {acked} acknowledged writes, revision {last}");
}
