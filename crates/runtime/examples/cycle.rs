//! Measures create, start, exit, delete of a container: `cycle PROGRAM_OF_KEEPER ROUNDS
//! [favor-dynmods] [ARGUMENTS_OF_KEEPER]`.
//! Needs root and `/bin/busybox`. Prints milliseconds per step and the keeper's memory.

use runtime::{
    ContainerSpec, Event, ExecSpec, Keeper, KeeperOptions, LogFormat, LogSpec, Namespace,
    ProcessSpec, Rootfs, Runtime, Seccomp, defaults,
};
use std::path::Path;
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let program = args.next().ok_or("the keeper's program")?;
    let rounds: u32 = args.next().ok_or("rounds")?.parse()?;
    let (asked, args): (Vec<_>, Vec<_>) = args.partition(|arg| arg == "favor-dynmods");
    let favor_dynmods = !asked.is_empty();
    let dir = std::env::temp_dir().join(format!("boxship-cycle-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("lower/bin"))?;
    std::fs::create_dir_all(dir.join("lower/proc"))?;
    std::fs::copy("/bin/busybox", dir.join("lower/bin/true"))?;
    std::fs::copy("/bin/busybox", dir.join("lower/bin/sleep"))?;
    let (root, program) = (dir.join("keeper"), program.into());
    let options = KeeperOptions { root, program, args, favor_dynmods };
    let keeper = Keeper::open(&options)?;
    cycles(&keeper, &dir, rounds)?;
    many(&keeper, &dir)?;
    runtime::stop(&keeper)?;
    for cgroup in keeper.layout().dirs("/boxship-cycle") {
        let _ = std::fs::remove_dir(cgroup);
    }
    Ok(std::fs::remove_dir_all(dir)?)
}

fn cycles(keeper: &Keeper, dir: &Path, rounds: u32) -> Outcome<()> {
    let mut events = keeper.events()?;
    let mut sums = [Duration::ZERO; 4];
    let before = cpu_ticks(keeper.pid())?;
    for round in 0..rounds {
        let spec = spec(dir, &format!("c{round}"), &["true"])?;
        let mut at = Instant::now();
        let mut lap = |sum: usize| {
            sums[sum] += at.elapsed();
            at = Instant::now();
        };
        keeper.create(&spec)?;
        lap(0);
        keeper.start(&spec.id)?;
        lap(1);
        while !matches!(events.next()?, Event::Exited { .. }) {}
        lap(2);
        keeper.delete(&spec.id)?;
        lap(3);
    }
    let used = (cpu_ticks(keeper.pid())? - before) as f64 * 10.0 / f64::from(rounds);
    println!("CPU of keeper and containers: {used:.2} ms per cycle");
    let ms = |sum: Duration| sum.as_secs_f64() * 1000.0 / f64::from(rounds);
    let total: f64 = sums.iter().copied().map(ms).sum();
    let [create, start, exit, delete] = sums.map(ms);
    println!(
        "create {create:.2} start {start:.2} exit {exit:.2} delete {delete:.2} ms, sum {total:.2} ms"
    );
    Ok(())
}

fn many(keeper: &Keeper, dir: &Path) -> Outcome<()> {
    println!("idle keeper: {}", memory(keeper.pid())?);
    let at = Instant::now();
    for n in 0..100 {
        keeper.create(&spec(dir, &format!("m{n}"), &["sleep", "1000"])?)?;
        keeper.start(&format!("m{n}"))?;
    }
    println!("100 containers one by one: {:.0} ms", at.elapsed().as_secs_f64() * 1000.0);
    println!("keeper with 100: {}", memory(keeper.pid())?);
    let mut events = keeper.events()?;
    let at = Instant::now();
    for n in 0..50 {
        let process = process(&["true"]);
        let (id, container) = (format!("x{n}"), "m0".to_string());
        drop(keeper.exec(&ExecSpec { id, container, process, stdin: false })?);
        while !matches!(events.next()?, Event::ExecExited { .. }) {}
    }
    println!("exec: {:.2} ms", at.elapsed().as_secs_f64() * 1000.0 / 50.0);
    let at = Instant::now();
    for n in 0..100 {
        keeper.delete(&format!("m{n}"))?;
    }
    println!("100 deletes: {:.0} ms", at.elapsed().as_secs_f64() * 1000.0);
    println!("keeper after: {}", memory(keeper.pid())?);
    Ok(())
}

fn process(args: &[&str]) -> ProcessSpec {
    ProcessSpec {
        args: args.iter().map(|arg| arg.to_string()).collect(),
        env: vec!["PATH=/bin".to_string()],
        capabilities: defaults::capabilities(0),
        seccomp: Seccomp::RuntimeDefault,
        ..ProcessSpec::default()
    }
}

fn spec(dir: &Path, id: &str, args: &[&str]) -> Outcome<ContainerSpec> {
    let (upper, work) = (dir.join(id).join("upper"), dir.join(id).join("work"));
    std::fs::create_dir_all(&upper)?;
    std::fs::create_dir_all(&work)?;
    let mut spec = ContainerSpec {
        id: id.to_string(),
        rootfs: Rootfs::Overlay { lower: vec![dir.join("lower")], upper, work },
        process: process(args),
        mounts: defaults::mounts(64 << 20),
        masked_paths: defaults::masked_paths(),
        readonly_paths: defaults::readonly_paths(),
        device_rules: defaults::device_rules(),
        cgroup_parent: "/boxship-cycle".to_string(),
        logs: LogSpec {
            format: LogFormat::JsonFile,
            path: dir.join(id).join("log"),
            ..LogSpec::default()
        },
        ..ContainerSpec::default()
    };
    spec.namespaces.net = Namespace::Host;
    Ok(spec)
}

/// Hundredths of a second of the process and of its children that have ended: unlike wall time
/// this means something on a busy machine.
fn cpu_ticks(pid: i32) -> Outcome<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').ok_or("stat")?;
    Ok(rest.split_whitespace().skip(11).take(4).filter_map(|n| n.parse::<u64>().ok()).sum())
}

/// Resident and proportional kilobytes.
fn memory(pid: i32) -> Outcome<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kb = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
        line.trim().trim_end_matches(" kB").to_string()
    };
    Ok(format!("rss {} kB, private dirty {} kB", kb("Rss:"), kb("Private_Dirty:")))
}
