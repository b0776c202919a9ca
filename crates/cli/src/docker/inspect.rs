//! `inspect`, of anything.

use super::engine;
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use crate::template::Template;
use meta::Value;
use remote::{Docker, Error, escape};

/// A kind of object and where it is: path before and after the name.
struct Kind {
    name: &'static str,
    before: &'static str,
    after: &'static str,
}

const CONTAINER: Kind = Kind { name: "container", before: "/containers/", after: "/json" };
const IMAGE: Kind = Kind { name: "image", before: "/images/", after: "/json" };
const NETWORK: Kind = Kind { name: "network", before: "/networks/", after: "" };
const VOLUME: Kind = Kind { name: "volume", before: "/volumes/", after: "" };

/// In the order docker looks.
const KINDS: &[&Kind] = &[&CONTAINER, &IMAGE, &NETWORK, &VOLUME];

pub async fn any(call: &Call) -> Result<u8, Failure> {
    let kinds: Vec<&Kind> = match call.get("type") {
        None => KINDS.to_vec(),
        Some(wanted) => KINDS.iter().filter(|kind| kind.name == wanted).copied().collect(),
    };
    if kinds.is_empty() {
        let wanted = call.get("type").unwrap_or_default();
        return Err(Failure::plain(format!("\"{wanted}\" is not a valid value for --type")));
    }
    inspect(call, &kinds).await
}

pub async fn container(call: &Call) -> Result<u8, Failure> {
    inspect(call, &[&CONTAINER]).await
}

pub async fn image(call: &Call) -> Result<u8, Failure> {
    inspect(call, &[&IMAGE]).await
}

pub async fn network(call: &Call) -> Result<u8, Failure> {
    inspect(call, &[&NETWORK]).await
}

pub async fn volume(call: &Call) -> Result<u8, Failure> {
    inspect(call, &[&VOLUME]).await
}

async fn inspect(call: &Call, kinds: &[&Kind]) -> Result<u8, Failure> {
    let engine = engine(call)?;
    let format = call.get("format").filter(|format| *format != "json");
    let template = format.map(Template::parse).transpose();
    let template = template.map_err(|why| Failure::plain(why).code(64))?;
    let (mut found, mut code) = (Vec::new(), 0);
    for name in &call.args {
        match look(&engine, kinds, name, call.has("size")).await {
            Ok(Some(value)) => found.push(value),
            Ok(None) => {
                code = 1;
                not_found(call, kinds, name).tell(call.voice);
            }
            Err(e) => {
                code = 1;
                Failure::docker(format!("look at `{name}`"), &e).tell(call.voice);
            }
        }
    }
    match template {
        Some(template) => {
            for value in &found {
                out::line(template.render(value).map_err(|why| Failure::plain(why).code(1))?);
            }
        }
        None if call.get("format") == Some("json") => out::line(Value::Array(found).to_string()),
        None => out::line(indented(&Value::Array(found))),
    }
    Ok(code)
}

async fn look(
    engine: &Docker,
    kinds: &[&Kind],
    name: &str,
    size: bool,
) -> Result<Option<Value>, Error> {
    for kind in kinds {
        let size = if size && kind.name == "container" { "?size=true" } else { "" };
        let name = if kind.name == "image" { name.to_owned() } else { escape(name) };
        match engine.get(&format!("{}{name}{}{size}", kind.before, kind.after)).await {
            Ok(value) => return Ok(Some(value)),
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

fn not_found(call: &Call, kinds: &[&Kind], name: &str) -> Failure {
    let what = if let [one] = kinds { one.name } else { "object" };
    let plain = match what {
        "object" => format!("Error: No such object: {name}"),
        "network" => format!("Error response from daemon: network {name} not found"),
        "volume" => format!("Error response from daemon: get {name}: no such volume"),
        kind => format!("Error response from daemon: No such {kind}: {name}"),
    };
    let failure = Failure::new(format!("look at `{name}`"), format!("there is no such {what}"));
    Failure { plain: Some(plain), ..failure }.hint(format!("`{} --help` shows examples", call.path))
}

/// Four spaces a level, as docker prints.
pub fn indented(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let line = |line: &str| {
        let spaces = line.len() - line.trim_start().len();
        format!("{}{}", " ".repeat(spaces), line)
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}
