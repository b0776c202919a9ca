//! What every log must do, on the real and on the simulated disk.
#![allow(clippy::unwrap_used)]

mod common;

use common::{delete, dump, key, open, options, put, write};
use log::{Disk, Keys, RealDisk, SimDisk, Wal};
use std::io::Read;
use store::{Store, Txn};

const LARGE: u64 = 1 << 30;

/// Each behaviour as one test per disk.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod real {
            $(#[test] fn $name() {
                let dir = tempfile::tempdir().unwrap();
                super::$name(super::RealDisk::open(dir.path()).unwrap());
            })*
        }
        mod simulated {
            $(#[test] fn $name() { super::$name(super::SimDisk::new(7)); })*
        }
    };
}

on_both! {
    keeps_everything
    stays_small
    names_damage_and_changes_nothing
    names_a_cut_file
    names_a_missing_segment
    names_a_damaged_snapshot
    cuts_a_torn_end
    seals_secrets
    rotates_keys
    backs_up_and_restores
    refuses_a_newer_format
}

fn fill(store: &Store, count: usize) {
    for i in 0..count {
        write(store, &format!("pod-{}", i % 50), &format!("{i}-{}", "x".repeat(600))).unwrap();
    }
}

fn bytes<D: Disk>(disk: &D, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    disk.read(name, 0).unwrap().read_to_end(&mut out).unwrap();
    out
}

fn overwrite<D: Disk>(disk: &D, name: &str, offset: u64, bytes: &[u8]) {
    use log::DiskFile;
    let mut file = disk.open(name).unwrap();
    file.write_at(offset, bytes).unwrap();
    file.sync().unwrap();
}

fn names<D: Disk>(disk: &D, prefix: &str) -> Vec<String> {
    let mut names = disk.names().unwrap();
    names.retain(|name| name.starts_with(prefix));
    names.sort();
    names
}

/// Where the frames of a file start, by their length words.
fn frames(bytes: &[u8]) -> Vec<(usize, usize)> {
    let (mut out, mut at) = (Vec::new(), 32);
    while let Some(word) = bytes.get(at..at + 4) {
        let length = u32::from_le_bytes(word.try_into().unwrap()) as usize;
        if length == 0 {
            break;
        }
        out.push((at, length));
        at += 16 + length.next_multiple_of(16);
    }
    out
}

fn keeps_everything(disk: impl Disk) {
    let store = open(&disk, LARGE).unwrap();
    fill(&store, 120);
    delete(&store, "pod-7").unwrap();
    store.commit(Txn { ops: vec![put(key("a", "1"), "x"), put(key("b", "2"), "y")] }).unwrap();
    let before = (store.view().revision(), dump(&store.view()));
    drop(store);
    for _ in 0..2 {
        let store = open(&disk, LARGE).unwrap();
        assert_eq!((store.view().revision(), dump(&store.view())), before);
    }
    let store = open(&disk, LARGE).unwrap();
    assert_eq!(write(&store, "next", "1").unwrap().revision, before.0 + 1);
}

fn stays_small(disk: impl Disk) {
    let store = open(&disk, 100_000).unwrap();
    fill(&store, 1000);
    let before = (store.view().revision(), dump(&store.view()));
    assert_eq!(names(&disk, "snapshot-").len(), 1);
    assert_eq!(names(&disk, "log-").len(), 1);
    let used: usize = frames(&bytes(&disk, &names(&disk, "log-")[0])).iter().map(|f| f.1).sum();
    assert!(used < 110_000, "{used}");
    drop(store);
    let store = open(&disk, 100_000).unwrap();
    assert_eq!((store.view().revision(), dump(&store.view())), before);
}

fn refusal(disk: &impl Disk) -> String {
    let error = open(disk, LARGE).err().expect("it must be refused");
    assert!(!error.transient);
    error.message
}

fn names_damage_and_changes_nothing(disk: impl Disk) {
    let store = open(&disk, LARGE).unwrap();
    fill(&store, 20);
    drop(store);
    let name = &names(&disk, "log-")[0];
    let good = bytes(&disk, name);
    let frames = frames(&good);
    assert_eq!(frames.len(), 20);
    for (i, (at, length)) in frames.into_iter().enumerate() {
        // In the checksum, in the length, in the payload (its last byte: also of the very last record).
        for place in [at, at + 5, at + 13, at + 16, at + 15 + length] {
            overwrite(&disk, name, place as u64, &[good[place] ^ 0x40]);
            let damaged = bytes(&disk, name);
            let message = refusal(&disk);
            assert!(message.contains(&format!("{name}, offset {at}: ")), "{i} {place}: {message}");
            assert!(bytes(&disk, name) == damaged, "a refused log is left as it is");
            overwrite(&disk, name, place as u64, &[good[place]]);
        }
    }
    // A lost write in the middle: zeros where a record was.
    let (at, length) = self::frames(&good)[10];
    overwrite(&disk, name, at as u64, &vec![0; 16 + length]);
    assert!(refusal(&disk).contains(&format!("{name}, offset {at}: ")));
}

fn names_a_cut_file(disk: impl Disk) {
    let store = open(&disk, LARGE).unwrap();
    fill(&store, 5);
    drop(store);
    let name = names(&disk, "log-").remove(0);
    let good = bytes(&disk, &name);
    let (at, _) = frames(&good)[4];
    let replaced = disk.create(&name).unwrap();
    { replaced }.write(&good[..at + 100]);
    assert!(refusal(&disk).contains(&format!("{name}, offset {at}: ")));
}

trait WriteAll {
    fn write(self, bytes: &[u8]);
}

impl<F: log::DiskFile> WriteAll for F {
    fn write(mut self, bytes: &[u8]) {
        self.write_at(0, bytes).unwrap();
        self.sync().unwrap();
    }
}

fn names_a_missing_segment(disk: impl Disk) {
    let store = open(&disk, LARGE).unwrap();
    fill(&store, 5);
    store.snapshot().unwrap();
    fill(&store, 6);
    drop(store);
    let (snapshot, segment) = (names(&disk, "snapshot-").remove(0), names(&disk, "log-").remove(0));
    disk.rename(&snapshot, "elsewhere").unwrap();
    assert!(refusal(&disk).contains("records 1 to 5 are missing"));
    disk.rename("elsewhere", &snapshot).unwrap();
    disk.remove(&segment).unwrap();
    assert!(refusal(&disk).contains("the segment after the snapshot is missing"));
}

fn names_a_damaged_snapshot(disk: impl Disk) {
    let store = open(&disk, LARGE).unwrap();
    fill(&store, 50);
    store.snapshot().unwrap();
    drop(store);
    let name = names(&disk, "snapshot-").remove(0);
    let good = bytes(&disk, &name);
    for place in (0..good.len()).step_by(997).chain([good.len() - 17]) {
        overwrite(&disk, &name, place as u64, &[good[place] ^ 1]);
        assert!(refusal(&disk).contains(&name), "{place}");
        overwrite(&disk, &name, place as u64, &[good[place]]);
    }
    for size in (0..good.len()).step_by(1009) {
        disk.create(&name).unwrap().write(&good[..size]);
        assert!(refusal(&disk).contains(&name), "{size}");
    }
}

fn cuts_a_torn_end(disk: impl Disk) {
    let store = open(&disk, LARGE).unwrap();
    fill(&store, 3);
    let before = dump(&store.view());
    let data = "y".repeat(3000);
    write(&store, "torn", &data).unwrap();
    drop(store);
    let name = names(&disk, "log-").remove(0);
    let good = bytes(&disk, &name);
    let (at, length) = frames(&good)[3];
    // Each sector of the last write missing, alone: header, middle, end.
    for sector in at / 512..=(at + 16 + length - 1) / 512 {
        let (from, to) = ((sector * 512).max(at), (sector * 512 + 512).min(at + 16 + length));
        overwrite(&disk, &name, from as u64, &vec![0; to - from]);
        let store = open(&disk, LARGE).unwrap();
        assert_eq!(dump(&store.view()), before);
        assert_eq!(write(&store, "torn", &data).unwrap().revision, 4);
        drop(store);
        assert!(bytes(&disk, &name) == good, "the end was wiped before it was written again");
    }
}

fn seals_secrets(disk: impl Disk) {
    let store = open(&disk, LARGE).unwrap();
    store.commit(Txn { ops: vec![put(key("secrets", "s"), "plaintext-here")] }).unwrap();
    write(&store, "p", "pod-in-the-clear").unwrap();
    let before = dump(&store.view());
    let found = |prefix: &str, text: &str| {
        let file = bytes(&disk, &names(&disk, prefix)[0]);
        file.windows(text.len()).any(|window| window == text.as_bytes())
    };
    assert!(!found("log-", "plaintext-here") && found("log-", "pod-in-the-clear"));
    store.snapshot().unwrap();
    assert!(!found("snapshot-", "plaintext-here") && found("snapshot-", "pod-in-the-clear"));
    drop(store);
    assert_eq!(dump(&open(&disk, LARGE).unwrap().view()), before);
    disk.rename("secrets.key", "elsewhere").unwrap();
    assert!(refusal(&disk).contains("which secrets.key does not have"));
}

fn rotates_keys(disk: impl Disk) {
    let wal = Wal::open(disk.clone(), options(LARGE)).unwrap();
    let control = wal.control();
    let store = Store::inline(Box::new(wal), store::Options::new(common::HEADS)).unwrap();
    store.commit(Txn { ops: vec![put(key("secrets", "s"), "one")] }).unwrap();
    let first = bytes(&disk, "secrets.key");
    control.rotate(&store).unwrap();
    store.commit(Txn { ops: vec![put(key("secrets", "t"), "two")] }).unwrap();
    let second = bytes(&disk, "secrets.key");
    assert!(first != second && first.len() < second.len() + 10, "one key is left, a new one");
    let before = dump(&store.view());
    drop(store);
    assert_eq!(dump(&open(&disk, LARGE).unwrap().view()), before);
    disk.create("secrets.key").unwrap().write(&first);
    assert!(refusal(&disk).contains("which secrets.key does not have"), "the old key is of no use");
}

fn backs_up_and_restores(disk: impl Disk) {
    let wal = Wal::open(disk.clone(), options(LARGE)).unwrap();
    let control = wal.control();
    let store = Store::inline(Box::new(wal), store::Options::new(common::HEADS)).unwrap();
    fill(&store, 100);
    store.commit(Txn { ops: vec![put(key("secrets", "s"), "one")] }).unwrap();
    let (view, before) = (store.view(), dump(&store.view()));
    fill(&store, 10);
    let mut backup = Vec::new();
    control.backup(&view, &mut backup).unwrap();
    let keys = Keys::parse(&String::from_utf8(bytes(&disk, "secrets.key")).unwrap()).unwrap();
    assert_eq!(log::verify("b", &*backup, &keys).unwrap(), (101, 51));
    let other = Keys::generate().unwrap();
    assert!(log::verify("b", &*backup, &other).unwrap_err().message.contains("is sealed with key"));
    let fresh = SimDisk::new(1);
    log::restore(&fresh, 101, &mut &*backup, &keys).unwrap();
    let again = log::restore(&fresh, 101, &mut &*backup, &keys).unwrap_err();
    assert!(again.message.contains("there already is a log"), "{again}");
    let restored = open(&fresh, LARGE).unwrap();
    assert_eq!((restored.view().revision(), dump(&restored.view())), (101, before));
    assert_eq!(write(&restored, "next", "1").unwrap().revision, 102);
    backup[5000] ^= 1;
    assert!(log::verify("b", &*backup, &keys).unwrap_err().message.starts_with("b, offset "));
}

fn refuses_a_newer_format(disk: impl Disk) {
    drop(open(&disk, LARGE).unwrap());
    let name = names(&disk, "log-").remove(0);
    overwrite(&disk, &name, 0, b"SOMETHING");
    assert!(refusal(&disk).contains("this is not a file of the store"));
}

#[test]
fn one_server_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = RealDisk::open(dir.path()).unwrap();
    let second = RealDisk::open(dir.path()).unwrap_err();
    assert!(second.to_string().contains("is in use by another server"), "{second}");
    drop(first);
    RealDisk::open(dir.path()).unwrap();
}

#[test]
fn only_the_owner_reads_the_files() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(&dir.path().join("data")).unwrap();
    let store = open(&disk, LARGE).unwrap();
    write(&store, "p", "x").unwrap();
    store.snapshot().unwrap();
    for name in disk.names().unwrap() {
        let mode = std::fs::metadata(disk.dir().join(&name)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
