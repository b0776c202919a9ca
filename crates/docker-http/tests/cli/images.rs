//! import, save, load, tag, rmi, commit, history, inspect, export.

use crate::bench::Bench;

#[test]
fn images_come_and_go() {
    let Some(b) = Bench::start("img") else { return };
    b.ok(&["tag", "busybox", "copy:1"]);
    assert_eq!(b.ok(&["images", "-q", "copy"]).len(), 12);
    let tar = b.path("saved.tar").display().to_string();
    b.ok(&["save", "-o", &tar, "copy:1"]);
    b.ok(&["rmi", "copy:1"]);
    assert_eq!(b.ok(&["load", "-i", &tar]), "Loaded image: copy:1");
    assert!(b.ok(&["history", "copy:1"]).contains("Imported from -"));
    let missing = b.docker(&["image", "inspect", "nope"]);
    assert!(missing.err.to_lowercase().contains("no such image: nope"), "{}", missing.err);
    let id = b.ok(&["create", "busybox"]);
    let used = b.docker(&["rmi", &b.ok(&["images", "-q", "busybox"])]);
    assert_eq!(used.code, 1, "{}", used.err);
    b.ok(&["rm", &id]);
}

#[test]
fn commit_and_export() {
    let Some(b) = Bench::start("com") else { return };
    b.ok(&["run", "--name", "cc", "busybox", "sh", "-c", "echo new > /new"]);
    b.ok(&[
        "commit",
        "-m",
        "why",
        "--change",
        "ENV K=v",
        "--change",
        "CMD [\"cat\",\"/new\"]",
        "cc",
        "made",
    ]);
    assert_eq!(b.ok(&["run", "--rm", "made"]), "new");
    assert!(b.ok(&["inspect", "-f", "{{.Config.Env}}", "made"]).contains("K=v"));
    let tar = b.path("export.tar").display().to_string();
    b.ok(&["export", "-o", &tar, "cc"]);
    b.ok(&["import", &tar, "flat"]);
    assert_eq!(b.ok(&["run", "--rm", "flat", "cat", "/new"]), "new");
}
