//! Unpacks one layer (gzip, zstd, plain) with the store and with the system's `tar`, in turns.
//!
//! `cargo run --release -p image --example bench [MEGABYTES] [FOLDER]`
#![allow(clippy::unwrap_used)] // a benchmark may stop anywhere

use image::{ImageStore, RegistriesConfig};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;

fn main() {
    let mut args = std::env::args().skip(1);
    let megabytes: usize = args.next().map_or(200, |a| a.parse().unwrap());
    let parent = args.next().unwrap_or_else(|| std::env::temp_dir().display().to_string());
    let folder = tempfile::tempdir_in(parent).unwrap();
    let source = folder.path().join("source");
    fill(&source, megabytes << 20);
    for (name, pack) in [("gz", "gzip -6 -c"), ("zst", "zstd -3 -c"), ("tar", "cat")] {
        let file = folder.path().join(format!("layer.{name}"));
        let script = format!("tar -C {} -c . | {pack} > {}", source.display(), file.display());
        assert!(Command::new("sh").arg("-c").arg(script).status().unwrap().success());
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(store(folder.path(), &file));
            theirs.push(tar(folder.path(), &file));
        }
        let size = std::fs::metadata(&file).unwrap().len() >> 20;
        let (ours, theirs) = (median(ours), median(theirs));
        println!(
            "{name:4} {size:4} MiB packed: boxship {:6.0} ms (digests verified), tar {:6.0} ms, ratio {:.2}",
            ours.as_secs_f64() * 1e3,
            theirs.as_secs_f64() * 1e3,
            theirs.as_secs_f64() / ours.as_secs_f64()
        );
    }
}

/// Files as in an image: many small ones, some large, half compressible.
fn fill(folder: &Path, total: usize) {
    let mut seed = 1u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        seed >> 33
    };
    let (mut done, mut n) = (0, 0);
    while done < total {
        let size = if n % 50 == 0 { 1 << 20 } else { 500 + random() as usize % 30_000 };
        let sub = folder.join(format!("d{}/e{}", n % 40, n % 7));
        std::fs::create_dir_all(&sub).unwrap();
        let mut bytes = Vec::with_capacity(size + 64);
        while bytes.len() < size {
            let word = random();
            bytes.extend_from_slice(format!("const value_{} = ", word % 97).as_bytes());
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        std::fs::File::create(sub.join(format!("f{n}"))).unwrap().write_all(&bytes).unwrap();
        (done, n) = (done + bytes.len(), n + 1);
    }
}

fn store(folder: &Path, file: &Path) -> Duration {
    let root = folder.join("store");
    let store = ImageStore::open(&root, RegistriesConfig::default()).unwrap();
    let mut input = std::fs::File::open(file).unwrap();
    let start = Instant::now();
    image::bench_unpack(&store, &mut input).unwrap();
    let took = start.elapsed();
    std::fs::remove_dir_all(&root).unwrap();
    took
}

fn tar(folder: &Path, file: &Path) -> Duration {
    let out = folder.join("out");
    std::fs::create_dir(&out).unwrap();
    let start = Instant::now();
    let status = Command::new("tar").arg("-xf").arg(file).arg("-C").arg(&out).status().unwrap();
    assert!(status.success());
    let took = start.elapsed();
    std::fs::remove_dir_all(&out).unwrap();
    took
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}
