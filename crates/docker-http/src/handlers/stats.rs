//! `GET /containers/{id}/stats`

use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, Numbers, Stamp};
use serde_json::{Map, Value, json};

use super::Handled;
use crate::call::Call;
use crate::refusal::Refusal;
use crate::reply;

/// Streams one sample a second; `stream=0` gives one with its predecessor, `one-shot` without.
pub async fn stats(call: Call) -> Handled {
    let engine = call.face.engine.clone();
    let id = call.param(0).to_owned();
    let stream = call.query.flag_or("stream", true);
    let one_shot = call.query.flag("one-shot");
    if one_shot && stream {
        return Err(Refusal::bad_request("cannot have stream=true and one-shot=true"));
    }
    let first = engine.stats(&id).await?;
    if !stream {
        if one_shot || !first.record.state.phase.is_live() {
            return Ok(reply::ok(&render(&engine, &first, None)));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let second = engine.stats(&id).await?;
        return Ok(reply::ok(&render(&engine, &second, Some(&first))));
    }
    let (tx, reply) = reply::stream("application/json");
    tokio::spawn(async move {
        let mut before = None;
        let mut now = first;
        loop {
            let line = format!("{}\n", render(&engine, &now, before.as_ref()));
            if tx.send(line.into()).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = tx.closed() => return,
            }
            let Ok(next) = engine.stats(&id).await else { return };
            before = Some(std::mem::replace(&mut now, next));
        }
    });
    Ok(reply)
}

fn render(engine: &Arc<Engine>, now: &Numbers, before: Option<&Numbers>) -> Value {
    let live = now.record.state.phase.is_live();
    let read = if live { Stamp(now.stats.at) } else { Stamp::NEVER };
    let previous = before.map_or(Stamp::NEVER, |b| Stamp(b.stats.at));
    let mut out = json!({
        "name": format!("/{}", now.record.name),
        "id": now.record.id,
        "read": read.rfc3339_nano(),
        "preread": previous.rfc3339_nano(),
        "num_procs": 0,
        "pids_stats": {},
        "blkio_stats": blkio(now),
        "storage_stats": {},
        "cpu_stats": {},
        "precpu_stats": {},
        "memory_stats": {},
    });
    out["cpu_stats"] = cpu(engine, live.then_some(now));
    out["precpu_stats"] = cpu(engine, before);
    if live {
        out["pids_stats"] = pids(now);
        out["memory_stats"] = memory(now);
        out["networks"] = networks(now);
    }
    out
}

fn pids(now: &Numbers) -> Value {
    let pids = &now.stats.pids;
    let mut out = json!({ "current": pids.current });
    if let Some(limit) = pids.limit {
        out["limit"] = json!(limit);
    }
    out
}

fn cpu(engine: &Engine, numbers: Option<&Numbers>) -> Value {
    let none = runtime::CpuStats::default();
    let cpu = numbers.map_or(&none, |n| &n.stats.cpu);
    let mut usage = json!({
        "total_usage": cpu.total,
        "usage_in_kernelmode": cpu.system,
        "usage_in_usermode": cpu.user,
    });
    if !cpu.per_cpu.is_empty() {
        usage["percpu_usage"] = json!(cpu.per_cpu);
    }
    let mut out = json!({
        "cpu_usage": usage,
        "throttling_data": {
            "periods": cpu.periods,
            "throttled_periods": cpu.throttled_periods,
            "throttled_time": cpu.throttled,
        },
    });
    if let Some(numbers) = numbers {
        out["system_cpu_usage"] = json!(numbers.system_cpu);
        out["online_cpus"] = json!(engine.machine.cpus);
    }
    out
}

fn memory(now: &Numbers) -> Value {
    let memory = &now.stats.memory;
    // The CLI shows the limit; unlimited is all of the machine's.
    let mut out = json!({
        "usage": memory.usage,
        "stats": memory.stat,
        "limit": memory.limit.min(now.machine_memory),
    });
    if let Some(max) = memory.max_usage {
        out["max_usage"] = json!(max);
    }
    if memory.failcnt > 0 {
        out["failcnt"] = json!(memory.failcnt);
    }
    out
}

fn networks(now: &Numbers) -> Value {
    let one = |link: &net::LinkStats| {
        let row = json!({
            "rx_bytes": link.rx_bytes,
            "rx_packets": link.rx_packets,
            "rx_errors": link.rx_errors,
            "rx_dropped": link.rx_dropped,
            "tx_bytes": link.tx_bytes,
            "tx_packets": link.tx_packets,
            "tx_errors": link.tx_errors,
            "tx_dropped": link.tx_dropped,
        });
        (link.ifname.clone(), row)
    };
    Value::Object(now.links.iter().map(one).collect::<Map<_, _>>())
}

fn blkio(now: &Numbers) -> Value {
    let rows = |pick: &dyn Fn(&runtime::IoStats) -> [(&'static str, u64); 2]| -> Value {
        let of = |io: &runtime::IoStats| {
            pick(io).map(|(op, value)| {
                json!({ "major": io.major, "minor": io.minor, "op": op, "value": value })
            })
        };
        let list: Vec<Value> = now.stats.io.iter().flat_map(of).collect();
        if list.is_empty() { Value::Null } else { Value::Array(list) }
    };
    json!({
        "io_service_bytes_recursive":
            rows(&|io| [("read", io.read_bytes), ("write", io.write_bytes)]),
        "io_serviced_recursive": rows(&|io| [("read", io.reads), ("write", io.writes)]),
        "io_queue_recursive": null,
        "io_service_time_recursive": null,
        "io_wait_time_recursive": null,
        "io_merged_recursive": null,
        "io_time_recursive": null,
        "sectors_recursive": null,
    })
}
