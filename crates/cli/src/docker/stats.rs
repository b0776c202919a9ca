//! `stats`.

use super::engine;
use super::format::{Sheet, short, text};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use meta::Value;
use remote::{Docker, Error, escape};
use serde_json::json;

const SHEET: Sheet = Sheet {
    fields: &[
        ("Container", "CONTAINER"),
        ("ID", "CONTAINER ID"),
        ("Name", "NAME"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ],
    columns: &["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"],
    quiet: "ID",
};

pub async fn stats(call: &Call) -> Result<u8, Failure> {
    let engine = engine(call)?;
    loop {
        let names =
            names(call, &engine).await.map_err(|e| Failure::docker("list containers", &e))?;
        let mut rows = Vec::new();
        for sample in samples(&engine, names).await {
            match sample {
                Ok(row) => rows.push(row),
                Err((name, e)) if call.args.contains(&name) => {
                    return Err(Failure::docker(format!("measure `{name}`"), &e));
                }
                // It ended meanwhile.
                Err(_) => {}
            }
        }
        if !call.has("no-stream") && out::is_terminal() {
            out::write(b"\x1b[H\x1b[2J");
        }
        SHEET.print(call, SHEET.columns, &rows)?;
        if call.has("no-stream") {
            return Ok(0);
        }
        if rows.is_empty() {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }
}

async fn names(call: &Call, engine: &Docker) -> Result<Vec<String>, Error> {
    if !call.args.is_empty() {
        return Ok(call.args.clone());
    }
    let list = engine.get(&format!("/containers/json?all={}", call.has("all"))).await?;
    Ok(list.as_array().into_iter().flatten().map(|one| text(&one["Id"])).collect())
}

/// One sample of each at the same time; the engine takes a second for each.
async fn samples(engine: &Docker, names: Vec<String>) -> Vec<Result<Value, (String, Error)>> {
    let mut tasks = Vec::new();
    for name in names {
        let engine = engine.clone();
        tasks.push(tokio::spawn(async move {
            let path = format!("/containers/{}/stats?stream=false", escape(&name));
            engine.get(&path).await.map(|sample| row(&name, &sample)).map_err(|e| (name, e))
        }));
    }
    let mut out = Vec::new();
    for task in tasks {
        if let Ok(sample) = task.await {
            out.push(sample);
        }
    }
    out
}

fn row(asked: &str, sample: &Value) -> Value {
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let memory = &sample["memory_stats"];
    let inactive = ["total_inactive_file", "inactive_file"]
        .iter()
        .find_map(|key| memory["stats"][*key].as_f64())
        .unwrap_or_default();
    let used = (number(&memory["usage"]) - inactive).max(0.0);
    let limit = number(&memory["limit"]);
    let percent = if limit > 0.0 { used / limit * 100.0 } else { 0.0 };
    let networks = sample["networks"].as_object().into_iter().flatten();
    let (received, sent) = networks.fold((0.0, 0.0), |(r, s), (_, one)| {
        (r + number(&one["rx_bytes"]), s + number(&one["tx_bytes"]))
    });
    json!({
        "Container": asked,
        "ID": short(sample["id"].as_str().unwrap_or(asked)),
        "Name": text(&sample["name"]).trim_start_matches('/'),
        "CPUPerc": format!("{:.2}%", cpu(sample)),
        "MemUsage": format!("{} / {}", out::size_binary(used), out::size_binary(limit)),
        "MemPerc": format!("{percent:.2}%"),
        "NetIO": format!("{} / {}", out::size(received, 3), out::size(sent, 3)),
        "BlockIO": blocks(sample),
        "PIDs": sample["pids_stats"]["current"].as_u64().unwrap_or_default().to_string(),
    })
}

/// Percent of one CPU since the sample before.
fn cpu(sample: &Value) -> f64 {
    let at = |which: &str, key: &str| match key {
        "total" => sample[which]["cpu_usage"]["total_usage"].as_f64().unwrap_or_default(),
        _ => sample[which]["system_cpu_usage"].as_f64().unwrap_or_default(),
    };
    let used = at("cpu_stats", "total") - at("precpu_stats", "total");
    let passed = at("cpu_stats", "system") - at("precpu_stats", "system");
    let cpus = sample["cpu_stats"]["online_cpus"].as_f64().unwrap_or(1.0);
    if used > 0.0 && passed > 0.0 { used / passed * cpus * 100.0 } else { 0.0 }
}

fn blocks(sample: &Value) -> String {
    let rows = sample["blkio_stats"]["io_service_bytes_recursive"].as_array();
    let sum = |op: &str| {
        let rows = rows.into_iter().flatten();
        let of = rows.filter(|row| row["op"].as_str().is_some_and(|o| o.eq_ignore_ascii_case(op)));
        of.filter_map(|row| row["value"].as_f64()).sum::<f64>()
    };
    format!("{} / {}", out::size(sum("read"), 3), out::size(sum("write"), 3))
}
