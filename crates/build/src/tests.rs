//! What needs no kernel privileges: progress, selection, digests, archives, mount points.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use dockerfile::ignore::Ignore;

use crate::classic::Classic;
use crate::context::{Context, Packing, packing};
use crate::execute::{Event, Source};
use crate::plain::Plain;
use crate::select::{Forest, Picked};
use crate::{content, owner, rooted, stubs};

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn names(picked: &[Picked]) -> Vec<&str> {
    picked.iter().map(|p| p.name.as_str()).collect()
}

#[test]
fn steps_come_out_in_order() {
    let mut classic = Classic::default();
    let steps = vec![("FROM a".into(), Some(0)), ("ENV b".into(), None), ("RUN c".into(), Some(1))];
    let log = |n, text: &str| Event::Log(Some(n), text.as_bytes().to_vec());
    let events = [
        Event::Steps(steps),
        log(1, "early\n"),
        Event::Done(0, "000".into(), Source::Base),
        log(1, "late\n"),
        Event::Done(1, "111".into(), Source::Execution),
    ];
    let out: String = events.iter().flat_map(|e| classic.feed(e)).collect();
    let wanted = "Step 1/3 : FROM a\n ---> 000\nStep 2/3 : ENV b\n ---> 000\nStep 3/3 : RUN c\n\
                  early\nlate\n ---> 111\n";
    assert_eq!(out, wanted);
}

#[test]
fn plain_lines_name_their_step() {
    let mut plain = Plain::default();
    let steps = vec![("FROM a".into(), Some(0)), ("ENV b".into(), None), ("RUN c".into(), Some(1))];
    let log = |text: &str| Event::Log(Some(1), text.as_bytes().to_vec());
    let events = [
        Event::Steps(steps),
        Event::Started(1),
        log("one\ntw"),
        log("o\nend"),
        Event::Done(1, "111".into(), Source::Execution),
        Event::Started(0),
        Event::Done(0, "000".into(), Source::Cache),
    ];
    let out: String = events.iter().flat_map(|e| plain.feed(e)).collect();
    assert_eq!(out, "#3 RUN c\n#3 one\n#3 two\n#3 end\n#3 DONE\n#1 FROM a\n#1 CACHED\n");
}

#[test]
fn sources_are_picked() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.txt", "b.txt", "d/c.txt", "d/e/f.txt", "tmp/x"] {
        write(dir.path(), name, "x");
    }
    std::os::unix::fs::symlink("/etc", dir.path().join("out")).unwrap();
    let ignore = Ignore::parse("tmp\nb.txt");
    let forest = Forest { root: dir.path(), ignores: vec![&ignore], excludes: None };
    assert_eq!(names(&forest.pick("*.txt").unwrap()), ["a.txt"]);
    assert_eq!(names(&forest.pick("d/**/*.txt").unwrap()), ["d/c.txt", "d/e/f.txt"]);
    assert_eq!(names(&forest.pick("/d/../a.txt").unwrap()), ["a.txt"]);
    assert_eq!(names(&forest.pick(".").unwrap()), [""]);
    for missing in ["b.txt", "tmp/x", "nope", "*.no", "../../etc/passwd", "out/passwd"] {
        assert!(forest.pick(missing).is_err(), "{missing}");
    }
}

#[test]
fn times_do_not_count_and_modes_do() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "d/a", "x");
    let forest = Forest { root: dir.path(), ignores: Vec::new(), excludes: None };
    let digest = || content::digest(&forest, &forest.pick("d").unwrap()).unwrap();
    let first = digest();
    let file = std::fs::File::open(dir.path().join("d/a")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(digest(), first);
    file.set_permissions(std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_ne!(digest(), first);
    file.set_permissions(std::fs::Permissions::from_mode(0o644)).unwrap();
    write(dir.path(), "d/a", "y");
    assert_ne!(digest(), first);
}

#[test]
fn archives_are_known_by_their_first_bytes() {
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    assert_eq!(packing(&tar), Some(Packing::Plain));
    assert_eq!(packing(&[0x1f, 0x8b, 8]), Some(Packing::Gzip));
    assert_eq!(packing(b"FROM scratch"), None);
}

#[test]
fn a_bare_dockerfile_is_a_context() {
    let dir = tempfile::tempdir().unwrap();
    let body = Box::new(&b"FROM scratch\n"[..]);
    let mut context = Context::unpack(body, dir.path(), "Dockerfile").unwrap();
    assert_eq!(context.dockerfile("Dockerfile").unwrap(), "FROM scratch\n");
    assert!(context.dockerfile("../Dockerfile.other").is_err());
    drop(context);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let noise = Box::new(&[0xff, 0xfe, 0x00][..]);
    assert!(Context::unpack(noise, dir.path(), "Dockerfile").is_err());
}

#[test]
fn owners_by_number_and_name() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "etc/passwd", "root:x:0:0:::\napp:x:7:8:::\n");
    write(dir.path(), "etc/group", "web:x:9:\n");
    for (text, wanted) in [("1", (1, 1)), ("1:2", (1, 2)), ("app", (7, 8)), ("app:web", (7, 9))] {
        assert_eq!(owner::find(text, dir.path()).unwrap(), wanted, "{text}");
    }
    assert!(owner::find("nobody", dir.path()).is_err());
    assert!(owner::is_numeric("1:2") && !owner::is_numeric("app:2"));
}

#[test]
fn only_empty_mount_points_go() {
    let (upper, lower) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let victim = tempfile::tempdir().unwrap();
    write(upper.path(), "etc/hosts", "");
    write(upper.path(), "etc/resolv.conf", "mine");
    write(upper.path(), "kept/file", "");
    write(victim.path(), "empty", "");
    std::fs::create_dir_all(lower.path().join("kept")).unwrap();
    std::fs::create_dir_all(upper.path().join("deep/mount/here")).unwrap();
    std::os::unix::fs::symlink(victim.path(), upper.path().join("link")).unwrap();
    let targets = ["/deep/mount/here".to_owned(), "/link/empty".to_owned(), "/kept".to_owned()];
    stubs::remove(upper.path(), &[lower.path().to_owned()], &targets);
    let there = |name: &str| upper.path().join(name).symlink_metadata().is_ok();
    assert!(!there("etc/hosts") && !there("deep"));
    assert!(there("etc/resolv.conf") && there("kept/file") && there("link"));
    assert!(victim.path().join("empty").exists());
}

#[test]
fn links_never_lead_out() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/var/real", dir.path().join("l")).unwrap();
    std::fs::create_dir_all(dir.path().join("var/real")).unwrap();
    let made = rooted::make_folders(dir.path(), "/l/x/y").unwrap();
    assert_eq!(made, dir.path().canonicalize().unwrap().join("var/real/x/y"));
}

#[test]
fn excludes_are_of_what_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["all/a.log", "all/a.txt", "all/tmp/x", "all/sub/b.log", "z.log", "z.txt"] {
        write(dir.path(), name, "x");
    }
    let excludes = Ignore::of(["*.log", "tmp"].into_iter());
    let forest = Forest { root: dir.path(), ignores: Vec::new(), excludes: Some(&excludes) };
    let mut seen = Vec::new();
    let all = &forest.pick("all").unwrap()[0];
    let mut visit = |e: &crate::select::Entry<'_>| {
        seen.push(e.below.to_owned());
        Ok(())
    };
    forest.walk(all, &mut visit).unwrap();
    assert_eq!(seen, ["", "a.txt", "sub", "sub/b.log"]);
    assert_eq!(names(&forest.pick("z*").unwrap()), ["z.txt"]);
}
