//! Exec: create, start, inspect, resize.

use std::sync::Arc;

use engine::config::List;
use engine::{Engine, EngineError, Exec, ExecConfig, Streams};
use http::StatusCode;
use runtime::TtySize;
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::{Handled, lifecycle, raw};
use crate::call::{self, Call, RawRead, RawWrite};
use crate::mux::StreamKind;
use crate::pump::{Ended, Framing, both_ways, drain};
use crate::reply;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Body {
    user: String,
    privileged: bool,
    tty: bool,
    console_size: [u16; 2],
    attach_stdin: bool,
    attach_stderr: bool,
    attach_stdout: bool,
    detach_keys: String,
    env: List<String>,
    working_dir: String,
    cmd: List<String>,
}

pub async fn create(call: Call) -> Handled {
    let id = call.param(0).to_owned();
    let (face, _, body) = call.json::<Body>().await?;
    let config = ExecConfig {
        cmd: body.cmd.unwrap_or_default(),
        user: body.user,
        env: body.env,
        working_dir: body.working_dir,
        privileged: body.privileged,
        tty: body.tty,
        attach_stdin: body.attach_stdin,
        attach_stdout: body.attach_stdout,
        attach_stderr: body.attach_stderr,
        detach_keys: body.detach_keys,
        console_size: body.console_size,
    };
    let id = face.engine.exec_create(&id, config)?;
    Ok(reply::created(&json!({ "Id": id })))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct StartBody {
    detach: bool,
    tty: bool,
    console_size: [u16; 2],
}

/// Detached: an empty answer. Else the connection becomes the process's streams; an error to
/// start is an HTTP error as long as nothing has been answered.
pub async fn start(mut call: Call) -> Handled {
    let body: StartBody = match call.headers.get(http::header::CONTENT_LENGTH) {
        Some(length) if length == "0" => StartBody::default(),
        _ => {
            let (bytes, rest) = read_json_head(call.body).await?;
            call.body = rest;
            call::parse(&bytes)?
        }
    };
    let engine = call.face.engine.clone();
    let id = call.param(0).to_owned();
    let (exec, _) = engine.exec_ready(&id)?;
    let [rows, cols] = body.console_size;
    let size = (rows > 0 && cols > 0).then_some(TtySize { rows, cols });
    if body.detach {
        let streams = engine.exec_start(&id, size).await?;
        tokio::spawn(drain(Streams { stdin: None, ..streams }));
        return Ok(reply::empty(StatusCode::OK));
    }
    let keys = raw::detach_keys(&exec.config.detach_keys)?;
    let kind = call::stream_type(call.version, exec.config.tty, call.wants_upgrade());
    let tty = exec.config.tty;
    let keys = (tty && exec.config.attach_stdin).then_some(keys);
    // Started only when the answer's head is out: docker-py loses output that comes with it.
    Ok(raw::open(call, kind, move |io| {
        Box::pin(async move {
            match engine.exec_start(&id, size).await {
                Ok(streams) => serve(&engine, &exec, io, streams, keys).await,
                // Said in-band: the CLI then takes its exit code from the exec.
                Err(e) => complain(io, tty, e).await,
            }
        })
    }))
}

async fn serve(
    engine: &Arc<Engine>,
    exec: &Exec,
    io: (RawRead, RawWrite),
    mut streams: Streams,
    keys: Option<Vec<u8>>,
) {
    let tty = exec.config.tty;
    let mut unwanted = Streams::default();
    if !exec.config.attach_stdout && !tty {
        unwanted.stdout = streams.stdout.take();
    }
    if !exec.config.attach_stderr && !tty {
        unwanted.stderr = streams.stderr.take();
    }
    tokio::spawn(drain(unwanted));
    // The CLI asks for the exit code right after the stream: it must be known by then.
    let over = async { drop(engine.exec_wait(&exec.id).await) };
    if both_ways(io, streams, Framing::of(tty), keys, over).await == Ended::Detached {
        // The container may be gone by now, and its event with it.
        let _ = engine.detached(&exec.container);
    }
}

async fn complain((_, mut write): (RawRead, RawWrite), tty: bool, e: EngineError) {
    let text = format!("{}\r\n", e.message);
    // A client that is gone needs no words.
    let _ = write.write_all(&Framing::of(tty).wrap(StreamKind::Stdout, text.as_bytes())).await;
    let _ = write.shutdown().await;
}

/// The JSON document at the head of the body; a body that goes on (stdin without an upgrade) is
/// not touched.
async fn read_json_head(
    body: hyper::body::Incoming,
) -> Result<(Vec<u8>, hyper::body::Incoming), crate::Refusal> {
    use http_body_util::BodyExt;
    let mut body = body;
    let mut out = Vec::new();
    while let Some(frame) = body.frame().await {
        let bad = |e| crate::Refusal::bad_request(format!("reading the body: {e}"));
        if let Ok(data) = frame.map_err(bad)?.into_data() {
            out.extend_from_slice(&data);
        }
        if out.len() > 1 << 20 || serde_json::from_slice::<serde::de::IgnoredAny>(&out).is_ok() {
            break;
        }
    }
    Ok((out, body))
}

pub async fn inspect(call: Call) -> Handled {
    let exec = call.face.engine.exec(call.param(0))?;
    let config = &exec.config;
    let mut out = json!({
        "ID": exec.id,
        "Running": exec.running,
        "ExitCode": exec.exit_code,
        "ProcessConfig": {
            "tty": config.tty,
            "entrypoint": config.cmd.first().cloned().unwrap_or_default(),
            "arguments": config.cmd.get(1..).unwrap_or_default(),
            "privileged": config.privileged,
        },
        "OpenStdin": config.attach_stdin,
        "OpenStderr": config.attach_stderr,
        "OpenStdout": config.attach_stdout,
        "CanRemove": !exec.running,
        "ContainerID": exec.container,
        "DetachKeys": config.detach_keys,
        "Pid": exec.pid,
    });
    if !config.user.is_empty() {
        out["ProcessConfig"]["user"] = json!(config.user);
    }
    Ok(reply::ok(&out))
}

pub async fn resize(call: Call) -> Handled {
    let (rows, cols) = lifecycle::size(&call.query)?;
    call.face.engine.exec_resize(call.param(0), TtySize { rows, cols }).await?;
    Ok(reply::empty(StatusCode::OK))
}
