//! `run`, `create`, `start`, `attach` (docker cli `cli/command/container/run.go`).

use super::session::{Manner, Resizer, Signals, converse};
use super::{each, engine, options, transfer};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use http::Method;
use meta::Value;
use remote::{Docker, Error, Lines, escape};

pub async fn create(call: &Call) -> Result<u8, Failure> {
    let engine = engine(call)?;
    out::line(created(call, &engine).await?.0);
    Ok(0)
}

/// Creates the container a call describes, fetching its image when it is missing: its id, and what was asked for.
async fn created(call: &Call, engine: &Docker) -> Result<(String, Value), Failure> {
    let body = options::body(call)?;
    let image = &call.args[0];
    let mut path = "/containers/create?".to_owned();
    for (flag, key) in [("name", "name"), ("platform", "platform")] {
        if let Some(value) = call.get(flag) {
            path.push_str(&format!("{key}={}&", escape(value)));
        }
    }
    if let Some(file) = call.get("cidfile").filter(|file| std::path::Path::new(file).exists()) {
        let why =
            "container ID file found, make sure the other container isn't running or delete it";
        return Err(Failure::new(format!("write `{file}`"), why).code(125));
    }
    let when = call.get("pull").unwrap_or("missing");
    if when == "always" {
        transfer::fetch(call, engine, image, true).await.map_err(|f| f.code(125))?;
    }
    let answer = match engine.post(&path, Some(&body)).await {
        Err(e) if e.is_not_found() && when == "missing" && names_image(&e) => {
            if !call.has("quiet") {
                let shown = transfer::familiar(image);
                out::write_err(format!("Unable to find image '{shown}' locally\n").as_bytes());
            }
            transfer::fetch(call, engine, image, true).await.map_err(|f| f.code(125))?;
            engine.post(&path, Some(&body)).await
        }
        other => other,
    };
    let answer = answer.map_err(|e| failed("create", image, &e))?;
    for warning in answer["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        out::write_err(format!("WARNING: {warning}\n").as_bytes());
    }
    let id = answer["Id"].as_str().unwrap_or_default().to_owned();
    if let Some(file) = call.get("cidfile") {
        std::fs::write(file, &id)
            .map_err(|e| Failure::new(format!("write `{file}`"), e).code(125))?;
    }
    Ok((id, body))
}

fn names_image(error: &Error) -> bool {
    error.to_string().to_lowercase().contains("no such image")
}

/// What docker makes of an engine's refusal to run: 127 when the program is missing, 126 when it may not run.
fn failed(verb: &str, name: &str, error: &Error) -> Failure {
    let failure = Failure::docker(format!("{verb} a container of `{name}`"), error);
    let text = error.to_string();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let code =
        if verb == "start" && has(&["executable file not found", "no such file or directory"]) {
            127
        } else if verb == "start" && has(&["permission denied", "is a directory"]) {
            126
        } else {
            125
        };
    let plain = failure
        .plain
        .as_ref()
        .map(|plain| format!("docker: {plain}\n\nRun 'docker run --help' for more information"));
    Failure { plain, ..failure }.code(code)
}

pub async fn run(call: &Call) -> Result<u8, Failure> {
    let engine = engine(call)?;
    if call.has("tty")
        && call.has("interactive")
        && !call.has("detach")
        && !crate::term::stdin_is_terminal()
    {
        return Err(Failure::plain("the input device is not a TTY").code(1));
    }
    let (id, body) = created(call, &engine).await?;
    let attached =
        ["AttachStdin", "AttachStdout", "AttachStderr"].iter().any(|key| body[*key] == true);
    if call.has("detach") || !attached {
        start_one(&engine, &id).await.map_err(|e| failed("start", &call.args[0], &e))?;
        out::line(&id);
        return Ok(0);
    }
    let manner = Manner { tty: call.has("tty"), stdin: body["AttachStdin"] == true };
    let streams = |key: &str| body[key] == true;
    let path = attach_path(call, &id, &streams, false);
    let raw =
        engine.hijack(&path, None).await.map_err(|e| failed("attach to", &call.args[0], &e))?;
    let condition = if call.has("rm") { "removed" } else { "next-exit" };
    let wait = waiting(&engine, &id, condition).await.map_err(|e| failed("wait for", &id, &e))?;
    if let Err(e) = start_one(&engine, &id).await {
        if call.has("rm") {
            // It was never started, so nobody else removes it; it may be gone already.
            let _ = engine.delete(&format!("/containers/{id}?v=true&force=true")).await;
        }
        return Err(failed("start", &call.args[0], &e));
    }
    let signals = (!manner.tty && call.get("sig-proxy") != Some("false"))
        .then(|| Signals::start(&engine, &id));
    let resizer = manner.tty.then(|| Resizer::start(&engine, format!("/containers/{id}/resize")));
    converse(raw, manner).await?;
    let code = ended(&engine, &id, manner, wait).await;
    drop((signals, resizer));
    code
}

async fn start_one(engine: &Docker, id: &str) -> Result<(), Error> {
    engine.post(&format!("/containers/{}/start", escape(id)), None).await.map(drop)
}

fn attach_path(call: &Call, id: &str, wants: &dyn Fn(&str) -> bool, logs: bool) -> String {
    let keys = call.get("detach-keys").map(|keys| format!("&detachKeys={}", escape(keys)));
    format!(
        "/containers/{}/attach?stream=1&stdin={}&stdout={}&stderr={}&logs={logs}{}",
        escape(id),
        wants("AttachStdin"),
        wants("AttachStdout"),
        wants("AttachStderr"),
        keys.unwrap_or_default(),
    )
}

/// Starts waiting: the head of the answer comes at once, the exit code later.
async fn waiting(engine: &Docker, id: &str, condition: &str) -> Result<Lines, Error> {
    let path = format!("/containers/{}/wait?condition={condition}", escape(id));
    engine.lines(Method::POST, &path, &[], remote::empty()).await
}

/// The exit code; 0 when the caller detached and the container goes on.
async fn ended(engine: &Docker, id: &str, manner: Manner, mut wait: Lines) -> Result<u8, Failure> {
    if manner.tty && manner.stdin {
        let seen = engine.get(&format!("/containers/{id}/json")).await;
        if seen.is_ok_and(|seen| seen["State"]["Running"] == true) {
            let soon =
                tokio::time::timeout(std::time::Duration::from_millis(200), wait.json()).await;
            return match soon {
                Ok(answer) => exit_code(answer),
                // Its streams ended and it runs on: the detach keys were typed.
                Err(_) => Ok(0),
            };
        }
    }
    exit_code(wait.json().await)
}

fn exit_code(answer: Result<Option<Value>, Error>) -> Result<u8, Failure> {
    let answer = answer.map_err(|e| Failure::docker("wait for the container", &e).code(125))?;
    let answer = answer.ok_or_else(|| {
        Failure::new("wait for the container", "the engine ended the connection").code(125)
    })?;
    if let Some(message) = answer["Error"]["Message"].as_str().filter(|text| !text.is_empty()) {
        return Err(Failure::new("wait for the container", message).code(125));
    }
    Ok(u8::try_from(answer["StatusCode"].as_i64().unwrap_or(125) & 0xff).unwrap_or(125))
}

pub async fn start(call: &Call) -> Result<u8, Failure> {
    let engine = engine(call)?;
    if !call.has("attach") && !call.has("interactive") {
        let start = |name| {
            let engine = engine.clone();
            async move { start_one(&engine, name).await }
        };
        return each(call, "start", start).await;
    }
    if call.args.len() > 1 {
        return Err(Failure::plain("you cannot start and attach multiple containers at once"));
    }
    let name = &call.args[0];
    let seen = inspected(&engine, name).await?;
    let id = seen["Id"].as_str().unwrap_or(name).to_owned();
    let manner = manner(&seen, call.has("interactive"));
    let wants = |key: &str| key != "AttachStdin" || manner.stdin;
    let raw = engine.hijack(&attach_path(call, &id, &wants, false), None).await;
    let raw = raw.map_err(|e| Failure::docker(format!("attach to `{name}`"), &e))?;
    let wait = waiting(&engine, &id, "next-exit").await;
    let wait = wait.map_err(|e| Failure::docker(format!("wait for `{name}`"), &e))?;
    start_one(&engine, &id).await.map_err(|e| Failure::docker(format!("start `{name}`"), &e))?;
    let signals = (!manner.tty).then(|| Signals::start(&engine, &id));
    let resizer = manner.tty.then(|| Resizer::start(&engine, format!("/containers/{id}/resize")));
    converse(raw, manner).await?;
    let code = ended(&engine, &id, manner, wait).await;
    drop((signals, resizer));
    code
}

async fn inspected(engine: &Docker, name: &str) -> Result<Value, Failure> {
    let seen = engine.get(&format!("/containers/{}/json", escape(name))).await;
    seen.map_err(|e| Failure::docker(format!("find the container `{name}`"), &e))
}

fn manner(seen: &Value, stdin: bool) -> Manner {
    let has = |key: &str| seen["Config"][key] == true;
    Manner { tty: has("Tty"), stdin: stdin && has("OpenStdin") }
}

pub async fn attach(call: &Call) -> Result<u8, Failure> {
    let engine = engine(call)?;
    let name = &call.args[0];
    let seen = inspected(&engine, name).await?;
    for (key, state) in
        [("Running", "a stopped"), ("Paused", "a paused"), ("Restarting", "a restarting")]
    {
        if (seen["State"][key] == true) != (key == "Running") {
            let message = format!("cannot attach to {state} container, start it first");
            return Err(Failure::plain(message));
        }
    }
    let id = seen["Id"].as_str().unwrap_or(name).to_owned();
    let manner = manner(&seen, !call.has("no-stdin"));
    let wants = |key: &str| key != "AttachStdin" || manner.stdin;
    let wait = waiting(&engine, &id, "").await;
    let wait = wait.map_err(|e| Failure::docker(format!("wait for `{name}`"), &e))?;
    let raw = engine.hijack(&attach_path(call, &id, &wants, false), None).await;
    let raw = raw.map_err(|e| Failure::docker(format!("attach to `{name}`"), &e))?;
    let proxied = !manner.tty && call.get("sig-proxy") != Some("false");
    let signals = proxied.then(|| Signals::start(&engine, &id));
    let resizer = manner.tty.then(|| Resizer::start(&engine, format!("/containers/{id}/resize")));
    converse(raw, manner).await?;
    let code = ended(&engine, &id, Manner { tty: true, stdin: true }, wait).await;
    drop((signals, resizer));
    code
}
