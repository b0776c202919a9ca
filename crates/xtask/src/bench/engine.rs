//! `cargo xtask bench engine [--peers DIR] [--rounds N] [--big MEGABYTES] [--examples DIR]`: the same work on our
//! engine and on Debian's docker.io, podman and runc, in turns, from the same root file system.
//! `--peers` names a directory that the packages were unpacked to with `dpkg -x`, `--examples` one
//! with the built examples `cycle` and `engine`; without it they are built.

mod images;
pub mod peers;

use super::race::{Runner, race};
use super::report::{Figure, Report};
use super::stats::Sample;
use super::{Scratch, Setup, built};
use peers::{Daemon, Netns, Peers, output};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// What the parts of the benchmark share.
struct Stage<'a> {
    setup: &'a Setup,
    rounds: usize,
    dir: &'a Path,
    netns: &'a Netns,
    peers: &'a Peers,
    ours: &'a Daemon,
    docker: Option<&'a Daemon>,
}

pub fn run(setup: &Setup, report: &mut Report) -> Result<(), String> {
    let scratch = Scratch::new("engine")?;
    let dir = scratch.path();
    let netns = Netns::new()?;
    let peers = Peers::new(setup.option("peers"), &dir.join("podman"));
    std::fs::create_dir_all(dir.join("podman")).map_err(|e| e.to_string())?;
    let name = format!("bench{}", std::process::id() % 10_000);
    let done = stages(setup, report, (dir, &netns, &peers), &name);
    let mut reset = netns.command(&setup.binary);
    reset.args(["reset", "--name", &name, "--data-dir"]).arg(dir.join("ours/data"));
    done.and(output(&mut reset).map(drop))
}

fn stages(
    setup: &Setup,
    report: &mut Report,
    (dir, netns, peers): (&Path, &Netns, &Peers),
    name: &str,
) -> Result<(), String> {
    let ours = Daemon::ours(netns, &setup.binary, &dir.join("ours"), name)?;
    let docker = match Daemon::docker(netns, peers, &dir.join("docker")) {
        Ok(daemon) => Some(daemon),
        Err(why) => {
            report.note(&format!("without docker: {why}"));
            None
        }
    };
    let stage = Stage {
        setup,
        rounds: setup.number("rounds", 10)?,
        dir,
        netns,
        peers,
        ours: &ours,
        docker: docker.as_ref(),
    };
    idle_memory(&stage, report, "idle")?;
    stage.import()?;
    run_true(&stage, report)?;
    exec_true(&stage, report)?;
    cycle(&stage, report)?;
    hundred(&stage, report)?;
    images::run(&stage, report)?;
    idle_memory(&stage, report, "at the end")
}

impl Stage<'_> {
    fn daemons(&self) -> Vec<&Daemon> {
        std::iter::once(self.ours).chain(self.docker).collect()
    }

    /// busybox as the image `bb`, everywhere; also left unpacked for runc.
    fn import(&self) -> Result<(), String> {
        let root = self.rootfs();
        let bin = root.join("bin");
        std::fs::create_dir_all(&bin).map_err(|e| e.to_string())?;
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|p| Path::new(p).exists());
        let busybox = busybox.ok_or("busybox-static is not here")?;
        std::fs::copy(busybox, bin.join("busybox")).map_err(|e| e.to_string())?;
        for applet in ["true", "sh", "sleep", "cat"] {
            std::os::unix::fs::symlink("busybox", bin.join(applet)).map_err(|e| e.to_string())?;
        }
        let tar = self.dir.join("bb.tar");
        output(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg("."))?;
        let tar = tar.display().to_string();
        for daemon in self.daemons() {
            daemon.run(&["import", &tar, "bb"])?;
        }
        Ok(())
    }

    fn example(&self, name: &str, package: &str) -> Result<PathBuf, String> {
        match self.setup.option("examples") {
            Some(dir) => Ok(Path::new(dir).join(name)),
            None => built(name, &["--package", package, "--example", name]),
        }
    }

    fn rootfs(&self) -> PathBuf {
        self.dir.join("bundle/rootfs")
    }

    /// podman with the image, or why there is none.
    fn podman(&self) -> Result<(), String> {
        let tar = self.dir.join("bb.tar").display().to_string();
        output(self.peers.podman(self.netns)?.args(["import", &tar, "bb"]))?;
        output(self.peers.podman(self.netns)?.args(["run", "--rm", "bb", "true"])).map(drop)
    }

    /// The same command line for everybody that has a CLI of docker's kind.
    fn race(
        &self,
        podman: bool,
        words: &dyn Fn(usize) -> Vec<String>,
    ) -> Result<Vec<(String, Sample)>, String> {
        let mut runners: Vec<Runner<'_>> = Vec::new();
        for daemon in self.daemons() {
            let command = move |round| {
                let mut command = daemon.cli();
                command.args(words(round));
                command
            };
            runners.push(Runner { name: daemon.name, command: Box::new(command) });
        }
        if podman {
            let command = |round| {
                let podman = self.peers.podman(self.netns);
                let mut command = podman.unwrap_or_else(|_| Command::new("podman"));
                command.args(words(round));
                command
            };
            runners.push(Runner { name: "podman", command: Box::new(command) });
        }
        let samples = race(&runners, self.rounds)?;
        Ok(runners.iter().map(|r| r.name.to_owned()).zip(samples).collect())
    }
}

/// Ours first, the others beside it.
fn tell(report: &mut Report, what: &str, rows: &[(String, Sample)]) {
    let Some(((_, ours), others)) = rows.split_first() else { return };
    report.sample(what, ours);
    for (name, theirs) in others {
        let (a, b) = (Figure::Time(ours.median()), Figure::Time(theirs.median()));
        report.against(&format!("{what}, median"), a, name, b);
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn run_true(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    let podman = stage.podman();
    if let Err(why) = &podman {
        report.note(&format!("without podman: {why}"));
    }
    let rows = stage.race(podman.is_ok(), &|_| words("run --rm bb true"))?;
    tell(report, "run --rm true", &rows);
    let rows = stage.race(podman.is_ok(), &|_| words("run --rm --network host bb true"))?;
    tell(report, "run --rm --network host true", &rows);
    Ok(())
}

fn exec_true(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    for daemon in stage.daemons() {
        daemon.run(&["run", "-d", "--name", "target", "bb", "sleep", "1000"])?;
    }
    let rows = stage.race(false, &|_| words("exec target true"))?;
    tell(report, "exec true", &rows);
    for daemon in stage.daemons() {
        daemon.run(&["rm", "-f", "target"])?;
    }
    Ok(())
}

/// create, start, end, delete below any daemon: three calls of runc, three messages to the keeper.
fn cycle(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    let example = stage.example("cycle", "runtime")?;
    let rounds = (stage.rounds * 5).to_string();
    let said = output(Command::new(example).arg(&stage.setup.binary).args([&rounds, "keeper"]))?;
    let line = said.lines().find(|line| line.contains("sum ")).ok_or("cycle said no sum")?;
    let sum = line.split("sum ").nth(1).and_then(|rest| rest.split(' ').next());
    let ms: f64 = sum.and_then(|n| n.parse().ok()).ok_or("cycle's sum is no number")?;
    let ours = Figure::Time(std::time::Duration::from_secs_f64(ms / 1000.0));
    match runc(stage) {
        Ok(sample) => {
            report.against("create+start+end+delete", ours, "runc", Figure::Time(sample.median()));
        }
        Err(why) => {
            report.figure("create+start+end+delete", ours);
            report.note(&format!("without runc: {why}"));
        }
    }
    Ok(())
}

fn runc(stage: &Stage<'_>) -> Result<Sample, String> {
    let program = stage.peers.find("runc")?;
    let bundle = stage.dir.join("bundle");
    if !bundle.join("config.json").exists() {
        output(Command::new(&program).arg("spec").current_dir(&bundle))?;
        let path = bundle.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|e| e.to_string())?;
        let mut spec: serde_json::Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        spec["process"]["terminal"] = false.into();
        spec["process"]["args"] = serde_json::json!(["true"]);
        spec["process"]["rlimits"] = serde_json::json!([]);
        std::fs::write(&path, spec.to_string()).map_err(|e| e.to_string())?;
    }
    let root = stage.dir.join("runc");
    let command = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("--root").arg(&root).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut sample = Sample::default();
    for round in 0..=stage.rounds * 5 {
        let id = format!("bench-{round}");
        let bundle = bundle.display().to_string();
        let began = Instant::now();
        for words in [&["create", "--bundle", &bundle, &id][..], &["start", &id]] {
            let status = command(words).status().map_err(|e| e.to_string())?;
            if !status.success() {
                return Err(format!("runc {}: {status}", words[0]));
            }
        }
        // It refuses until the process has ended.
        while !command(&["delete", &id]).status().is_ok_and(|s| s.success()) {}
        if round > 0 {
            sample.push(began.elapsed());
        }
    }
    Ok(sample)
}

/// A hundred at once, and what they cost.
fn hundred(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    const COUNT: usize = 100;
    let mut rows = Vec::new();
    for daemon in stage.daemons() {
        let (before, _) = daemon.memory()?;
        let began = Instant::now();
        let run = |_| {
            let mut cli = daemon.cli();
            cli.args(["run", "-d", "bb", "sleep", "1000"]).stdin(Stdio::null());
            cli.stdout(Stdio::null()).spawn()
        };
        let clients: Vec<_> =
            (0..COUNT).map(run).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        for mut client in clients {
            let status = client.wait().map_err(|e| e.to_string())?;
            if !status.success() {
                return Err(format!("{}: one of the hundred: {status}", daemon.name));
            }
        }
        let took = began.elapsed();
        let (after, _) = daemon.memory()?;
        let each = after.resident.saturating_sub(before.resident) / COUNT as u64;
        let ids = daemon.run(&["ps", "-q"])?;
        let ids: Vec<&str> = ids.split_whitespace().collect();
        let began = Instant::now();
        daemon.run(&[&["rm", "-f"], &ids[..]].concat())?;
        rows.push((daemon.name, took, each, began.elapsed()));
    }
    let Some((_, took, each, gone)) = rows.first().copied() else { return Ok(()) };
    match rows.get(1).copied() {
        None => {
            report.figure("100 containers at once", Figure::Time(took));
            report.figure("rm -f of the 100", Figure::Time(gone));
            report.figure("memory per running container", Figure::Bytes(each));
        }
        Some((peer, theirs, more, later)) => {
            let time = Figure::Time;
            report.against("100 containers at once", time(took), peer, time(theirs));
            report.against("rm -f of the 100", time(gone), peer, time(later));
            let (a, b) = (Figure::Bytes(each), Figure::Bytes(more));
            report.against("memory per running container", a, peer, b);
        }
    }
    Ok(())
}

fn idle_memory(stage: &Stage<'_>, report: &mut Report, when: &str) -> Result<(), String> {
    for daemon in stage.daemons() {
        let (all, others) = daemon.memory()?;
        report.memory(&format!("{}, {when}: daemon and helpers", daemon.name), all);
        report.memory(&format!("{}, {when}: its helpers alone", daemon.name), others);
    }
    Ok(())
}
