//! `cargo xtask bench build`: image builds through the Docker API, beside Debian's dockerd with its
//! classic builder and with BuildKit, in turns.
//!
//! `--peers DIR` names a directory that Debian's docker.io was unpacked to; `--rounds N`;
//! `--files N` and `--megabytes N` size the two big cases.

use super::engine::peers::{Daemon, Netns, Peers, output};
use super::race::{Runner, race};
use super::report::{Figure, Report};
use super::stats::Sample;
use super::{Scratch, Setup};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

pub fn run(setup: &Setup, report: &mut Report) -> Result<(), String> {
    let scratch = Scratch::new("build")?;
    let netns = Netns::new()?;
    let name = format!("bb{}", std::process::id() % 10_000);
    let done = cases(setup, report, (scratch.path(), &netns, &name));
    let mut reset = netns.command(&setup.binary);
    reset.args(["reset", "--name", &name, "--data-dir"]).arg(scratch.path().join("ours/data"));
    done.and(output(&mut reset).map(drop))
}

fn cases(
    setup: &Setup,
    report: &mut Report,
    (dir, netns, name): (&Path, &Netns, &str),
) -> Result<(), String> {
    let ours = Daemon::ours(netns, &setup.binary, &dir.join("ours"), name)?;
    let peers = Peers::new(setup.option("peers"), dir);
    let docker = Daemon::docker(netns, &peers, &dir.join("docker"));
    if let Err(why) = &docker {
        report.note(&format!("without docker: {why}"));
    }
    let docker = docker.ok();
    base(dir, &ours, docker.as_ref())?;
    let buildkit = peers.find("docker").ok().filter(|_| docker.is_some());
    let field = Field { dir: dir.into(), ours, docker, buildkit };
    let rounds = setup.number("rounds", 7)?;
    small(&field, rounds, report)?;
    many_files(&field, setup.number("files", 50_000)?, report)?;
    big_layer(&field, setup.number("megabytes", 1024)?, report)
}

/// Who takes part.
struct Field {
    dir: PathBuf,
    ours: Daemon,
    docker: Option<Daemon>,
    /// A docker CLI that speaks BuildKit's protocol by itself (20.10).
    buildkit: Option<PathBuf>,
}

/// Prepares a context before a round: its folder and the round.
type Before<'a> = &'a dyn Fn(&Path, usize);

impl Field {
    /// Builds the folder `case/<name>` with each builder in turns; ours comes first.
    fn race(
        &self,
        case: &str,
        words: &[&str],
        rounds: usize,
        before: Before<'_>,
    ) -> Result<Vec<(&'static str, Sample)>, String> {
        let mut runners = vec![self.runner("boxship", case, words, before)];
        if self.docker.is_some() {
            runners.push(self.runner("classic", case, words, before));
        }
        if self.buildkit.is_some() {
            runners.push(self.runner("buildkit", case, words, before));
        }
        let names = ["boxship", "classic", "buildkit"];
        let samples = race(&runners, rounds)?;
        Ok(names.into_iter().zip(samples).collect())
    }

    fn runner<'a>(
        &'a self,
        name: &'static str,
        case: &'a str,
        words: &'a [&'a str],
        before: Before<'a>,
    ) -> Runner<'a> {
        let context = self.context(case, name);
        let command = move |round| {
            before(&context, round);
            let mut command = self.cli(name);
            command.arg("build").args(words).args(["-t", case]).arg(&context);
            command
        };
        Runner { name, command: Box::new(command) }
    }

    fn context(&self, case: &str, name: &str) -> PathBuf {
        self.dir.join(case).join(name)
    }

    fn cli(&self, name: &str) -> Command {
        let mut command = match (&self.docker, &self.buildkit) {
            (Some(docker), Some(program)) if name == "buildkit" => {
                let mut command = Command::new(program);
                let own = docker.cli();
                command.envs(own.get_envs().filter_map(|(k, v)| Some((k, v?))));
                command
            }
            (Some(docker), _) if name != "boxship" => docker.cli(),
            _ => self.ours.cli(),
        };
        command.env("DOCKER_BUILDKIT", if name == "buildkit" { "1" } else { "0" });
        command
    }

    /// Writes the same context for each builder.
    fn write(&self, case: &str, fill: &dyn Fn(&Path) -> std::io::Result<()>) -> Result<(), String> {
        for name in ["boxship", "classic", "buildkit"] {
            let context = self.context(case, name);
            let made = std::fs::create_dir_all(&context).and_then(|()| fill(&context));
            made.map_err(|e| format!("write {}: {e}", context.display()))?;
        }
        Ok(())
    }
}

/// `base:1` out of the machine's static busybox.
fn base(dir: &Path, ours: &Daemon, docker: Option<&Daemon>) -> Result<(), String> {
    let script = "mkdir -p base/bin base/tmp && cp \"$(command -v busybox)\" base/bin/busybox && \
                  for a in sh cp cat echo dd rm mkdir wc; do ln -s busybox base/bin/$a; done && \
                  tar -C base -cf base.tar .";
    output(Command::new("sh").args(["-ec", script]).current_dir(dir))?;
    let archive = dir.join("base.tar").display().to_string();
    for daemon in [Some(ours), docker].into_iter().flatten() {
        daemon.run(&["import", &archive, "base:1"])?;
    }
    Ok(())
}

const SMALL: &str = "FROM base:1 AS make
WORKDIR /work
COPY src/ src/
RUN cp -r src out
RUN cat out/* | wc -c > out/size
FROM base:1
ENV A=1
COPY --from=make /work/out /out
RUN echo done > /done
CMD [\"cat\", \"/done\"]
";

/// Ten instructions, two stages, 200 files.
fn small(field: &Field, rounds: usize, report: &mut Report) -> Result<(), String> {
    field.write("small", &|dir| {
        std::fs::create_dir_all(dir.join("src"))?;
        std::fs::write(dir.join("Dockerfile"), SMALL)?;
        (0..200).try_for_each(|n| std::fs::write(dir.join(format!("src/{n}")), format!("{n}\n")))
    })?;
    let cold = field.race("small", &["--no-cache"], rounds, &|_, _| {})?;
    told(report, "cold: 10 instructions, 2 stages, 200 files", &cold);
    let warm = field.race("small", &[], rounds, &|_, _| {})?;
    told(report, "warm: nothing changed", &warm);
    let posted = posted(field, "small", rounds * 3)?;
    report.sample("  the same posted without the docker CLI", &posted);
    let edited = field.race("small", &[], rounds, &|dir, round| {
        // A context that cannot be written makes the build fail, which is told.
        let _ = std::fs::write(dir.join("src/7"), format!("edited {round}\n"));
    })?;
    told(report, "one line of one file edited", &edited);
    Ok(())
}

fn many_files(field: &Field, files: usize, report: &mut Report) -> Result<(), String> {
    field.write("files", &|dir| {
        std::fs::write(dir.join("Dockerfile"), "FROM base:1\nCOPY tree /tree\n")?;
        for n in 0..files {
            let folder = dir.join(format!("tree/{}", n / 500));
            if n % 500 == 0 {
                std::fs::create_dir_all(&folder)?;
            }
            std::fs::write(folder.join(n.to_string()), format!("file {n}\n"))?;
        }
        Ok(())
    })?;
    let cold = field.race("files", &["--no-cache"], 1, &|_, _| {})?;
    told(report, &format!("{files} small files, cold"), &cold);
    let warm = field.race("files", &[], 2, &|_, _| {})?;
    told(report, &format!("{files} small files, nothing changed"), &warm);
    Ok(())
}

fn big_layer(field: &Field, megabytes: usize, report: &mut Report) -> Result<(), String> {
    let text = format!("FROM base:1\nRUN dd if=/dev/zero of=/big bs=1M count={megabytes}\n");
    field.write("big", &|dir| std::fs::write(dir.join("Dockerfile"), &text))?;
    let cold = field.race("big", &["--no-cache"], 1, &|_, _| {})?;
    told(report, &format!("a layer of {megabytes} MB"), &cold);
    Ok(())
}

fn told(report: &mut Report, what: &str, samples: &[(&'static str, Sample)]) {
    let time = |n: usize| samples.get(n).map(|(name, s)| (*name, Figure::Time(s.median())));
    match time(0) {
        Some((_, ours)) if samples.len() == 1 => report.figure(what, ours),
        Some((_, ours)) => {
            for (peer, theirs) in [time(1), time(2)].into_iter().flatten() {
                report.against(what, ours, peer, theirs);
            }
        }
        None => {}
    }
}

/// Ours alone: the tar posted by ourselves, so that no client's start is in the figure.
fn posted(field: &Field, case: &str, rounds: usize) -> Result<Sample, String> {
    let context = field.context(case, "boxship");
    let script = "tar --owner=0 --group=0 --numeric-owner -cf - -- *";
    let tar = Command::new("sh").args(["-ec", script]).current_dir(&context).output();
    let tar = tar.map_err(|e| format!("tar: {e}"))?.stdout;
    let socket = field.dir.join("ours/sock");
    let mut sample = Sample::default();
    for round in 0..=rounds {
        let began = Instant::now();
        let answer = post(&socket, &tar).map_err(|e| format!("POST /build: {e}"))?;
        if !answer.contains("Successfully built") {
            return Err(format!("POST /build: {answer}"));
        }
        // The first one may differ: another tar, another owner.
        if round > 0 {
            sample.push(began.elapsed());
        }
    }
    Ok(sample)
}

fn post(socket: &Path, tar: &[u8]) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    let head = format!(
        "POST /build HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        tar.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(tar)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
