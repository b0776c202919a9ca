//! Health probes: runs them when `plan` says so and writes the results down.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::config::items;
use crate::containers::{Container, WaitCondition, wait};
use crate::engine::Engine;
use crate::error::Result;
use crate::execs::ExecConfig;
use crate::pipe::{Pipe, Streams};
use crate::plan::{ProbeTiming, after_probe};
use crate::record::{Phase, ProbeResult, Record};
use crate::time::Stamp;

/// Output that is kept of a probe.
const OUTPUT: u64 = 4096;

/// Probes the container's health for as long as this run lasts. Without a check, nothing.
pub(crate) fn watch(engine: &Arc<Engine>, container: &Arc<Container>) {
    let record = container.record();
    if !record.probes_health() || record.pod.is_some() {
        return;
    }
    let (engine, container) = (engine.clone(), container.clone());
    let ended = wait(container.changes(), WaitCondition::NextExit);
    tokio::spawn(async move {
        tokio::select! {
            _ = ended => {}
            () = probes(&engine, &container) => {}
        }
    });
}

async fn probes(engine: &Arc<Engine>, container: &Arc<Container>) {
    loop {
        let record = container.record();
        let Some(check) = &record.config.healthcheck else { return };
        let timing = ProbeTiming::of(check);
        let health = record.state.health.clone().unwrap_or_default();
        let pause = timing.next(&health, record.state.started, Stamp::now());
        tokio::time::sleep(nanos(pause)).await;
        if container.record().state.phase != Phase::Running {
            continue;
        }
        let result = probe(engine, &record, &timing).await;
        if let Err(e) = note(engine, container, &timing, result).await {
            eprintln!("engine: recording the health of {}: {e}", container.id);
        }
    }
}

fn nanos(n: i64) -> Duration {
    Duration::from_nanos(u64::try_from(n).unwrap_or_default())
}

async fn note(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    timing: &ProbeTiming,
    result: ProbeResult,
) -> Result<()> {
    let _turn = container.turn.lock().await;
    let record = container.record();
    if !record.state.phase.is_live() {
        return Ok(());
    }
    let before = record.state.health.clone().unwrap_or_default();
    let after = after_probe(&before, timing, record.state.started, result);
    let status = after.status;
    let record = container.update(|r| r.state.health = Some(after))?;
    if before.status != status {
        engine.tell(&record, &format!("health_status: {}", status.word()), &[]);
    }
    Ok(())
}

/// The words of the probe; `CMD-SHELL` runs in the container's shell.
fn command(record: &Record) -> Vec<String> {
    let test = record.config.healthcheck.as_ref().map(|h| items(&h.test)).unwrap_or_default();
    let rest = test.get(1..).unwrap_or_default();
    if test.first().is_some_and(|word| word == "CMD-SHELL") {
        let shell = items(&record.config.shell);
        let default = ["/bin/sh".to_owned(), "-c".to_owned()];
        let shell = if shell.is_empty() { &default } else { shell };
        return [shell, rest].concat();
    }
    rest.to_vec()
}

async fn probe(engine: &Arc<Engine>, record: &Record, timing: &ProbeTiming) -> ProbeResult {
    let start = Stamp::now();
    let ended = |exit_code, output| ProbeResult { start, end: Stamp::now(), exit_code, output };
    let config = ExecConfig {
        cmd: command(record),
        attach_stdout: true,
        attach_stderr: true,
        ..ExecConfig::default()
    };
    let started = match engine.exec_create(&record.id, config) {
        Ok(id) => engine.exec_start(&id, None).await.map(|streams| (id, streams)),
        Err(e) => Err(e),
    };
    let (id, streams) = match started {
        Ok(started) => started,
        Err(e) => return ended(-1, e.message),
    };
    let run = async {
        let output = output(streams).await;
        (engine.exec_wait(&id).await.unwrap_or(-1), output)
    };
    match tokio::time::timeout(nanos(timing.timeout), run).await {
        Ok((code, output)) => ended(code, output),
        Err(_) => {
            let _ = engine.exec_kill(&id).await;
            let text = format!("Health check exceeded timeout ({})", go_duration(timing.timeout));
            ended(-1, text)
        }
    }
}

async fn output(streams: Streams) -> String {
    async fn of(pipe: Option<Pipe>) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = (&mut pipe).take(OUTPUT).read_to_end(&mut bytes).await;
            // The process must not block on a full pipe.
            let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
        }
        bytes
    }
    let (mut out, err) = tokio::join!(of(streams.stdout), of(streams.stderr));
    out.extend(err);
    out.truncate(OUTPUT as usize);
    String::from_utf8_lossy(&out).into_owned()
}

/// Go's `Duration.String` for whole milliseconds.
fn go_duration(nanos: i64) -> String {
    let ms = nanos / 1_000_000;
    match (ms / 60_000, ms % 60_000) {
        (0, ms) if ms < 1000 => format!("{ms}ms"),
        (0, ms) => format!("{}s", ms as f64 / 1000.0),
        (m, ms) => format!("{m}m{}s", ms as f64 / 1000.0),
    }
}
