//! Commands that do one thing to containers.

use super::format::text;
use super::{each, engine, options};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use meta::Value;
use remote::{Docker, Error, escape};

/// `POST /containers/NAME/ACTION` for each.
async fn act(call: &Call, verb: &str, action: &str) -> Result<u8, Failure> {
    let engine = engine(call)?;
    let one = |name: &str| {
        let (engine, path) = (engine.clone(), format!("/containers/{}/{action}", escape(name)));
        async move { engine.post(&path, None).await.map(drop) }
    };
    each(call, verb, one).await
}

/// The query of stop and restart.
fn ending(call: &Call, action: &str) -> Result<String, Failure> {
    let mut query = String::new();
    let seconds = call.number::<i64>("time")?.or(call.number("timeout")?);
    if let Some(seconds) = seconds {
        query.push_str(&format!("t={seconds}&"));
    }
    if let Some(signal) = call.get("signal") {
        query.push_str(&format!("signal={}", escape(signal)));
    }
    Ok(format!("{action}?{query}"))
}

pub async fn stop(call: &Call) -> Result<u8, Failure> {
    act(call, "stop", &ending(call, "stop")?).await
}

pub async fn restart(call: &Call) -> Result<u8, Failure> {
    act(call, "restart", &ending(call, "restart")?).await
}

pub async fn kill(call: &Call) -> Result<u8, Failure> {
    let signal = escape(call.get("signal").unwrap_or("KILL"));
    act(call, "kill", &format!("kill?signal={signal}")).await
}

pub async fn pause(call: &Call) -> Result<u8, Failure> {
    act(call, "pause", "pause").await
}

pub async fn unpause(call: &Call) -> Result<u8, Failure> {
    act(call, "unpause", "unpause").await
}

pub async fn remove(call: &Call) -> Result<u8, Failure> {
    let engine = engine(call)?;
    let query =
        format!("force={}&v={}&link={}", call.has("force"), call.has("volumes"), call.has("link"));
    let one = |name: &str| {
        let name = name.trim_matches('/');
        let (engine, path) = (engine.clone(), format!("/containers/{}?{query}", escape(name)));
        async move { engine.delete(&path).await.map(drop) }
    };
    each(call, "remove the container", one).await
}

pub async fn rename(call: &Call) -> Result<u8, Failure> {
    let (old, new) = (&call.args[0], &call.args[1]);
    let path = format!("/containers/{}/rename?name={}", escape(old), escape(new));
    let done = engine(call)?.post(&path, None).await;
    done.map_err(|e| Failure::docker(format!("rename `{old}`"), &e))?;
    Ok(0)
}

pub async fn wait(call: &Call) -> Result<u8, Failure> {
    let engine = engine(call)?;
    let mut code = 0;
    for name in &call.args {
        let path = format!("/containers/{}/wait", escape(name));
        match engine.post(&path, None).await {
            Ok(answer) => out::line(answer["StatusCode"].to_string()),
            Err(e) => {
                Failure::docker(format!("wait for `{name}`"), &e).tell(call.voice);
                code = 1;
            }
        }
    }
    Ok(code)
}

pub async fn update(call: &Call) -> Result<u8, Failure> {
    let engine = engine(call)?;
    let limits = Value::Object(options::limits(call)?);
    let one = |name: &str| {
        let (engine, limits) = (engine.clone(), limits.clone());
        let path = format!("/containers/{}/update", escape(name));
        async move { update_one(&engine, &path, &limits).await }
    };
    each(call, "update", one).await
}

async fn update_one(engine: &Docker, path: &str, limits: &Value) -> Result<(), Error> {
    let answer = engine.post(path, Some(limits)).await?;
    for warning in answer["Warnings"].as_array().into_iter().flatten() {
        out::write_err(format!("{}\n", text(warning)).as_bytes());
    }
    Ok(())
}

pub async fn top(call: &Call) -> Result<u8, Failure> {
    let (name, words) = call.args.split_first().expect("the row asks for a container");
    let mut path = format!("/containers/{}/top", escape(name));
    if !words.is_empty() {
        path.push_str(&format!("?ps_args={}", escape(&words.join(" "))));
    }
    let answer = engine(call)?.get(&path).await;
    let answer =
        answer.map_err(|e| Failure::docker(format!("list the processes of `{name}`"), &e))?;
    let row = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let mut rows = vec![row(&answer["Titles"])];
    rows.extend(answer["Processes"].as_array().into_iter().flatten().map(row));
    out::write(out::columns(&rows, 20, 1, false).as_bytes());
    Ok(0)
}

pub async fn diff(call: &Call) -> Result<u8, Failure> {
    let name = &call.args[0];
    let answer = engine(call)?.get(&format!("/containers/{}/changes", escape(name))).await;
    let answer =
        answer.map_err(|e| Failure::docker(format!("compare the files of `{name}`"), &e))?;
    for change in answer.as_array().into_iter().flatten() {
        let kind = match change["Kind"].as_u64() {
            Some(0) => "C",
            Some(1) => "A",
            _ => "D",
        };
        out::line(format!("{kind} {}", text(&change["Path"])));
    }
    Ok(0)
}

pub async fn port(call: &Call) -> Result<u8, Failure> {
    let name = &call.args[0];
    let seen = engine(call)?.get(&format!("/containers/{}/json", escape(name))).await;
    let seen = seen.map_err(|e| Failure::docker(format!("find the container `{name}`"), &e))?;
    let ports = seen["NetworkSettings"]["Ports"].as_object().cloned().unwrap_or_default();
    let address = |binding: &Value| {
        let ip = text(&binding["HostIp"]);
        let ip = if ip.contains(':') { format!("[{ip}]") } else { ip };
        format!("{ip}:{}", text(&binding["HostPort"]))
    };
    if let Some(wanted) = call.args.get(1) {
        let key = if wanted.contains('/') { wanted.clone() } else { format!("{wanted}/tcp") };
        let bindings = ports.get(&key).and_then(Value::as_array).filter(|list| !list.is_empty());
        let missing =
            || Failure::plain(format!("Error: No public port '{key}' published for {name}"));
        for binding in bindings.ok_or_else(missing)? {
            out::line(address(binding));
        }
        return Ok(0);
    }
    for (port, bindings) in &ports {
        for binding in bindings.as_array().into_iter().flatten() {
            out::line(format!("{port} -> {}", address(binding)));
        }
    }
    Ok(0)
}
