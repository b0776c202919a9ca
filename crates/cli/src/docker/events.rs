//! `events`.

use super::format::{filters, text};
use super::{engine, logs};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use crate::template::Template;
use http::Method;
use meta::Value;
use remote::escape;

pub async fn events(call: &Call) -> Result<u8, Failure> {
    let mut path = format!("/events?filters={}", filters(call, &[])?);
    for flag in ["since", "until"] {
        if let Some(value) = call.get(flag) {
            path.push_str(&format!("&{flag}={}", escape(&logs::time(call, flag, value)?)));
        }
    }
    let format = call.get("format").filter(|format| *format != "json").map(Template::parse);
    let template = format.transpose().map_err(|why| Failure::plain(why).code(64))?;
    let failed = |e: remote::Error| Failure::docker("follow the events", &e);
    let mut lines =
        engine(call)?.lines(Method::GET, &path, &[], remote::empty()).await.map_err(failed)?;
    while let Some(event) = lines.json().await.map_err(failed)? {
        match &template {
            Some(template) => out::line(template.render(&event).map_err(Failure::plain)?),
            None if call.get("format").is_some() => out::line(event.to_string()),
            None => out::line(told(&event)),
        }
    }
    Ok(0)
}

/// `2026-01-02T15:04:05.000000000Z container start ID (image=..., name=...)`
fn told(event: &Value) -> String {
    let nanos = event["timeNano"].as_i64().unwrap_or_default();
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or_default();
    let zoned = time.to_zoned(jiff::tz::TimeZone::system());
    let attributes = event["Actor"]["Attributes"].as_object().into_iter().flatten();
    let attributes: Vec<String> =
        attributes.map(|(key, value)| format!("{key}={}", text(value))).collect();
    let more =
        if attributes.is_empty() { String::new() } else { format!(" ({})", attributes.join(", ")) };
    format!(
        "{} {} {} {}{more}",
        zoned.strftime("%Y-%m-%dT%H:%M:%S.%9f%:z"),
        text(&event["Type"]),
        text(&event["Action"]),
        text(&event["Actor"]["ID"]),
    )
}
