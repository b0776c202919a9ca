//! The store as a whole, without registries.

use crate::tar::{self, Writer};
use crate::*;
use oci::{ImageConfig, Reference};
use std::path::Path;

pub(crate) fn small_tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    for (path, text) in files {
        tar.file(path, text.as_bytes(), 1000).unwrap();
    }
    tar.finish().unwrap()
}

pub(crate) fn open(folder: &Path) -> ImageStore {
    ImageStore::open(folder, RegistriesConfig::default()).unwrap()
}

pub(crate) fn import(store: &ImageStore, name: &str, text: &str) -> ImageId {
    let name = Reference::parse_tagged(name).unwrap();
    let tar = small_tar(&[("etc/f", text)]);
    store.import(&mut &tar[..], ImageConfig::default(), Some(&name)).unwrap()
}

/// Bytes of all files below a folder.
fn on_disk(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(on_disk(&path));
        } else {
            all.push(path.display().to_string());
        }
    }
    all
}

#[test]
fn tag_resolve_remove_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let id = import(&store, "one", "1");
    store.tag(&id, &Reference::parse("reg.example:5000/x/one:v1").unwrap()).unwrap();
    for text in ["one", "one:latest", "docker.io/library/one", id.as_str(), id.hex(), id.short()] {
        assert_eq!(store.resolve(text).unwrap(), id, "{text}");
    }
    assert_eq!(store.resolve("two").unwrap_err().to_string(), "No such image: two:latest");
    let conflict = store.remove(id.short(), Force::No).unwrap_err();
    assert_eq!(conflict.kind, ErrorKind::Conflict);
    assert!(conflict.message.contains("image is referenced in multiple repositories"));
    let other = import(&store, "one", "2");
    assert_ne!(other, id);
    assert_eq!(store.get(&id).unwrap().tags.len(), 1);
    let removed = store.remove("reg.example:5000/x/one:v1", Force::No).unwrap();
    assert_eq!(removed[0], Removed::Untagged("reg.example:5000/x/one:v1".into()));
    assert_eq!(removed[1], Removed::Deleted(id));
    store.remove("one", Force::No).unwrap();
    assert_eq!(store.usage().unwrap(), StoreUsage::default());
    let left = on_disk(folder.path());
    assert!(left.len() == 1 && left[0].ends_with("images.json"), "{left:?}");
}

#[test]
fn layers_stay_under_snapshots_and_reopening_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let id = import(&store, "one", "1");
    store.snapshots().prepare("c", &Base::Image(id.clone())).unwrap();
    store.remove(id.as_str(), Force::Yes).unwrap();
    let lower = store.snapshots().get("c").unwrap().lower[0].clone();
    assert!(lower.join("etc/f").exists());
    let again = open(folder.path());
    assert!(lower.join("etc/f").exists());
    again.snapshots().remove("c").unwrap();
    again.prune(&[]).unwrap();
    assert!(!lower.exists());
}

#[test]
fn save_and_load_in_every_packing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("a"));
    let one = import(&store, "one:v1", "1");
    let two = import(&store, "two", "2");
    let mut tar = Vec::new();
    store.save(&["one".into(), two.to_string()], &mut tar).unwrap();
    let gz = {
        let mut gz = crate::codec::gzip(Vec::new());
        std::io::Write::write_all(&mut gz, &tar).unwrap();
        gz.finish().unwrap()
    };
    let zst = zstd::encode_all(&tar[..], 3).unwrap();
    for (n, bytes) in [tar, gz, zst].iter().enumerate() {
        let other = open(&folder.path().join(format!("b{n}")));
        let loaded = other.load(&mut &bytes[..], &Reporter::none()).unwrap();
        assert_eq!(loaded[0].id, one);
        assert_eq!(loaded[0].names, [Reference::parse("one:v1").unwrap()]);
        assert_eq!((loaded[1].id.clone(), loaded[1].names.len()), (two.clone(), 0));
        assert_eq!(other.get(&one).unwrap().manifest, store.get(&one).unwrap().manifest);
        // Layers that print themselves need no second copy.
        assert!(other.usage().unwrap().blobs < 5000);
        let layer = &other.get(&two).unwrap().layers[0];
        let mut printed = Vec::new();
        other.layer_tar(layer).unwrap().read_to_end(&mut printed).unwrap();
        assert_eq!(oci::Digest::sha256(&printed), layer.diff_id);
    }
}

use std::io::Read as _;

#[test]
fn hostile_archives_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let sum = "0".repeat(64);
    let rows = [
        (small_tar(&[("x", "")]), "neither manifest.json nor index.json"),
        (small_tar(&[("manifest.json", "{")]), "manifest.json is not valid"),
        (
            small_tar(&[("manifest.json", r#"[{"Config":"../../images.json"}]"#)]),
            "outside of the root",
        ),
        (small_tar(&[("manifest.json", r#"[{"Config":"c"}]"#)]), "config c is missing"),
        (
            small_tar(&[
                ("manifest.json", r#"[{"Config":"c","Layers":["l"]}]"#),
                ("c", r#"{"rootfs":{"type":"layers","diff_ids":[]}}"#),
            ]),
            "layers length mismatch",
        ),
        (
            small_tar(&[
                ("manifest.json", r#"[{"Config":"c","Layers":["l"]}]"#),
                ("c", &format!(r#"{{"rootfs":{{"type":"layers","diff_ids":["sha256:{sum}"]}}}}"#)),
                ("l", std::str::from_utf8(&[0; 1024]).unwrap()),
            ]),
            "the image says sha256:000",
        ),
        (vec![0x1f, 0x8b, 1, 2], "cannot decompress"),
        (b"BZh9".to_vec(), "bzip2"),
    ];
    for (tar, want) in rows {
        let error = store.load(&mut &tar[..], &Reporter::none()).unwrap_err();
        assert!(error.to_string().contains(want), "{error} / {want}");
    }
    assert_eq!(store.usage().unwrap(), StoreUsage::default());
}

#[test]
fn a_decompression_bomb_stops() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let zeros = std::io::repeat(0).take(3 << 30);
    let bomb = zstd::encode_all(zeros, 1).unwrap();
    let error = store.add_layer(&mut &bomb[..]).unwrap_err();
    assert!(error.message.contains("decompression bomb"), "{error}");
}

#[test]
fn history_and_children() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let base = import(&store, "base", "1");
    let image = store.get(&base).unwrap();
    let mut config = (*image.config).clone();
    config.config.cmd = Some(vec!["sh".into()]);
    config.history.push(oci::History {
        created_by: "CMD [\"sh\"]".into(),
        empty_layer: true,
        ..Default::default()
    });
    let names = vec![Reference::parse_tagged("child").unwrap()];
    let new = NewImage { config, layers: image.layers, parent: Some(base.clone()), names };
    let child = store.create_image(new).unwrap();
    let history = store.history(&child).unwrap();
    assert_eq!(history.iter().map(|r| r.size).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((history[0].id.clone(), history[1].id.clone()), (Some(child.clone()), None));
    let error = store.remove(base.as_str(), Force::Yes).unwrap_err();
    assert!(error.message.contains("image has dependent child images"));
    assert_eq!(store.remove("base", Force::No).unwrap(), [Removed::Untagged("base:latest".into())]);
    let removed = store.remove("child", Force::No).unwrap();
    assert!(removed.contains(&Removed::Deleted(base)), "{removed:?}");
    assert_eq!(store.usage().unwrap(), StoreUsage::default());
}

/// A docker archive whose upper layer lists no folders, goes through a symbolic link of the lower
/// layer, links to a file of it and deletes another.
fn leaning_archive() -> (Vec<u8>, ImageConfig) {
    let mut lower = Writer::new(Vec::new());
    let entry = |kind, path: &str, link: &str, mode| tar::Entry {
        path: path.into(),
        kind,
        mode,
        uid: 7,
        gid: 7,
        size: 0,
        mtime: (1000, 0),
        link: link.into(),
        device: (0, 0),
        xattrs: Vec::new(),
        sparse: None,
    };
    lower.entry(&entry(tar::Kind::Dir, "usr/", "", 0o750)).unwrap();
    lower.entry(&entry(tar::Kind::Dir, "usr/bin/", "", 0o711)).unwrap();
    lower.file("usr/bin/old", b"old", 1000).unwrap();
    lower.entry(&entry(tar::Kind::Symlink, "bin", "usr/bin", 0o777)).unwrap();
    let lower = lower.finish().unwrap();
    let mut upper = Writer::new(Vec::new());
    upper.file("bin/new", b"new", 1000).unwrap();
    upper.entry(&entry(tar::Kind::HardLink, "usr/bin/linked", "usr/bin/old", 0o644)).unwrap();
    upper.file("bin/.wh.old", b"", 1000).unwrap();
    let upper = upper.finish().unwrap();
    let mut config = ImageConfig::default();
    config.rootfs.diff_ids = [&lower, &upper].map(|t| oci::Digest::sha256(t)).to_vec();
    let json = serde_json::to_string(&config).unwrap();
    let manifest =
        r#"[{"Config":"c","RepoTags":["lean:1"],"Layers":["0/layer.tar","1/layer.tar"]}]"#;
    let mut archive = Writer::new(Vec::new());
    archive.file("0/layer.tar", &lower, 0).unwrap();
    archive.file("1/layer.tar", &upper, 0).unwrap();
    archive.file("c", json.as_bytes(), 0).unwrap();
    archive.file("manifest.json", manifest.as_bytes(), 0).unwrap();
    (archive.finish().unwrap(), config)
}

#[test]
fn layers_that_lean_on_lower_ones_are_applied_to_them() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("s"));
    let (archive, config) = leaning_archive();
    let loaded = match store.load(&mut &archive[..], &Reporter::none()) {
        Ok(loaded) => loaded,
        Err(e) if e.message.contains("cannot mount") => {
            println!("skipped: cannot mount an overlay here ({e})");
            return;
        }
        Err(e) => panic!("{e}"),
    };
    let image = store.get(&loaded[0].id).unwrap();
    assert_eq!(image.layers[1].diff_id, config.rootfs.diff_ids[1]);
    let target = folder.path().join("m");
    std::fs::create_dir(&target).unwrap();
    let spec = store.snapshots().view("v", &Base::Image(image.id.clone())).unwrap();
    mount(&spec, &target).unwrap();
    let bin = std::fs::metadata(target.join("usr/bin")).unwrap();
    let (usr, link) = (target.join("usr"), target.join("bin"));
    let seen = (
        std::fs::read_to_string(target.join("usr/bin/new")).unwrap(),
        std::fs::read_to_string(target.join("usr/bin/linked")).unwrap(),
        target.join("usr/bin/old").exists(),
        std::fs::symlink_metadata(link).unwrap().is_symlink(),
        (bin.mode() & 0o777, bin.uid(), std::fs::metadata(usr).unwrap().mode() & 0o777),
    );
    unmount(&target).unwrap();
    assert_eq!(seen, ("new".into(), "old".into(), false, true, (0o711, 7, 0o750)));
    // Saved and loaded again it is the same image.
    let mut saved = Vec::new();
    store.save(&["lean:1".into()], &mut saved).unwrap();
    let other = open(&folder.path().join("o"));
    assert_eq!(other.load(&mut &saved[..], &Reporter::none()).unwrap()[0].id, image.id);
    // Nothing of it stays.
    store.snapshots().remove("v").unwrap();
    store.remove("lean:1", Force::No).unwrap();
    assert_eq!(store.usage().unwrap(), StoreUsage::default());
}

/// overlayfs refuses one folder twice (ELOOP); images with repeated layers, such as several empty ones, exist.
#[test]
fn a_layer_that_comes_twice_is_mounted_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let id = import(&store, "one", "1");
    let image = store.get(&id).unwrap();
    let layers = [image.layers.clone(), image.layers.clone()].concat();
    let new = NewImage { config: (*image.config).clone(), layers, parent: None, names: Vec::new() };
    let twice = store.create_image(new).unwrap();
    let spec = store.snapshots().prepare("twice", &Base::Image(twice)).unwrap();
    assert_eq!(spec.lower.len(), 1, "{:?}", spec.lower);
}
