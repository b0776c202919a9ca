//! Containers as `inspect` and lists show them; moby `api/types/container`.

use std::collections::BTreeMap;

use engine::config::EndpointSettings;
use engine::networks::PublishedPort;
use engine::ports::parse_port;
use engine::record::{MountPoint, Phase, Record, State};
use engine::{ContainerView, Engine, Stamp};
use serde_json::{Value, json};

use crate::version::ApiVersion;

/// One row of `GET /containers/json`.
pub fn row(engine: &Engine, view: &ContainerView, now: Stamp) -> Value {
    let record = &view.record;
    let mut out = json!({
        "Id": record.id,
        "Names": [format!("/{}", record.name)],
        "Image": image_name(engine, record),
        "ImageID": record.image_id,
        "Command": command(record),
        "Created": record.created.secs(),
        "Ports": port_rows(record),
        "Labels": record.config.labels.clone().unwrap_or_default(),
        "State": record.state.phase.word(),
        "Status": record.status_line(now),
        "HostConfig": { "NetworkMode": record.host.network_mode },
        "NetworkSettings": { "Networks": networks(record) },
        "Mounts": mounts(&record.mounts),
    });
    sizes(&mut out, view);
    out
}

fn sizes(out: &mut Value, view: &ContainerView) {
    if let (Some(own), Some(root)) = (view.size_rw, view.size_root) {
        out["SizeRw"] = json!(own);
        out["SizeRootFs"] = json!(root);
    }
}

/// The name the container was made with, or the id when that name means another image by now.
fn image_name(engine: &Engine, record: &Record) -> String {
    match engine.image(&record.config.image) {
        Ok(image) if image.id.as_str() == record.image_id => record.config.image.clone(),
        _ => record.image_id.clone(),
    }
}

fn command(record: &Record) -> String {
    let quoted = |arg: &String| {
        if arg.contains(' ') { format!("'{arg}'") } else { arg.clone() }
    };
    let mut words = vec![record.path.clone()];
    words.extend(record.args.iter().map(quoted));
    words.join(" ")
}

/// Published ports, and exposed ones that are not.
fn port_rows(record: &Record) -> Vec<Value> {
    let mut rows = Vec::new();
    for port in &record.ports {
        if let Some((inside, protocol)) = parse_port(&port.container) {
            rows.push(json!({
                "IP": port.host_ip,
                "PrivatePort": inside,
                "PublicPort": port.host_port,
                "Type": protocol,
            }));
        }
    }
    if record.state.phase.is_live() {
        for (spec, _) in record.config.exposed_ports.iter().flatten() {
            let Some((inside, protocol)) = parse_port(spec) else { continue };
            let key = format!("{inside}/{protocol}");
            if !record.ports.iter().any(|p| p.container == key) {
                rows.push(json!({ "PrivatePort": inside, "Type": protocol }));
            }
        }
    }
    rows
}

fn mounts(list: &[MountPoint]) -> Vec<Value> {
    let one = |m: &MountPoint| {
        let mut out = json!({
            "Type": m.kind,
            "Source": m.source,
            "Destination": m.destination,
            "Mode": m.mode,
            "RW": m.writable,
            "Propagation": m.propagation,
        });
        if m.kind == "volume" || m.kind == "image" {
            out["Name"] = json!(m.name);
        }
        if !m.driver.is_empty() {
            out["Driver"] = json!(m.driver);
        }
        out
    };
    // Those of `--tmpfs` only show in the host configuration.
    list.iter().filter(|m| m.kind != "tmpfs" || m.mode.is_empty()).map(one).collect()
}

/// `GET /containers/{id}/json`
pub fn inspect(engine: &Engine, view: &ContainerView, version: ApiVersion) -> Value {
    let record = &view.record;
    let files = engine.container_dir(&record.id).join("files");
    let file = |name: &str| files.join(name).to_string_lossy().into_owned();
    let execs = engine.exec_ids(&record.id);
    let log = match record.host.log_config.kind.as_str() {
        "none" => String::new(),
        _ => engine.log_path(&record.id).to_string_lossy().into_owned(),
    };
    let mut out = json!({
        "Id": record.id,
        "Created": record.created.rfc3339_nano(),
        "Path": record.path,
        "Args": record.args,
        "State": state(&record.state),
        "Image": record.image_id,
        "ResolvConfPath": file("resolv.conf"),
        "HostnamePath": file("hostname"),
        "HostsPath": file("hosts"),
        "LogPath": log,
        "Name": format!("/{}", record.name),
        "RestartCount": record.state.restart_count,
        "Driver": "overlay2",
        "Platform": record.platform,
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": if execs.is_empty() { json!(null) } else { json!(execs) },
        "HostConfig": record.host,
        "GraphDriver": { "Data": null, "Name": "overlay2" },
        "Mounts": mounts(&record.mounts),
        "Config": record.config,
        "NetworkSettings": network_settings(record),
    });
    if version >= ApiVersion(1, 48) {
        out["ImageManifestDescriptor"] = descriptor(engine, record);
    }
    sizes(&mut out, view);
    out
}

fn descriptor(engine: &Engine, record: &Record) -> Value {
    let image = record.image_id.parse().ok().and_then(|id| engine.images.get(&id).ok());
    image.map_or(Value::Null, |i| json!(i.manifest))
}

fn state(state: &State) -> Value {
    let mut out = json!({
        "Status": state.phase.word(),
        "Running": state.phase.is_running(),
        "Paused": state.phase == Phase::Paused,
        "Restarting": state.phase == Phase::Restarting,
        "OOMKilled": state.oom_killed,
        "Dead": state.phase == Phase::Dead,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": state.started.rfc3339_nano(),
        "FinishedAt": state.finished.rfc3339_nano(),
    });
    if let Some(health) = &state.health {
        let log: Vec<Value> = health
            .log
            .iter()
            .map(|r| {
                json!({
                    "Start": r.start.rfc3339_nano(),
                    "End": r.end.rfc3339_nano(),
                    "ExitCode": r.exit_code,
                    "Output": r.output,
                })
            })
            .collect();
        out["Health"] = json!({
            "Status": health.status.word(),
            "FailingStreak": health.failing_streak,
            "Log": log,
        });
    }
    out
}

/// With the legacy fields of the default bridge at the top.
fn network_settings(record: &Record) -> Value {
    let none = EndpointSettings::default();
    let bridge = record.endpoints.get("bridge").unwrap_or(&none);
    let live = record.state.phase.is_live();
    let sandbox = if live { record.id.clone() } else { String::new() };
    let key = if live { format!("/proc/{}/ns/net", record.state.pid) } else { String::new() };
    json!({
        "Bridge": "",
        "SandboxID": sandbox,
        "SandboxKey": key,
        "Ports": port_map(record),
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": null,
        "SecondaryIPv6Addresses": null,
        "EndpointID": bridge.endpoint_id,
        "Gateway": bridge.gateway,
        "GlobalIPv6Address": bridge.global_ipv6_address,
        "GlobalIPv6PrefixLen": bridge.global_ipv6_prefix_len,
        "IPAddress": bridge.ip_address,
        "IPPrefixLen": bridge.ip_prefix_len,
        "IPv6Gateway": bridge.ipv6_gateway,
        "MacAddress": bridge.mac_address,
        "Networks": networks(record),
    })
}

fn port_map(record: &Record) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    if !record.state.phase.is_live() {
        return out;
    }
    for (spec, _) in record.config.exposed_ports.iter().flatten() {
        if let Some((port, protocol)) = parse_port(spec) {
            out.insert(format!("{port}/{protocol}"), Value::Null);
        }
    }
    for PublishedPort { container, host_ip, host_port } in &record.ports {
        let row = json!({ "HostIp": host_ip, "HostPort": host_port.to_string() });
        match out.get_mut(container) {
            Some(Value::Array(rows)) => rows.push(row),
            _ => drop(out.insert(container.clone(), json!([row]))),
        }
    }
    out
}

/// The endpoints without what is ours alone.
fn networks(record: &engine::record::Record) -> Value {
    let mut shown = json!(record.endpoints);
    for endpoint in shown.as_object_mut().into_iter().flat_map(|o| o.values_mut()) {
        endpoint.as_object_mut().map(|fields| fields.remove("WantedMac"));
    }
    shown
}
