//! `cargo xtask setup`: installs the clients and peers that the tests drive, where a package manager is at hand.
//!
//! Tests whose client is missing say so and are skipped; this makes that rare.

use std::path::Path;
use std::process::{Command, Stdio};

/// A program the tests drive and the Debian package it comes in.
const PROGRAMS: &[(&str, &str)] = &[
    ("/bin/busybox", "busybox-static"),
    ("/usr/sbin/nft", "nftables"),
    ("/usr/sbin/conntrack", "conntrack"),
    ("/usr/sbin/ip", "iproute2"),
    ("/usr/bin/skopeo", "skopeo"),
    ("/usr/bin/docker-registry", "docker-registry"),
    ("/usr/bin/curl", "curl"),
];

pub fn run(_: &[String]) -> Result<(), String> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(path, _)| !Path::new(path).exists())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        println!("setup: everything the tests drive is installed");
        return Ok(());
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        println!("setup: no apt-get here; install by hand: {}", missing.join(" "));
        return Ok(());
    }
    println!("setup: installing {}", missing.join(" "));
    let _ = apt(&["update"]);
    let mut args = vec!["install", "-y", "--no-install-recommends"];
    args.extend(&missing);
    if !apt(&args) {
        println!("setup: installing failed; tests that need these will say so and be skipped");
    }
    Ok(())
}

fn apt(args: &[&str]) -> bool {
    Command::new("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
