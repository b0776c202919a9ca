//! Requests from a file, and waiting until a list is empty: for whoever needs objects of its own.

use crate::connection::{Target, request};
use crate::{Args, Result, percentiles};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Sends every line of `--file` (`METHOD PATH BODY`) over `--clients` connections, in order of the file as far as
/// several connections allow.
pub async fn replay(args: &Args) -> Result<Value> {
    let target = Target::of(args.text("kubeconfig")?)?;
    let text = std::fs::read_to_string(args.text("file")?)?;
    let lines: Vec<Vec<u8>> = text.lines().map(parse).collect::<Result<_>>()?;
    let (count, began) = (lines.len(), Instant::now());
    let left = Rc::new(RefCell::new(lines.into_iter()));
    let mut tasks = Vec::new();
    for _ in 0..args.number("clients")? {
        let (mut connection, left) = (target.connect().await?, left.clone());
        tasks.push(tokio::task::spawn_local(async move {
            let (mut took, mut body) = (Vec::new(), Vec::new());
            loop {
                let next = left.borrow_mut().next();
                let Some(wanted) = next else { return Ok::<_, String>(took) };
                let began = Instant::now();
                let code = connection.ask(&wanted, &mut body).await.map_err(|e| e.to_string())?;
                if !(200..300).contains(&code) {
                    return Err(format!("answered {code}: {}", String::from_utf8_lossy(&body)));
                }
                took.push(began.elapsed());
            }
        }));
    }
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await??);
    }
    Ok(json!({ "done": count, "seconds": began.elapsed().as_secs_f64(), "us": percentiles(took) }))
}

fn parse(line: &str) -> Result<Vec<u8>> {
    let mut parts = line.splitn(3, ' ');
    let (Some(method), Some(path), Some(body)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!("not METHOD PATH BODY: {line}").into());
    };
    Ok(request(method, path, "application/json", body.as_bytes()))
}

/// Lists `--path` until it is empty, at most `--seconds`; tells how long that took and what is left.
pub async fn drained(args: &Args) -> Result<Value> {
    let target = Target::of(args.text("kubeconfig")?)?;
    let wanted = request("GET", args.text("path")?, "application/json", b"");
    let (mut connection, mut body) = (target.connect().await?, Vec::new());
    let (began, limit) = (Instant::now(), args.span()?);
    loop {
        let code = connection.ask(&wanted, &mut body).await?;
        if code != 200 {
            return Err(format!("answered {code}: {}", String::from_utf8_lossy(&body)).into());
        }
        let list: Value = serde_json::from_slice(&body)?;
        let left = list["items"].as_array().map_or(0, Vec::len);
        if left == 0 || began.elapsed() > limit {
            return Ok(json!({ "left": left, "seconds": began.elapsed().as_secs_f64() }));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
