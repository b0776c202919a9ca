//! Pull with unpacking, and save: images of 200 MB and (`--big`) 2 GB from our own registry.

use super::super::report::{Figure, Report};
use super::super::stats::Sample;
use super::peers::{Daemon, output};
use super::{Stage, tell};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// The registry the images come from; ended when dropped.
struct Registry {
    child: Child,
    address: String,
}

impl Registry {
    fn start(stage: &Stage<'_>) -> Result<Self, String> {
        let program = stage.example("engine", "docker-http")?;
        let mut command = stage.netns.command(&program);
        command.args(["registry", "--data-dir"]).arg(stage.dir.join("registry"));
        let mut child =
            command.stdout(Stdio::piped()).spawn().map_err(|e| format!("registry: {e}"))?;
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).map_err(|e| format!("registry: {e}"))?;
        let address = line.trim().strip_prefix("ready on ").unwrap_or_default().to_owned();
        Ok(Self { child, address })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It has nothing to put in order.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn run(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    let registry = Registry::start(stage)?;
    for (megabytes, rounds) in [(200, 3), (stage.setup.number("big", 2000)?, 1)] {
        if megabytes == 0 {
            continue;
        }
        let name = format!("{}/noise:{megabytes}", registry.address);
        make(stage, &name, megabytes)?;
        pull(stage, report, &name, (megabytes, rounds))?;
    }
    Ok(())
}

/// Four layers of files of 100 kB that shrink to about a half; pushed and removed again.
fn make(stage: &Stage<'_>, name: &str, megabytes: usize) -> Result<(), String> {
    const LAYERS: usize = 4;
    let mut base = "bb".to_owned();
    for layer in 0..LAYERS {
        let folder = stage.dir.join(format!("noise-{layer}"));
        fill(&folder, megabytes / LAYERS, layer as u64).map_err(|e| format!("noise: {e}"))?;
        stage.ours.run(&["create", "--name", "noise", &base, "true"])?;
        stage.ours.run(&["cp", &folder.display().to_string(), "noise:/"])?;
        stage.ours.run(&["commit", "noise", name])?;
        stage.ours.run(&["rm", "noise"])?;
        std::fs::remove_dir_all(&folder).map_err(|e| format!("noise: {e}"))?;
        name.clone_into(&mut base);
    }
    stage.ours.run(&["push", "-q", name])?;
    stage.ours.run(&["rmi", "-f", name])?;
    stage.ours.run(&["image", "prune", "-f"]).map(drop)
}

fn fill(folder: &Path, megabytes: usize, seed: u64) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut block = vec![b'.'; 4096];
    for n in 0..megabytes * 10 {
        let mut file = std::fs::File::create(folder.join(format!("file-{n}")))?;
        for _ in 0..25 {
            for byte in &mut block[..2048] {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                *byte = (state >> 32) as u8;
            }
            file.write_all(&block)?;
        }
    }
    Ok(())
}

fn timed(daemon: &Daemon, words: &[&str]) -> Result<std::time::Duration, String> {
    // What earlier steps left to be written is not this one's.
    output(&mut Command::new("sync"))?;
    let began = Instant::now();
    daemon.run(words)?;
    Ok(began.elapsed())
}

fn pull(
    stage: &Stage<'_>,
    report: &mut Report,
    name: &str,
    (megabytes, rounds): (usize, usize),
) -> Result<(), String> {
    let daemons = stage.daemons();
    let empty = || daemons.iter().map(|d| (d.name.to_owned(), Sample::default())).collect();
    let (mut pulls, mut saves): (Vec<(String, Sample)>, Vec<(String, Sample)>) = (empty(), empty());
    let tar = stage.dir.join("saved.tar");
    for _ in 0..rounds {
        for (n, daemon) in daemons.iter().enumerate() {
            pulls[n].1.push(timed(daemon, &["pull", "-q", name])?);
            saves[n].1.push(timed(daemon, &["save", "-o", &tar.display().to_string(), name])?);
            std::fs::remove_file(&tar).map_err(|e| format!("save: {e}"))?;
            daemon.run(&["rmi", name])?;
            daemon.run(&["image", "prune", "-f"])?;
        }
    }
    tell(report, &format!("pull and unpack, {megabytes} MB"), &pulls);
    tell(report, &format!("save, {megabytes} MB"), &saves);
    let bytes = megabytes as f64 * 1e6;
    let rate = bytes / pulls[0].1.median().as_secs_f64().max(1e-9);
    report.figure("bytes unpacked a second", Figure::Bytes(rate as u64));
    Ok(())
}
