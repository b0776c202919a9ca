//! The simulated disk crashes, fills up and fails at every point; what was acknowledged stays, the rest is
//! there wholly or not at all.
#![allow(clippy::unwrap_used)]

mod common;

use common::{delete, dump, key, open, put, write};
use log::{Disk, SimDisk};
use store::{Reject, Store, Txn};

const SNAPSHOT_BYTES: u64 = 20_000;

/// One write of the workload: transactions of one to three objects, deletions, secrets.
fn step(store: &Store, i: u64) -> Result<u64, Reject> {
    let data = format!("{i}-{}", "x".repeat((i * 977 % 2500) as usize));
    let name = format!("o{}", i % 9);
    if i % 7 == 3 && store.view().get(&key("pods", &name)).is_some() {
        return delete(store, &name).map(|receipt| receipt.revision);
    }
    let others = (0..i % 3).map(|j| put(key("secrets", &format!("s{j}")), &data));
    let ops = [put(key("pods", &name), &data)].into_iter().chain(others).collect();
    store.commit(Txn { ops }).map(|receipt| receipt.revision)
}

/// Works until the crash; answers the states before and after the write it struck.
fn work(disk: &SimDisk, steps: u64) -> Option<[(u64, Vec<String>); 2]> {
    let store = open(disk, SNAPSHOT_BYTES).ok()?;
    let shadow_disk = SimDisk::new(1);
    let shadow = open(&shadow_disk, 1 << 30).unwrap();
    for i in 0..steps {
        let acked = shadow.view();
        step(&shadow, i).unwrap();
        if let Err(reject) = step(&store, i) {
            assert!(matches!(reject, Reject::Log(_)), "{reject}");
            let acked = (acked.revision(), dump(&acked));
            let view = store.view();
            assert_eq!((view.revision(), dump(&view)), acked, "a failed write is not visible");
            return Some([acked, (shadow.view().revision(), dump(&shadow.view()))]);
        }
    }
    None
}

#[test]
fn crashes_at_every_operation() {
    let whole = SimDisk::new(1);
    work(&whole, 60);
    let (mut torn, mut kept) = (0, 0);
    for at in 1..whole.operations() {
        let disk = SimDisk::new(at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        disk.crash_in(at);
        let states = work(&disk, 60);
        disk.restart();
        let store =
            open(&disk, SNAPSHOT_BYTES).unwrap_or_else(|error| panic!("crash {at}: {error}"));
        let found = (store.view().revision(), dump(&store.view()));
        let Some([before, after]) = states else { continue };
        assert!(found == before || found == after, "crash {at}: {} torn", found.0);
        if found == after {
            kept += 1
        } else {
            torn += 1
        }
        write(&store, "alive", "1").unwrap();
        drop(store);
        disk.restart();
        let store = open(&disk, SNAPSHOT_BYTES).unwrap();
        assert!(store.view().get(&key("pods", "alive")).is_some());
    }
    assert!(torn > 20 && kept > 5, "both outcomes were seen: {torn} {kept}");
}

#[test]
fn crashes_again_while_recovering() {
    for seed in 1..150u64 {
        let disk = SimDisk::new(seed);
        disk.crash_in(20 + seed);
        let states = work(&disk, 60);
        for again in 1..6 {
            disk.restart();
            disk.crash_in(again);
            drop(open(&disk, SNAPSHOT_BYTES));
        }
        disk.restart();
        let store = open(&disk, SNAPSHOT_BYTES).unwrap();
        let found = (store.view().revision(), dump(&store.view()));
        if let Some([before, after]) = states {
            assert!(found == before || found == after, "seed {seed}");
        }
    }
}

#[test]
fn a_full_disk_is_survived() {
    let disk = SimDisk::new(3);
    let store = open(&disk, 1 << 20).unwrap();
    disk.set_capacity(Some(disk.used() + (1 << 20) + 5000));
    let mut written = 0;
    let reject = loop {
        match write(&store, "big", &format!("{written}{}", "x".repeat(9000))) {
            Ok(receipt) => written = receipt.revision,
            Err(reject) => break reject,
        }
    };
    assert!(matches!(reject, Reject::Log(_)) && written > 50, "{reject}");
    assert_eq!(store.view().revision(), written);
    assert!(write(&store, "big", &"y".repeat(9000)).is_err(), "still full");
    disk.set_capacity(None);
    assert_eq!(write(&store, "after", "1").unwrap().revision, written + 1);
    let before = dump(&store.view());
    drop(store);
    disk.restart();
    assert_eq!(dump(&open(&disk, 1 << 20).unwrap().view()), before);
}

#[test]
fn a_failed_sync_leaves_nothing_behind() {
    for failures in 1..4 {
        let disk = SimDisk::new(failures);
        let store = open(&disk, 1 << 20).unwrap();
        write(&store, "a", "1").unwrap();
        disk.fail_syncs(failures as u32);
        assert!(write(&store, "rejected", &"x".repeat(4000)).is_err());
        let next = (0..4).find_map(|_| write(&store, "b", "2").ok()).expect("the disk works again");
        assert_eq!(next.revision, 2);
        drop(store);
        disk.restart();
        let store = open(&disk, 1 << 20).unwrap();
        assert_eq!(store.view().revision(), 2);
        assert!(store.view().get(&key("pods", "rejected")).is_none());
    }
}

#[test]
fn a_snapshot_that_does_not_fit_is_tried_again() {
    let disk = SimDisk::new(5);
    let store = open(&disk, 2 << 20).unwrap();
    for i in 0..60u32 {
        write(&store, &format!("p{i}"), &"x".repeat(30_000)).unwrap();
    }
    let snapshots = || disk.names().unwrap().iter().filter(|n| n.starts_with("snapshot-")).count();
    assert_eq!(snapshots(), 0);
    // Room to go on in this segment and in the next, not for everything once more.
    disk.set_capacity(Some(disk.used() + (2 << 20) + 100_000));
    for i in 0..80u32 {
        write(&store, &format!("q{i}"), &"y".repeat(10_000)).unwrap();
    }
    assert_eq!(snapshots(), 0);
    assert_eq!(disk.names().unwrap().iter().filter(|n| n.starts_with("log-")).count(), 2);
    assert!(disk.names().unwrap().iter().all(|name| !name.ends_with(".tmp")));
    disk.set_capacity(None);
    for i in 0..60u32 {
        write(&store, &format!("p{i}"), &format!("{i}{}", "z".repeat(30_000))).unwrap();
    }
    assert_eq!(snapshots(), 1);
    let before = dump(&store.view());
    drop(store);
    assert_eq!(dump(&open(&disk, 2 << 20).unwrap().view()), before);
}
