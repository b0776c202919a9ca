//! `volume` commands.

use super::options::pairs;
use super::{each, engine};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use remote::escape;
use serde_json::json;

pub async fn create(call: &Call) -> Result<u8, Failure> {
    let name = call.args.first().map_or("", String::as_str);
    let body = json!({
        "Name": name,
        "Driver": call.get("driver").unwrap_or("local"),
        "DriverOpts": pairs(call.all("opt")),
        "Labels": pairs(call.all("label")),
    });
    let done = engine(call)?.post("/volumes/create", Some(&body)).await;
    let done = done.map_err(|e| Failure::docker(format!("create the volume `{name}`"), &e))?;
    out::line(done["Name"].as_str().unwrap_or(name));
    Ok(0)
}

pub async fn remove(call: &Call) -> Result<u8, Failure> {
    let engine = engine(call)?;
    let force = call.has("force");
    let one = |name: &str| {
        let (engine, path) = (engine.clone(), format!("/volumes/{}?force={force}", escape(name)));
        async move { engine.delete(&path).await.map(drop) }
    };
    each(call, "remove the volume", one).await
}
