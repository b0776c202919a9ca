//! The options of `run` and `create`, and what they mean to the API (docker cli `cli/command/container/opts.go`).

use super::{mounts, ports};
use crate::command::{Flag, many, on, one, perhaps};
use crate::failure::Failure;
use crate::parse::Call;
use meta::{GoDuration, Map, Value};
use serde_json::json;

/// Limits that `update` changes too.
pub const LIMITS: &[Flag] = &[
    one("blkio-weight", None, "10..1000", "Share of block IO"),
    one("cpu-period", None, "MICROSECONDS", "Period of the CPU quota"),
    one("cpu-quota", None, "MICROSECONDS", "CPU time per period"),
    one("cpu-shares", Some('c'), "N", "Share of the CPU when it is scarce"),
    one("cpus", None, "NUMBER", "How many CPUs' time"),
    one("cpuset-cpus", None, "LIST", "On which CPUs: 0-2,4"),
    one("cpuset-mems", None, "LIST", "On which memory nodes"),
    one("memory", Some('m'), "BYTES", "Memory: 256m, 2g"),
    one("memory-reservation", None, "BYTES", "Memory that is left to it when memory is scarce"),
    one("memory-swap", None, "BYTES", "Memory and swap together; -1 for any"),
    one("pids-limit", None, "N", "Processes; -1 for any"),
    one("restart", None, "POLICY", "no, on-failure[:N], always or unless-stopped"),
];

pub const FLAGS: &[Flag] = &[
    many("add-host", None, "NAME:IP", "A line of /etc/hosts"),
    many("annotation", None, "KEY=VALUE", "An annotation for the runtime"),
    many("attach", Some('a'), "STREAM", "Only stdin, stdout or stderr"),
    one("blkio-weight", None, "10..1000", "Share of block IO"),
    many("cap-add", None, "NAME", "A capability more"),
    many("cap-drop", None, "NAME", "A capability less"),
    one("cgroup-parent", None, "PATH", "Below which cgroup"),
    one("cgroupns", None, "MODE", "host or private"),
    one("cidfile", None, "FILE", "Write the id there"),
    one("cpu-period", None, "MICROSECONDS", "Period of the CPU quota"),
    one("cpu-quota", None, "MICROSECONDS", "CPU time per period"),
    one("cpu-shares", Some('c'), "N", "Share of the CPU when it is scarce"),
    one("cpus", None, "NUMBER", "How many CPUs' time"),
    one("cpuset-cpus", None, "LIST", "On which CPUs: 0-2,4"),
    one("cpuset-mems", None, "LIST", "On which memory nodes"),
    many("device", None, "HOST[:INSIDE[:rwm]]", "A device of this machine"),
    many("device-cgroup-rule", None, "RULE", "What devices it may use: c 1:3 rwm"),
    many("dns", None, "IP", "A name server"),
    many("dns-option", None, "OPTION", "An option of resolv.conf"),
    many("dns-search", None, "DOMAIN", "A domain to search"),
    one("domainname", None, "NAME", "Its domain"),
    one("entrypoint", None, "PROGRAM", "Instead of the image's entry point"),
    many("env", Some('e'), "NAME[=VALUE]", "Set a variable, or hand one on"),
    many("env-file", None, "FILE", "Variables from a file"),
    many("expose", None, "PORT[/PROTOCOL]", "A port it serves"),
    one("gpus", None, "all|N", "Graphics cards"),
    many("group-add", None, "GROUP", "A group more"),
    one("health-cmd", None, "COMMAND", "Tells whether it is healthy"),
    one("health-interval", None, "DURATION", "How often"),
    one("health-retries", None, "N", "How many failures make it unhealthy"),
    one("health-start-interval", None, "DURATION", "How often while it starts"),
    one("health-start-period", None, "DURATION", "How long it may take to start"),
    one("health-timeout", None, "DURATION", "How long the command may take"),
    one("hostname", Some('h'), "NAME", "Its name"),
    on("init", None, "With an init process"),
    on("interactive", Some('i'), "Hand standard input on"),
    one("ip", None, "IP", "Its address in the network"),
    one("ip6", None, "IP", "Its IPv6 address in the network"),
    one("ipc", None, "MODE", "none, private, shareable, host or container:NAME"),
    many("label", Some('l'), "KEY[=VALUE]", "A label"),
    many("label-file", None, "FILE", "Labels from a file"),
    many("link", None, "NAME[:ALIAS]", "A link to another container"),
    one("log-driver", None, "NAME", "json-file, local or none"),
    many("log-opt", None, "KEY=VALUE", "An option of the log driver"),
    one("mac-address", None, "MAC", "Its hardware address"),
    one("memory", Some('m'), "BYTES", "Memory: 256m, 2g"),
    one("memory-reservation", None, "BYTES", "Memory that is left to it when memory is scarce"),
    one("memory-swap", None, "BYTES", "Memory and swap together; -1 for any"),
    one("memory-swappiness", None, "0..100", "How willingly it is swapped"),
    many("mount", None, "type=...,target=...", "A bind, volume or tmpfs"),
    one("name", None, "NAME", "Its name"),
    many("network", None, "NAME", "bridge, host, none, container:NAME or a network's name"),
    many("net", None, "NAME", "The same as --network"),
    many("network-alias", None, "NAME", "Another name in the network"),
    on("no-healthcheck", None, "Without the image's health check"),
    on("oom-kill-disable", None, "Let it hang when memory ends"),
    one("oom-score-adj", None, "-1000..1000", "How early the kernel kills it"),
    one("pid", None, "MODE", "host or container:NAME"),
    one("pids-limit", None, "N", "Processes; -1 for any"),
    one("platform", None, "OS/ARCH", "For which platform"),
    on("privileged", None, "With all rights"),
    many(
        "publish",
        Some('p'),
        "[[IP:]HOST:]PORT[/PROTOCOL]",
        "A port of this machine for one of its",
    ),
    on("publish-all", Some('P'), "Any free ports for all it exposes"),
    one("pull", None, "WHEN", "always, missing or never"),
    on("quiet", Some('q'), "No progress of the pull"),
    on("read-only", None, "With a root file system that cannot be written"),
    one("restart", None, "POLICY", "no, on-failure[:N], always or unless-stopped"),
    on("rm", None, "Remove it when it ends"),
    one("runtime", None, "NAME", "Which runtime"),
    many("security-opt", None, "KEY=VALUE", "no-new-privileges, seccomp=FILE|unconfined ..."),
    one("shm-size", None, "BYTES", "Size of /dev/shm"),
    one("stop-signal", None, "SIGNAL", "What stops it"),
    one("stop-timeout", None, "SECONDS", "How long it may take to stop"),
    many("storage-opt", None, "KEY=VALUE", "An option of the storage driver"),
    many("sysctl", None, "NAME=VALUE", "A kernel parameter of its namespaces"),
    many("tmpfs", None, "PATH[:OPTIONS]", "A file system in memory"),
    on("tty", Some('t'), "With a terminal"),
    many("ulimit", None, "NAME=SOFT[:HARD]", "A limit of its processes"),
    one("user", Some('u'), "USER[:GROUP]", "As whom"),
    one("userns", None, "MODE", "host"),
    one("uts", None, "MODE", "host"),
    many("volume", Some('v'), "SOURCE:TARGET[:OPTIONS]", "A directory or volume"),
    one("volume-driver", None, "NAME", "Driver of new volumes"),
    many("volumes-from", None, "CONTAINER[:ro]", "The same volumes as another"),
    one("workdir", Some('w'), "DIR", "Where its command starts"),
    perhaps("use-api-socket", "BOOL", "true", "Hand the engine's socket in"),
];

/// The body of `POST /containers/create`.
///
/// # Errors
/// The option that cannot be understood.
pub fn body(call: &Call) -> Result<Value, Failure> {
    if call.has("use-api-socket") {
        return Err(call.bad_value("use-api-socket", "true", "mount the socket with -v instead"));
    }
    let (image, command) = call.args.split_first().expect("the row asks for an image");
    let mut body = Map::new();
    body.insert("Image".into(), image.as_str().into());
    if !command.is_empty() {
        body.insert("Cmd".into(), command.into());
    }
    texts(
        call,
        &mut body,
        &[
            ("hostname", "Hostname"),
            ("domainname", "Domainname"),
            ("user", "User"),
            ("workdir", "WorkingDir"),
            ("stop-signal", "StopSignal"),
        ],
    );
    if let Some(entrypoint) = call.get("entrypoint") {
        let list = if entrypoint.is_empty() { json!([""]) } else { json!([entrypoint]) };
        body.insert("Entrypoint".into(), list);
    }
    streams(call, &mut body);
    body.insert("Env".into(), environment(call)?.into());
    body.insert("Labels".into(), labels(call)?);
    if let Some(seconds) = call.number::<i64>("stop-timeout")? {
        body.insert("StopTimeout".into(), seconds.into());
    }
    if let Some(health) = health(call)? {
        body.insert("Healthcheck".into(), health);
    }
    let mut host = limits(call)?;
    host_options(call, &mut host)?;
    networks(call, &mut body, &mut host)?;
    published(call, &mut body, &mut host)?;
    mounts::options(call, &mut body, &mut host)?;
    body.insert("HostConfig".into(), Value::Object(host));
    Ok(Value::Object(body))
}

fn texts(call: &Call, into: &mut Map, rows: &[(&str, &str)]) {
    for (flag, key) in rows {
        if let Some(value) = call.get(flag) {
            into.insert((*key).into(), value.into());
        }
    }
}

fn lists(call: &Call, into: &mut Map, rows: &[(&str, &str)]) {
    for (flag, key) in rows {
        if !call.all(flag).is_empty() {
            into.insert((*key).into(), call.all(flag).into());
        }
    }
}

/// Which streams the caller has anything to do with.
fn streams(call: &Call, body: &mut Map) {
    let detached = call.command.name == "run" && call.has("detach");
    let named = call.all("attach");
    let wants = |stream: &str| match named.is_empty() {
        true => !detached && (stream != "stdin" || call.has("interactive")),
        false => named.iter().any(|name| name.eq_ignore_ascii_case(stream)),
    };
    body.insert("AttachStdin".into(), wants("stdin").into());
    body.insert("AttachStdout".into(), wants("stdout").into());
    body.insert("AttachStderr".into(), wants("stderr").into());
    body.insert("Tty".into(), call.has("tty").into());
    body.insert("OpenStdin".into(), call.has("interactive").into());
    body.insert("StdinOnce".into(), (call.has("interactive") && !detached).into());
}

/// `-e NAME` hands the caller's own on; files come first.
pub fn environment(call: &Call) -> Result<Vec<String>, Failure> {
    let mut out = Vec::new();
    for file in call.all("env-file") {
        out.extend(lines(call, "env-file", file)?.iter().filter_map(|line| variable(line)));
    }
    out.extend(call.all("env").iter().filter_map(|line| variable(line)));
    Ok(out)
}

fn variable(line: &str) -> Option<String> {
    if line.contains('=') {
        return Some(line.to_owned());
    }
    std::env::var(line).ok().map(|value| format!("{line}={value}"))
}

fn lines(call: &Call, flag: &str, file: &str) -> Result<Vec<String>, Failure> {
    let text =
        std::fs::read_to_string(file).map_err(|e| call.bad_value(flag, file, &e.to_string()))?;
    let lines =
        text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

fn labels(call: &Call) -> Result<Value, Failure> {
    let mut all = Vec::new();
    for file in call.all("label-file") {
        all.extend(lines(call, "label-file", file)?);
    }
    all.extend(call.all("label").iter().cloned());
    Ok(pairs(&all))
}

/// `KEY=VALUE` each, the value perhaps missing, as a map.
pub fn pairs(list: &[String]) -> Value {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), Value::from(value))
    };
    Value::Object(list.iter().map(pair).collect())
}

fn health(call: &Call) -> Result<Option<Value>, Failure> {
    if call.has("no-healthcheck") {
        return Ok(Some(json!({ "Test": ["NONE"] })));
    }
    let mut out = Map::new();
    if let Some(command) = call.get("health-cmd") {
        out.insert("Test".into(), json!(["CMD-SHELL", command]));
    }
    for (flag, key) in [
        ("health-interval", "Interval"),
        ("health-timeout", "Timeout"),
        ("health-start-period", "StartPeriod"),
        ("health-start-interval", "StartInterval"),
    ] {
        if let Some(text) = call.get(flag) {
            out.insert(key.into(), nanoseconds(call, flag, text)?.into());
        }
    }
    if let Some(retries) = call.number::<i64>("health-retries")? {
        out.insert("Retries".into(), retries.into());
    }
    Ok((!out.is_empty()).then_some(Value::Object(out)))
}

fn nanoseconds(call: &Call, flag: &str, text: &str) -> Result<i64, Failure> {
    let duration = GoDuration::parse(text).map_err(|why| call.bad_value(flag, text, &why))?;
    Ok(duration.0)
}

/// Limits as `HostConfig` has them.
///
/// # Errors
/// The option that cannot be understood.
pub fn limits(call: &Call) -> Result<Map, Failure> {
    let mut host = Map::new();
    for (flag, key) in [
        ("memory", "Memory"),
        ("memory-reservation", "MemoryReservation"),
        ("memory-swap", "MemorySwap"),
    ] {
        if let Some(text) = call.get(flag) {
            let bytes = if text == "-1" { Some(-1) } else { bytes(text) };
            let bytes = bytes.ok_or_else(|| call.bad_value(flag, text, "invalid size"))?;
            host.insert(key.into(), bytes.into());
        }
    }
    for (flag, key) in [
        ("cpu-period", "CpuPeriod"),
        ("cpu-quota", "CpuQuota"),
        ("cpu-shares", "CpuShares"),
        ("blkio-weight", "BlkioWeight"),
        ("pids-limit", "PidsLimit"),
    ] {
        if let Some(number) = call.number::<i64>(flag)? {
            host.insert(key.into(), number.into());
        }
    }
    if let Some(cpus) = call.number::<f64>("cpus")? {
        host.insert("NanoCpus".into(), ((cpus * 1e9).round() as i64).into());
    }
    texts(call, &mut host, &[("cpuset-cpus", "CpusetCpus"), ("cpuset-mems", "CpusetMems")]);
    if let Some(policy) = call.get("restart") {
        host.insert("RestartPolicy".into(), restart(call, policy)?);
    }
    Ok(host)
}

fn restart(call: &Call, policy: &str) -> Result<Value, Failure> {
    let (name, count) = policy.split_once(':').unwrap_or((policy, "0"));
    let count: u32 = count
        .parse()
        .map_err(|_| call.bad_value("restart", policy, "maximum retry count must be an integer"))?;
    Ok(json!({ "Name": name, "MaximumRetryCount": count }))
}

/// `256m` in bytes (docker/go-units `RAMInBytes`).
pub fn bytes(text: &str) -> Option<i64> {
    let lower = text.trim().to_lowercase();
    let number_len = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let number: f64 = lower[..number_len].parse().ok()?;
    let unit = lower[number_len..].trim().trim_end_matches('b').trim_end_matches('i');
    let power = ["", "k", "m", "g", "t", "p"].iter().position(|known| *known == unit)?;
    Some((number * 1024_f64.powi(i32::try_from(power).ok()?)) as i64)
}

fn host_options(call: &Call, host: &mut Map) -> Result<(), Failure> {
    texts(
        call,
        host,
        &[
            ("cgroup-parent", "CgroupParent"),
            ("cgroupns", "CgroupnsMode"),
            ("ipc", "IpcMode"),
            ("pid", "PidMode"),
            ("userns", "UsernsMode"),
            ("uts", "UTSMode"),
            ("runtime", "Runtime"),
            ("volume-driver", "VolumeDriver"),
        ],
    );
    lists(
        call,
        host,
        &[
            ("add-host", "ExtraHosts"),
            ("cap-add", "CapAdd"),
            ("cap-drop", "CapDrop"),
            ("device-cgroup-rule", "DeviceCgroupRules"),
            ("dns", "Dns"),
            ("dns-option", "DnsOptions"),
            ("dns-search", "DnsSearch"),
            ("group-add", "GroupAdd"),
            ("link", "Links"),
        ],
    );
    for (flag, key) in [
        ("rm", "AutoRemove"),
        ("privileged", "Privileged"),
        ("publish-all", "PublishAllPorts"),
        ("read-only", "ReadonlyRootfs"),
        ("oom-kill-disable", "OomKillDisable"),
    ] {
        if call.has(flag) {
            host.insert(key.into(), true.into());
        }
    }
    if call.get("init").is_some() {
        host.insert("Init".into(), call.has("init").into());
    }
    for (flag, key) in [("memory-swappiness", "MemorySwappiness"), ("oom-score-adj", "OomScoreAdj")]
    {
        if let Some(number) = call.number::<i64>(flag)? {
            host.insert(key.into(), number.into());
        }
    }
    for (flag, key) in
        [("sysctl", "Sysctls"), ("storage-opt", "StorageOpt"), ("annotation", "Annotations")]
    {
        if !call.all(flag).is_empty() {
            host.insert(key.into(), pairs(call.all(flag)));
        }
    }
    if call.get("log-driver").is_some() || !call.all("log-opt").is_empty() {
        let driver = call.get("log-driver").unwrap_or_default();
        let config = json!({ "Type": driver, "Config": pairs(call.all("log-opt")) });
        host.insert("LogConfig".into(), config);
    }
    host.insert("SecurityOpt".into(), security(call)?.into());
    special(call, host)
}

/// Options with a grammar of their own.
fn special(call: &Call, host: &mut Map) -> Result<(), Failure> {
    if let Some(text) = call.get("shm-size") {
        let bytes = bytes(text).ok_or_else(|| call.bad_value("shm-size", text, "invalid size"))?;
        host.insert("ShmSize".into(), bytes.into());
    }
    let devices = call.all("device").iter().map(|text| device(text));
    host.insert("Devices".into(), devices.collect());
    let mut limits = Vec::new();
    for text in call.all("ulimit") {
        let bad = || call.bad_value("ulimit", text, "it is NAME=SOFT[:HARD]");
        limits.push(ulimit(text).ok_or_else(bad)?);
    }
    host.insert("Ulimits".into(), limits.into());
    if let Some(gpus) = call.get("gpus") {
        let count = if gpus == "all" { -1 } else { gpus.parse().unwrap_or(1) };
        let wish = json!([{ "Driver": "", "Count": count, "Capabilities": [["gpu"]] }]);
        host.insert("DeviceRequests".into(), wish);
    }
    Ok(())
}

fn device(text: &str) -> Value {
    let mut parts = text.splitn(3, ':');
    let outside = parts.next().unwrap_or_default();
    let (mut inside, mut rights) = (outside, "rwm");
    let is_rights = |word: &str| !word.is_empty() && word.chars().all(|c| "rwm".contains(c));
    match (parts.next(), parts.next()) {
        (Some(word), None) if is_rights(word) => rights = word,
        (Some(path), None) => inside = path,
        (Some(path), Some(word)) => (inside, rights) = (path, word),
        _ => {}
    }
    json!({ "PathOnHost": outside, "PathInContainer": inside, "CgroupPermissions": rights })
}

fn ulimit(text: &str) -> Option<Value> {
    let (name, limits) = text.split_once('=')?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let (soft, hard): (i64, i64) = (soft.parse().ok()?, hard.parse().ok()?);
    Some(json!({ "Name": name, "Soft": soft, "Hard": hard }))
}

/// A seccomp profile is read here: its file is the caller's.
fn security(call: &Call) -> Result<Vec<String>, Failure> {
    let mut out = Vec::new();
    for text in call.all("security-opt") {
        let (key, value) =
            text.split_once('=').or_else(|| text.split_once(':')).unwrap_or((text, ""));
        if key == "seccomp" && !matches!(value, "unconfined" | "builtin") {
            let profile = std::fs::read_to_string(value);
            let profile =
                profile.map_err(|e| call.bad_value("security-opt", text, &e.to_string()))?;
            out.push(format!("seccomp={profile}"));
        } else {
            out.push(text.clone());
        }
    }
    Ok(out)
}

fn networks(call: &Call, body: &mut Map, host: &mut Map) -> Result<(), Failure> {
    let named: Vec<&String> = call.all("network").iter().chain(call.all("net")).collect();
    let first = named.first().map_or("default", |name| name.as_str());
    let options = |text: &str| -> Result<(String, Value), Failure> {
        if !text.contains('=') {
            return Ok((text.to_owned(), json!({})));
        }
        network_options(text)
            .ok_or_else(|| call.bad_value("network", text, "it is NAME or name=NAME,..."))
    };
    let (mode, mut endpoint) = options(first)?;
    host.insert("NetworkMode".into(), mode.as_str().into());
    if !call.all("network-alias").is_empty() {
        endpoint["Aliases"] = call.all("network-alias").into();
    }
    for (flag, key) in [("ip", "IPv4Address"), ("ip6", "IPv6Address")] {
        if let Some(address) = call.get(flag) {
            endpoint["IPAMConfig"][key] = address.into();
        }
    }
    if let Some(address) = call.get("mac-address") {
        endpoint["MacAddress"] = address.into();
        body.insert("MacAddress".into(), address.into());
    }
    let mut endpoints = Map::new();
    if endpoint.as_object().is_some_and(|map| !map.is_empty()) {
        endpoints.insert(mode, endpoint);
    }
    for text in named.iter().skip(1) {
        let (name, endpoint) = options(text)?;
        endpoints.insert(name, endpoint);
    }
    if named.len() > 1 && !endpoints.contains_key(first) {
        endpoints.insert(first.to_owned(), json!({}));
    }
    body.insert("NetworkingConfig".into(), json!({ "EndpointsConfig": endpoints }));
    Ok(())
}

/// `name=shop,alias=db,ip=10.9.0.7`
fn network_options(text: &str) -> Option<(String, Value)> {
    let (mut name, mut endpoint) = (None, json!({}));
    for part in text.split(',') {
        let (key, value) = part.split_once('=')?;
        match key {
            "name" => name = Some(value.to_owned()),
            "alias" => match endpoint["Aliases"].as_array_mut() {
                Some(list) => list.push(value.into()),
                None => endpoint["Aliases"] = json!([value]),
            },
            "ip" => endpoint["IPAMConfig"]["IPv4Address"] = value.into(),
            "ip6" => endpoint["IPAMConfig"]["IPv6Address"] = value.into(),
            "mac-address" => endpoint["MacAddress"] = value.into(),
            "driver-opt" => {
                let (key, value) = value.split_once('=')?;
                endpoint["DriverOpts"][key] = value.into();
            }
            _ => return None,
        }
    }
    Some((name?, endpoint))
}

fn published(call: &Call, body: &mut Map, host: &mut Map) -> Result<(), Failure> {
    let (mut exposed, mut bindings) = (Map::new(), Map::new());
    for text in call.all("publish") {
        ports::published(text, &mut exposed, &mut bindings)
            .map_err(|why| call.bad_value("publish", text, &why))?;
    }
    for text in call.all("expose") {
        ports::published(text, &mut exposed, &mut Map::new())
            .map_err(|why| call.bad_value("expose", text, &why))?;
    }
    body.insert("ExposedPorts".into(), Value::Object(exposed));
    host.insert("PortBindings".into(), Value::Object(bindings));
    Ok(())
}
