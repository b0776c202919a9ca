//! The museum of hostile and odd layers.

use super::*;
use crate::tar::Writer;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};

struct Tar(Writer<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(Writer::new(Vec::new()))
    }
    fn entry(mut self, kind: Kind, path: &str, link: &str, mode: u32) -> Self {
        self.0.entry(&blank(kind, path, link, mode)).unwrap();
        self
    }
    fn dir(self, path: &str) -> Self {
        self.entry(Kind::Dir, path, "", 0o755)
    }
    fn symlink(self, path: &str, to: &str) -> Self {
        self.entry(Kind::Symlink, path, to, 0o777)
    }
    fn hard(self, path: &str, to: &str) -> Self {
        self.entry(Kind::HardLink, path, to, 0o644)
    }
    fn file(mut self, path: &str, text: &str) -> Self {
        self.0.file(path, text.as_bytes(), 1000).unwrap();
        self
    }
    fn done(self) -> Vec<u8> {
        self.0.finish().unwrap()
    }
}

fn blank(kind: Kind, path: &str, link: &str, mode: u32) -> Entry {
    Entry {
        path: path.into(),
        kind,
        mode,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: (1000, 0),
        link: link.into(),
        device: (0, 0),
        xattrs: Vec::new(),
        sparse: None,
    }
}

/// Unpacks into `root` beside a file `secret` that must never change.
struct Cell(tempfile::TempDir);

impl Cell {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        fs::write(folder.path().join("secret"), "untouched").unwrap();
        Self(folder)
    }
    fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }
    fn unpack(&self, tar: &[u8], style: Whiteouts) -> Result<Outcome> {
        let result = unpack_layer(&mut &tar[..], &self.root(), &UnpackOptions::new(style));
        assert_eq!(fs::read_to_string(self.0.path().join("secret")).unwrap(), "untouched");
        assert_eq!(fs::read_dir(self.0.path()).unwrap().count(), 2);
        result
    }
}

#[test]
fn escapes_are_refused_or_contained() {
    let outside = Cell::new();
    let victim = outside.0.path().join("secret");
    let victim = victim.to_str().unwrap();
    let rows = [
        ("dot dot", Tar::new().file("../secret", "x").done()),
        ("deep dot dot", Tar::new().dir("a").file("a/../../secret", "x").done()),
        ("absolute", Tar::new().file(victim, "x").done()),
        ("symlink up", Tar::new().symlink("l", "..").file("l/secret", "x").done()),
        (
            "absolute symlink",
            Tar::new()
                .symlink("l", outside.0.path().to_str().unwrap())
                .file("l/secret", "x")
                .done(),
        ),
        ("file through symlink", Tar::new().symlink("f", victim).file("f", "x").done()),
        ("hard link out", Tar::new().hard("h", "../secret").done()),
        ("hard link absolute", Tar::new().hard("h", victim).done()),
        (
            "hard link through symlink",
            Tar::new().symlink("l", "..").hard("h", "l/secret").file("h", "x").done(),
        ),
        (
            "hard link to symlink",
            Tar::new().symlink("l", victim).hard("h", "l").file("h", "x").done(),
        ),
        ("whiteout up", Tar::new().symlink("l", "..").file("l/.wh.secret", "").done()),
        ("whiteout dot dot", Tar::new().file(".wh...", "").done()),
        ("opaque up", Tar::new().symlink("l", "..").file("l/.wh..wh..opq", "").done()),
        ("dir over symlink", Tar::new().symlink("d", "..").dir("d").file("d/secret", "x").done()),
        ("magic link", Tar::new().symlink("p", "/proc/self/root").file("p/etc/x", "x").done()),
    ];
    for (name, tar) in rows {
        for style in [Whiteouts::Lowest, Whiteouts::Overlay, Whiteouts::Apply, Whiteouts::Literal] {
            let cell = Cell::new();
            let result = cell.unpack(&tar, style);
            assert_eq!(fs::read_to_string(victim).unwrap(), "untouched", "{name} {style:?}");
            drop(result);
        }
    }
}

#[test]
fn refusals_say_why() {
    let rows = [
        (Tar::new().file("../x", "").done(), "the path is outside of the root"),
        (Tar::new().file(".wh.", "").done(), "invalid whiteout name"),
        (Tar::new().entry(Kind::Char, "c", "", 0o600).done(), "would be a forged whiteout"),
        (Tar::new().hard("h", "gone").done(), "hard link to gone which is not there"),
        (Tar::new().file("f", "").file("f/x", "").done(), "a parent is not a folder"),
        (Tar::new().symlink("l", "gone").file("l/x", "").done(), "a parent is a dangling link"),
        (Tar::new().file("a", "x").done()[..700].to_vec(), "unexpected EOF"),
        (vec![7; 1024], "archive/tar: invalid"),
    ];
    for (tar, want) in rows {
        let error = Cell::new().unpack(&tar, Whiteouts::Lowest).unwrap_err();
        assert_eq!(error.kind, crate::ErrorKind::Invalid);
        assert!(error.message.contains(want), "{}", error.message);
    }
}

#[test]
fn limits_hold() {
    let cell = Cell::new();
    let mut options = UnpackOptions::new(Whiteouts::Literal);
    options.limits.entries = 2;
    let bomb = Tar::new().dir("a").dir("b").dir("c").done();
    assert!(unpack(&mut &bomb[..], &cell.root(), &options).is_err());
    options.limits = Limits { bytes: 3, ..Limits::default() };
    assert!(unpack(&mut &Tar::new().file("f", "1234").done()[..], &cell.root(), &options).is_err());
    options.limits = Limits { spare: u64::MAX, ..Limits::default() };
    let error =
        unpack(&mut &Tar::new().file("f", "1").done()[..], &cell.root(), &options).unwrap_err();
    assert!(error.message.contains("no space left on device"));
}

#[test]
fn whiteouts_in_overlay_form() {
    let cell = Cell::new();
    let tar = Tar::new()
        .dir("d")
        .file("d/.wh..wh..opq", "")
        .file("d/new", "n")
        .file(".wh.gone", "")
        .file(".wh.back", "")
        .dir("back")
        .dir("later")
        .file(".wh.later", "")
        .file("stays", "s")
        .file(".wh.stays", "")
        .file(".wh..wh.plnk", "")
        .done();
    cell.unpack(&tar, Whiteouts::Overlay).unwrap();
    let root = cell.root();
    let gone = fs::symlink_metadata(root.join("gone")).unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    for opaque in ["d", "back", "later"] {
        let mut value = [0; 4];
        let n = rustix::fs::getxattr(root.join(opaque), whiteout::OPAQUE_XATTR, &mut value);
        assert_eq!(n, Ok(1), "{opaque}");
    }
    assert_eq!(fs::read_to_string(root.join("stays")).unwrap(), "s");
    assert!(!root.join(".wh..wh.plnk").exists());
}

#[test]
fn what_leans_on_lower_layers_is_noticed() {
    for tar in [
        Tar::new().file("implied/f", "").done(),
        Tar::new().hard("h", "below").done(),
        Tar::new().hard("h", "below/file").done(),
    ] {
        assert_eq!(Cell::new().unpack(&tar, Whiteouts::Overlay).unwrap(), Outcome::NeedsLower);
    }
}

#[test]
fn attributes_and_odd_kinds() {
    let cell = Cell::new();
    let mut owned = blank(Kind::File, "suid", "", 0o4755);
    (owned.uid, owned.gid) = (12, 3_000_000_000);
    owned.xattrs = vec![
        (b"user.note".to_vec(), b"hi".to_vec()),
        (b"trusted.overlay.redirect".to_vec(), b"/etc".to_vec()),
    ];
    let mut tar = Writer::new(Vec::new());
    tar.entry(&blank(Kind::Dir, "./", "", 0o711)).unwrap();
    tar.entry(&owned).unwrap();
    tar.entry(&blank(Kind::Fifo, "pipe", "", 0o622)).unwrap();
    let mut null = blank(Kind::Char, "null", "", 0o666);
    null.device = (1, 3);
    tar.entry(&null).unwrap();
    tar.entry(&blank(Kind::HardLink, "again", "suid", 0o600)).unwrap();
    let long = "n".repeat(200);
    tar.entry(&blank(Kind::Symlink, &long, &"t/".repeat(150), 0o777)).unwrap();
    let done = cell.unpack(&tar.finish().unwrap(), Whiteouts::Overlay).unwrap();
    assert_eq!(done, Outcome::Done(Unpacked { bytes: 0, inodes: 4 }));
    let root = cell.root();
    let meta = |n: &str| fs::symlink_metadata(root.join(n)).unwrap();
    assert_eq!((meta("suid").uid(), meta("suid").gid()), (12, 3_000_000_000));
    assert_eq!(meta("suid").permissions().mode() & 0o7777, 0o4755);
    assert_eq!(meta("again").ino(), meta("suid").ino());
    assert_eq!((meta("suid").mtime(), meta("").mtime(), meta(&long).mtime()), (1000, 1000, 1000));
    assert!(
        meta("pipe").file_type().is_fifo() && meta("pipe").permissions().mode() & 0o777 == 0o622
    );
    assert_eq!(meta("null").rdev(), rustix::fs::makedev(1, 3));
    assert_eq!(meta("").permissions().mode() & 0o7777, 0o711);
    let mut value = [0; 9];
    assert_eq!(rustix::fs::getxattr(root.join("suid"), "user.note", &mut value), Ok(2));
    assert!(
        rustix::fs::getxattr(root.join("suid"), "trusted.overlay.redirect", &mut value).is_err()
    );
}

#[test]
fn later_entries_win() {
    let cell = Cell::new();
    let tar =
        Tar::new().dir("x").file("x/in", "").file("x", "file").symlink("y", "x").dir("y").done();
    cell.unpack(&tar, Whiteouts::Lowest).unwrap();
    assert_eq!(fs::read_to_string(cell.root().join("x")).unwrap(), "file");
    assert!(fs::symlink_metadata(cell.root().join("y")).unwrap().is_dir());
    let mut options = UnpackOptions::new(Whiteouts::Literal);
    options.kinds = ReplaceKinds::Refuse;
    let again = Tar::new().file("y", "").done();
    let error = unpack(&mut &again[..], &cell.root(), &options).unwrap_err();
    assert!(
        error.message.contains("cannot overwrite directory \"y\" with non-directory"),
        "{error}"
    );
}

/// GNU tar is the judge of formats we only read.
#[test]
fn gnu_tar_dialects() {
    let source = tempfile::tempdir().unwrap();
    let holes = fs::File::create(source.path().join("holes")).unwrap();
    for at in [0u64, 1 << 20, 9 << 20] {
        std::os::unix::fs::FileExt::write_all_at(&holes, b"data", at).unwrap();
    }
    holes.set_len(20 << 20).unwrap();
    let deep = "d".repeat(90);
    fs::create_dir_all(source.path().join(format!("{deep}/{deep}"))).unwrap();
    fs::write(source.path().join(format!("{deep}/{deep}/f")), "deep").unwrap();
    for args in [
        &["--format=gnu", "--sparse"][..],
        &["--format=pax", "--sparse", "--sparse-version=0.0"],
        &["--format=pax", "--sparse", "--sparse-version=0.1"],
        &["--format=pax", "--sparse", "--sparse-version=1.0"],
        &["--format=ustar"],
        &["--format=pax"],
    ] {
        let tar = std::process::Command::new("tar")
            .args(args)
            .arg("-C")
            .arg(source.path())
            .args(["-c", "."])
            .output();
        let Ok(tar) = tar else {
            println!("skipped: no tar program");
            return;
        };
        let cell = Cell::new();
        cell.unpack(&tar.stdout, Whiteouts::Lowest).unwrap_or_else(|e| panic!("{args:?}: {e}"));
        let want = fs::read(source.path().join("holes")).unwrap();
        assert!(fs::read(cell.root().join("holes")).unwrap() == want, "{args:?}");
        if args.contains(&"--sparse") {
            assert!(fs::metadata(cell.root().join("holes")).unwrap().blocks() < 1000, "{args:?}");
        }
        let deep = cell.root().join(format!("{deep}/{deep}/f"));
        assert_eq!(fs::read_to_string(deep).unwrap(), "deep");
    }
}

#[test]
fn packing_is_the_inverse() {
    let cell = Cell::new();
    let tar = Tar::new()
        .dir("d")
        .file("d/f", "x")
        .hard("d/g", "d/f")
        .symlink("l", "d")
        .file(".wh.w", "")
        .file("d/.wh..wh..opq", "")
        .done();
    cell.unpack(&tar, Whiteouts::Overlay).unwrap();
    let mut first = Vec::new();
    crate::pack::pack(&cell.root(), crate::PackStyle::Layer, &mut first).unwrap();
    let second = Cell::new();
    second.unpack(&first, Whiteouts::Overlay).unwrap();
    let mut again = Vec::new();
    crate::pack::pack(&second.root(), crate::PackStyle::Layer, &mut again).unwrap();
    assert!(first == again);
}

fn any_entry() -> impl Strategy<Value = (u8, String, String)> {
    let part = prop_oneof![
        "[a-c]",
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just(".wh.a".to_owned()),
        Just(".wh..wh..opq".to_owned())
    ];
    let path = proptest::collection::vec(part, 1..4).prop_map(|p| p.join("/"));
    let link = prop_oneof![
        path.clone(),
        Just("../secret".to_owned()),
        Just("/".to_owned()),
        Just("..".to_owned())
    ];
    (0u8..5, path, link)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn random_archives_stay_inside(entries in proptest::collection::vec(any_entry(), 1..12), style in 0usize..4) {
        let mut tar = Tar::new();
        for (kind, path, link) in &entries {
            tar = match kind {
                0 => tar.dir(path),
                1 => tar.symlink(path, link),
                2 => tar.hard(path, link),
                3 => tar.entry(Kind::Fifo, path, "", 0o600),
                _ => tar.file(path, "x"),
            };
        }
        let styles = [Whiteouts::Lowest, Whiteouts::Overlay, Whiteouts::Apply, Whiteouts::Literal];
        // The cell itself checks that nothing outside changed.
        let _ = Cell::new().unpack(&tar.done(), styles[style]);
    }
}
