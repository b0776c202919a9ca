//! One suite on the real and the fake snapshotter.

use super::*;
use crate::{ChangeKind, ImageStore, RegistriesConfig};
use std::fs;
use std::path::{Path, PathBuf};

/// What a container does to its root, on either kind.
trait Rig {
    fn snapshots(&self) -> &dyn Snapshotter;
    fn write(&self, key: &str, path: &str, text: &str);
    fn delete(&self, key: &str, path: &str);
    fn read(&self, key: &str, path: &str) -> Option<String>;
}

struct Real {
    folder: tempfile::TempDir,
    store: ImageStore,
}

impl Real {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let store =
            ImageStore::open(&folder.path().join("s"), RegistriesConfig::default()).unwrap();
        let probe = store.snapshots().prepare("probe", &Base::Scratch).unwrap();
        let target = folder.path().join("m");
        fs::create_dir(&target).unwrap();
        if let Err(e) = mount(&probe, &target) {
            println!("skipped: cannot mount an overlay here ({e})");
            return None;
        }
        unmount(&target).unwrap();
        store.snapshots().remove("probe").unwrap();
        Some(Self { folder, store })
    }

    fn inside<T>(&self, key: &str, run: impl FnOnce(&Path) -> T) -> T {
        let target = self.folder.path().join("m");
        mount(&self.store.snapshots().get(key).unwrap(), &target).unwrap();
        let answer = run(&target);
        unmount(&target).unwrap();
        answer
    }
}

impl Rig for Real {
    fn snapshots(&self) -> &dyn Snapshotter {
        self.store.snapshots()
    }
    fn write(&self, key: &str, path: &str, text: &str) {
        self.inside(key, |root| fs::write(root.join(&path[1..]), text).unwrap());
    }
    fn delete(&self, key: &str, path: &str) {
        self.inside(key, |root| fs::remove_file(root.join(&path[1..])).unwrap());
    }
    fn read(&self, key: &str, path: &str) -> Option<String> {
        self.inside(key, |root| fs::read_to_string(root.join(&path[1..])).ok())
    }
}

#[derive(Default)]
struct Fake(FakeSnapshots);

impl Rig for Fake {
    fn snapshots(&self) -> &dyn Snapshotter {
        &self.0
    }
    fn write(&self, key: &str, path: &str, text: &str) {
        self.0.write(key, Path::new(path), text.as_bytes()).unwrap();
    }
    fn delete(&self, key: &str, path: &str) {
        self.0.delete(key, Path::new(path)).unwrap();
    }
    fn read(&self, key: &str, path: &str) -> Option<String> {
        self.0.read(key, Path::new(path)).unwrap().map(|b| String::from_utf8(b).unwrap())
    }
}

fn changes(rig: &dyn Rig, key: &str) -> Vec<(PathBuf, ChangeKind)> {
    rig.snapshots().diff(key).unwrap().into_iter().map(|c| (c.path, c.kind)).collect()
}

fn life_of_a_snapshot(rig: &dyn Rig) {
    let snapshots = rig.snapshots();
    let spec = snapshots.prepare("a", &Base::Scratch).unwrap();
    assert_eq!(snapshots.get("a").unwrap(), spec);
    assert_eq!(spec.lower.len(), 1);
    rig.write("a", "/one", "1");
    rig.write("a", "/two", "2");
    let added = |p: &str| (PathBuf::from(p), ChangeKind::Added);
    assert_eq!(changes(rig, "a"), [added("/one"), added("/two")]);
    assert_eq!(snapshots.usage("a").unwrap(), Usage { bytes: 2, inodes: 2 });

    let lower = snapshots.commit("a", After::Keep).unwrap();
    assert_eq!(lower.size, 2);
    rig.write("a", "/three", "3");
    snapshots.remove("a").unwrap();
    snapshots.remove("a").unwrap();

    snapshots.prepare("b", &Base::Layers(vec![lower.clone()])).unwrap();
    assert_eq!(rig.read("b", "/one").as_deref(), Some("1"));
    assert_eq!(rig.read("b", "/three"), None);
    rig.delete("b", "/one");
    rig.write("b", "/two", "two");
    let want = [
        (PathBuf::from("/one"), ChangeKind::Deleted),
        (PathBuf::from("/two"), ChangeKind::Modified),
    ];
    assert_eq!(changes(rig, "b"), want);
    let upper = snapshots.commit("b", After::Consume).unwrap();
    assert_eq!(snapshots.keys(), Vec::<String>::new());

    let view = snapshots.view("v", &Base::Layers(vec![lower, upper])).unwrap();
    assert_eq!((view.lower.len(), view.upper.is_none()), (2, true));
    assert_eq!(rig.read("v", "/one"), None);
    assert_eq!(rig.read("v", "/two").as_deref(), Some("two"));
    assert_eq!(snapshots.usage("v").unwrap(), Usage::default());
    assert_eq!(snapshots.commit("v", After::Keep).unwrap_err().kind, crate::ErrorKind::Conflict);
    snapshots.remove("v").unwrap();
}

fn refusals(rig: &dyn Rig) {
    let snapshots = rig.snapshots();
    let kind = |r: Result<RootfsSpec>| r.unwrap_err().kind;
    snapshots.prepare("x", &Base::Scratch).unwrap();
    assert_eq!(kind(snapshots.prepare("x", &Base::Scratch)), crate::ErrorKind::Conflict);
    assert_eq!(kind(snapshots.get("nope")), crate::ErrorKind::NotFound);
    for bad in ["", "..", ".hidden", "a/b", "-x", &"k".repeat(129)] {
        assert_eq!(
            kind(snapshots.prepare(bad, &Base::Scratch)),
            crate::ErrorKind::Invalid,
            "{bad}"
        );
    }
    let ghost = Base::Image(oci::Digest::sha256(b"ghost"));
    assert_eq!(kind(snapshots.prepare("y", &ghost)), crate::ErrorKind::NotFound);
    snapshots.remove("x").unwrap();
}

#[test]
fn fake_suite() {
    life_of_a_snapshot(&Fake::default());
    refusals(&Fake::default());
}

#[test]
fn real_suite() {
    let Some(rig) = Real::new() else { return };
    life_of_a_snapshot(&rig);
    refusals(&rig);
}

#[test]
fn folders_that_were_replaced() {
    let Some(rig) = Real::new() else { return };
    let snapshots = rig.snapshots();
    snapshots.prepare("a", &Base::Scratch).unwrap();
    rig.inside("a", |root| {
        fs::create_dir_all(root.join("d/sub")).unwrap();
        fs::write(root.join("d/old"), "old").unwrap();
        fs::write(root.join("keep"), "k").unwrap();
    });
    let lower = snapshots.commit("a", After::Consume).unwrap();
    snapshots.prepare("b", &Base::Layers(vec![lower.clone()])).unwrap();
    rig.inside("b", |root| {
        fs::remove_dir_all(root.join("d")).unwrap();
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/new"), "new").unwrap();
    });
    let paths: Vec<_> =
        changes(&rig, "b").into_iter().map(|(p, k)| format!("{k:?} {}", p.display())).collect();
    assert_eq!(paths, ["Modified /d", "Added /d/new", "Deleted /d/old", "Deleted /d/sub"]);
    // Copying and consuming give the same layer, and both hide the old folder.
    let copied = snapshots.commit("b", After::Keep).unwrap();
    let consumed = snapshots.commit("b", After::Consume).unwrap();
    assert_eq!(copied, consumed);
    snapshots.prepare("c", &Base::Layers(vec![lower, copied])).unwrap();
    assert_eq!(rig.read("c", "/d/old"), None);
    assert_eq!(rig.read("c", "/d/new").as_deref(), Some("new"));
    assert_eq!(rig.read("c", "/keep").as_deref(), Some("k"));
    assert_eq!(changes(&rig, "c"), []);
}

#[test]
fn two_hundred_layers_fit() {
    let Some(rig) = Real::new() else { return };
    let snapshots = rig.snapshots();
    let mut layers = Vec::new();
    for n in 0..200 {
        let key = format!("l{n}");
        snapshots.prepare(&key, &Base::Layers(layers.clone())).unwrap();
        let upper = snapshots.get(&key).unwrap().upper.unwrap();
        fs::write(upper.join(&key), &key).unwrap();
        layers.push(snapshots.commit(&key, After::Consume).unwrap());
    }
    snapshots.prepare("all", &Base::Layers(layers)).unwrap();
    rig.inside("all", |root| assert_eq!(fs::read_dir(root).unwrap().count(), 200));
}

#[test]
fn snapshots_survive_reopening() {
    let Some(rig) = Real::new() else { return };
    rig.snapshots().prepare("a", &Base::Scratch).unwrap();
    rig.write("a", "/f", "x");
    fs::create_dir(rig.folder.path().join("s/snapshots/-torn")).unwrap();
    let again =
        ImageStore::open(&rig.folder.path().join("s"), RegistriesConfig::default()).unwrap();
    assert_eq!(again.snapshots().keys(), ["a"]);
    assert_eq!(again.snapshots().diff("a").unwrap().len(), 1);
    assert!(!rig.folder.path().join("s/snapshots/-torn").exists());
}
