//! `exec`.

use super::session::{Manner, Resizer, converse};
use super::{engine, options};
use crate::failure::Failure;
use crate::parse::Call;
use remote::escape;
use serde_json::json;

pub async fn exec(call: &Call) -> Result<u8, Failure> {
    let engine = engine(call)?;
    let (name, command) = call.args.split_first().expect("the row asks for two");
    let what = || format!("run a command in `{name}`");
    let failed = |e: remote::Error| Failure::docker(what(), &e);
    let detach = call.has("detach");
    let manner = Manner { tty: call.has("tty"), stdin: call.has("interactive") && !detach };
    if manner.tty && manner.stdin && !crate::term::stdin_is_terminal() {
        return Err(Failure::plain("the input device is not a TTY"));
    }
    let mut body = json!({
        "AttachStdin": manner.stdin, "AttachStdout": !detach, "AttachStderr": !detach,
        "Tty": manner.tty, "Privileged": call.has("privileged"), "Cmd": command,
        "Env": options::environment(call)?,
    });
    for (flag, key) in [("user", "User"), ("workdir", "WorkingDir"), ("detach-keys", "DetachKeys")]
    {
        if let Some(value) = call.get(flag) {
            body[key] = value.into();
        }
    }
    let path = format!("/containers/{}/exec", escape(name));
    let created = engine.post(&path, Some(&body)).await.map_err(failed)?;
    let id = created["Id"].as_str().unwrap_or_default();
    let start = json!({ "Detach": detach, "Tty": manner.tty });
    let path = format!("/exec/{id}/start");
    if detach {
        engine.post(&path, Some(&start)).await.map_err(failed)?;
        return Ok(0);
    }
    let raw = engine.hijack(&path, Some(&start)).await.map_err(|e| not_run(what(), &e))?;
    let resizer = manner.tty.then(|| Resizer::start(&engine, format!("/exec/{id}/resize")));
    converse(raw, manner).await?;
    drop(resizer);
    let seen = engine.get(&format!("/exec/{id}/json")).await.map_err(failed)?;
    Ok(u8::try_from(seen["ExitCode"].as_i64().unwrap_or(0) & 0xff).unwrap_or(1))
}

fn not_run(what: String, error: &remote::Error) -> Failure {
    let text = error.to_string();
    let code = if text.contains("executable file not found") || text.contains("no such file") {
        127
    } else if text.contains("permission denied") {
        126
    } else {
        1
    };
    Failure::docker(what, error).code(code)
}
