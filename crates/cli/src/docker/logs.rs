//! `logs`.

use super::engine;
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use http::Method;
use remote::{Frame, Frames, escape};

pub async fn logs(call: &Call) -> Result<u8, Failure> {
    let engine = engine(call)?;
    let name = &call.args[0];
    let failed = |e: remote::Error| Failure::docker(format!("read the log of `{name}`"), &e);
    let seen = engine.get(&format!("/containers/{}/json", escape(name))).await.map_err(failed)?;
    let mut path = format!(
        "/containers/{}/logs?stdout=1&stderr=1&follow={}&timestamps={}&details={}",
        escape(name),
        call.has("follow"),
        call.has("timestamps"),
        call.has("details"),
    );
    for flag in ["since", "until"] {
        if let Some(value) = call.get(flag) {
            path.push_str(&format!("&{flag}={}", escape(&time(call, flag, value)?)));
        }
    }
    path.push_str(&format!("&tail={}", escape(call.get("tail").unwrap_or("all"))));
    let mut lines = engine.lines(Method::GET, &path, &[], remote::empty()).await.map_err(failed)?;
    let is_raw = seen["Config"]["Tty"] == true;
    let mut frames = Frames::default();
    while let Some(chunk) = lines.chunk().await.map_err(failed)? {
        if is_raw {
            out::write(&chunk);
            continue;
        }
        frames.push(&chunk);
        while let Some(frame) = frames.pull().map_err(failed)? {
            match frame {
                Frame::Stdout(bytes) => out::write(&bytes),
                Frame::Stderr(bytes) => out::write_err(&bytes),
            }
        }
    }
    Ok(0)
}

/// A time, or how long ago, in seconds since 1970 with nanoseconds (docker `api/types/time`).
pub fn time(call: &Call, flag: &str, text: &str) -> Result<String, Failure> {
    let bad = || call.bad_value(flag, text, "it is neither a time nor a duration");
    if text.parse::<f64>().is_ok() {
        return Ok(text.to_owned());
    }
    if let Ok(ago) = meta::GoDuration::parse(text) {
        let then = jiff::Timestamp::now().as_nanosecond() - i128::from(ago.0);
        return Ok(format!("{}.{:09}", then / 1_000_000_000, then % 1_000_000_000));
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(format!("{}.{:09}", time.as_second(), time.subsec_nanosecond()));
    }
    let local: jiff::civil::DateTime = text.parse().map_err(|_| bad())?;
    let zoned = local.to_zoned(jiff::tz::TimeZone::system()).map_err(|_| bad())?;
    Ok(zoned.timestamp().as_second().to_string())
}
