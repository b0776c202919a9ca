//! `GET /containers/{id}/logs`

use engine::{LogLine, LogOptions, LogStream, Stamp};

use super::Handled;
use crate::call::{self, Call};
use crate::mux::StreamKind;
use crate::pump::Framing;
use crate::refusal::Refusal;
use crate::reply;

pub(super) fn kind(line: &LogLine) -> StreamKind {
    match line.stream {
        LogStream::Stdout => StreamKind::Stdout,
        LogStream::Stderr => StreamKind::Stderr,
    }
}

pub async fn logs(call: Call) -> Handled {
    let query = &call.query;
    let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
    if !stdout && !stderr {
        return Err(Refusal::bad_request("Bad parameters: you must choose at least one stream"));
    }
    let stamp = |key: &str| match query.get(key) {
        "" | "0" => Ok(None),
        text => Stamp::parse_query(text).map(Some).ok_or_else(|| {
            Refusal::bad_request(format!("invalid value for \"{key}\": \"{text}\""))
        }),
    };
    let options = LogOptions {
        stdout,
        stderr,
        since: stamp("since")?,
        until: stamp("until")?,
        tail: query.get("tail").parse().ok(),
        follow: query.flag("follow"),
    };
    let timestamps = query.flag("timestamps");
    let engine = &call.face.engine;
    let tty = engine.inspect(call.param(0))?.config.tty;
    let mut lines = engine.logs(call.param(0), options).await?;
    let (tx, reply) = reply::stream(call::stream_type(call.version, tty, true));
    let framing = Framing::of(tty);
    tokio::spawn(async move {
        loop {
            let line = tokio::select! {
                line = lines.recv() => line,
                () = tx.closed() => return,
            };
            let Some(line) = line else { return };
            let text = match timestamps {
                true => format!("{} {}", line.at.rfc3339_fixed(), line.text),
                false => line.text.clone(),
            };
            if tx.send(framing.wrap(kind(&line), text.as_bytes())).await.is_err() {
                return;
            }
        }
    });
    Ok(reply)
}
