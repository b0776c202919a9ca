//! Many watchers of one resource, each with a connection of its own, while objects are written.

use crate::connection::{Target, request};
use crate::{Args, Result, objects, percentiles};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

const NAMESPACE: &str = "/api/v1/namespaces/default/configmaps";
/// Fields of the events in which the writer tells its clock.
const MARK: &[u8] = b"\"at-";

/// What all watchers saw.
#[derive(Default)]
struct Seen {
    events: Cell<usize>,
    bytes: Cell<usize>,
    delays: RefCell<Vec<Duration>>,
}

/// `--watchers` watch ConfigMaps for `--seconds` while objects are created: `--rate` a second, or with 0 as
/// fast as 16 clients can.
pub async fn watch(args: &Args) -> Result<Value> {
    let target = Target::of(args.text("kubeconfig")?)?;
    let (watchers, rate, span) = (args.number("watchers")?, args.number("rate")?, args.span()?);
    let (seen, clock) = (Rc::new(Seen::default()), Instant::now());
    let path = format!("{NAMESPACE}?watch=1&resourceVersion={}", now(&target).await?);
    let mut tasks = Vec::new();
    for _ in 0..watchers {
        let mut connection = target.connect().await?;
        let code = connection.begin(&request("GET", &path, "application/json", b"")).await?;
        if code != 200 {
            return Err(format!("watch answered {code}").into());
        }
        let seen = seen.clone();
        tasks.push(tokio::task::spawn_local(async move {
            while let Ok(piece) = connection.raw().await {
                if piece.is_empty() {
                    return;
                }
                count(&seen, piece, clock, rate > 0);
            }
        }));
    }
    let began = Instant::now();
    let written = if rate > 0 {
        paced(&target, clock, rate, span).await?
    } else {
        flat_out(&target, span).await?
    };
    let wanted = written * watchers;
    while seen.events.get() < wanted && began.elapsed() < span + Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(json!({
        "written": written, "delivered": seen.events.get(), "wanted": wanted,
        "bytes": seen.bytes.get(), "seconds": seconds,
        "us": percentiles(seen.delays.take()),
    }))
}

/// Every event ends with a line feed; chunk sizes are on lines of their own and end with CR LF.
fn count(seen: &Seen, piece: &[u8], clock: Instant, timed: bool) {
    let ends = piece.iter().filter(|byte| **byte == b'\n').count();
    let chunks = piece.iter().filter(|byte| **byte == b'\r').count();
    seen.events.set(seen.events.get() + ends - chunks);
    seen.bytes.set(seen.bytes.get() + piece.len());
    if !timed {
        return;
    }
    let now = clock.elapsed();
    let mut rest = piece;
    while let Some(at) = rest.windows(MARK.len()).position(|window| window == MARK) {
        rest = &rest[at + MARK.len()..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
        let micros = digits.fold(0u64, |sum, byte| sum * 10 + u64::from(byte - b'0'));
        seen.delays.borrow_mut().push(now.saturating_sub(Duration::from_micros(micros)));
    }
}

/// The revision to watch from.
async fn now(target: &Target) -> Result<String> {
    let mut body = Vec::new();
    let wanted = request("GET", &format!("{NAMESPACE}?limit=1"), "application/json", b"");
    target.connect().await?.ask(&wanted, &mut body).await?;
    let list: Value = serde_json::from_slice(&body)?;
    let revision = list["metadata"]["resourceVersion"].as_str();
    Ok(revision.ok_or("the list has no resourceVersion")?.to_string())
}

/// One object every `1/rate` seconds, with the time in its data.
async fn paced(target: &Target, clock: Instant, rate: usize, span: Duration) -> Result<usize> {
    let mut connection = target.connect().await?;
    let (mut body, mut written) = (Vec::new(), 0);
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate as f64));
    let end = Instant::now() + span;
    while Instant::now() < end {
        ticks.tick().await;
        let name = format!("paced-{}-{written}", std::process::id());
        let at = format!("at-{}", clock.elapsed().as_micros());
        let value = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
            "data": { at: "x".repeat(100) },
        });
        let wanted = request("POST", NAMESPACE, "application/json", value.to_string().as_bytes());
        if connection.ask(&wanted, &mut body).await? != 201 {
            return Err(String::from_utf8_lossy(&body).into());
        }
        written += 1;
    }
    Ok(written)
}

async fn flat_out(target: &Target, span: Duration) -> Result<usize> {
    let (written, end) = (Rc::new(Cell::new(0)), Instant::now() + span);
    let mut tasks = Vec::new();
    for client in 0..16 {
        let (mut connection, written) = (target.connect().await?, written.clone());
        tasks.push(tokio::task::spawn_local(async move {
            let mut body = Vec::new();
            while Instant::now() < end {
                let name = format!("flat-{}-{client}-{}", std::process::id(), written.get());
                let wanted = request(
                    "POST",
                    NAMESPACE,
                    "application/json",
                    &objects::config_map(&name, 100),
                );
                let code = connection.ask(&wanted, &mut body).await.map_err(|e| e.to_string())?;
                if code != 201 {
                    return Err(String::from_utf8_lossy(&body).into_owned());
                }
                written.set(written.get() + 1);
            }
            Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(written.get())
}
