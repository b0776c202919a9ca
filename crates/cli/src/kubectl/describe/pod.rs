//! A pod's page.

use super::sheet::Sheet;
use crate::kubectl::text;
use meta::Value;

pub fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub fn describe(object: &Value, sheet: &mut Sheet) {
    sheet.head(object);
    sheet.row("Priority", object["spec"]["priority"].as_i64().unwrap_or_default().to_string());
    sheet.some("Priority Class Name", text(object, "/spec/priorityClassName"));
    sheet.row("Service Account", text(object, "/spec/serviceAccountName"));
    match text(object, "/spec/nodeName") {
        "" => sheet.row("Node", "<none>"),
        node => sheet.row("Node", format!("{node}/{}", text(object, "/status/hostIP"))),
    }
    sheet.some("Start Time", &date(text(object, "/status/startTime")));
    sheet.map("Labels", &object["metadata"]["labels"], "=");
    sheet.map("Annotations", &object["metadata"]["annotations"], ": ");
    status(object, sheet);
    sheet.row("IP", text(object, "/status/podIP"));
    let ips: Vec<String> = list(object, "/status/podIPs")
        .iter()
        .map(|ip| format!("  IP:\t{}", text(ip, "/ip")))
        .collect();
    match ips.is_empty() {
        true => sheet.row("IPs", "<none>"),
        false => sheet.line(format!("IPs:\n{}", ips.join("\n"))),
    }
    let owner = list(object, "/metadata/ownerReferences").iter().find(|o| o["controller"] == true);
    if let Some(owner) = owner {
        sheet.row(
            "Controlled By",
            format!(" {}/{}", text(owner, "/kind"), text(owner, "/name")).trim(),
        );
    }
    containers(
        "Init Containers",
        list(object, "/spec/initContainers"),
        list(object, "/status/initContainerStatuses"),
        2,
        sheet,
    );
    containers(
        "Containers",
        list(object, "/spec/containers"),
        list(object, "/status/containerStatuses"),
        2,
        sheet,
    );
    containers(
        "Ephemeral Containers",
        list(object, "/spec/ephemeralContainers"),
        list(object, "/status/ephemeralContainerStatuses"),
        2,
        sheet,
    );
    let conditions = list(object, "/status/conditions");
    if !conditions.is_empty() {
        sheet.line("Conditions:\n  Type\tStatus");
        conditions
            .iter()
            .for_each(|c| sheet.line(format!("  {} \t{} ", text(c, "/type"), text(c, "/status"))));
    }
    volumes(list(object, "/spec/volumes"), sheet);
    sheet.row("QoS Class", text(object, "/status/qosClass"));
    sheet.map("Node-Selectors", &object["spec"]["nodeSelector"], "=");
    tolerations(list(object, "/spec/tolerations"), sheet);
}

fn status(object: &Value, sheet: &mut Sheet) {
    match text(object, "/metadata/deletionTimestamp") {
        "" => sheet.row("Status", text(object, "/status/phase")),
        since => {
            let age = crate::out::seconds_since(since).map_or_else(String::new, crate::out::age);
            sheet.row("Status", format!("Terminating (lasts {age})"));
            let grace =
                object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or_default();
            sheet.row("Termination Grace Period", format!("{grace}s"));
        }
    }
    sheet.some("Reason", text(object, "/status/reason"));
    sheet.some("Message", text(object, "/status/message"));
}

/// `Fri, 20 Nov 2026 20:38:01 +0000`
pub fn date(time: &str) -> String {
    let Ok(time) = time.parse::<jiff::Timestamp>() else { return String::new() };
    time.to_zoned(jiff::tz::TimeZone::system()).strftime("%a, %d %b %Y %H:%M:%S %z").to_string()
}

/// Containers of a pod, or of a template; their names stand behind `level` spaces.
pub fn containers(
    title: &str,
    specs: &[Value],
    statuses: &[Value],
    level: usize,
    sheet: &mut Sheet,
) {
    if specs.is_empty() {
        return;
    }
    let (outer, inner) = (" ".repeat(level), "    ".to_owned());
    sheet.line(format!("{title}:"));
    for spec in specs {
        let name = text(spec, "/name");
        sheet.line(format!("{outer}{name}:"));
        let status = statuses.iter().find(|status| text(status, "/name") == name);
        let row =
            |sheet: &mut Sheet, key: &str, value: &str| sheet.row(&format!("{inner}{key}"), value);
        if let Some(status) = status {
            row(sheet, "Container ID", text(status, "/containerID"));
        }
        row(sheet, "Image", text(spec, "/image"));
        if let Some(status) = status {
            row(sheet, "Image ID", text(status, "/imageID"));
        }
        ports(spec, &inner, sheet);
        for (key, path) in [("Command", "/command"), ("Args", "/args")] {
            let words: Vec<&str> = list(spec, path).iter().filter_map(Value::as_str).collect();
            if !words.is_empty() {
                let between = format!("\n{inner}  ");
                sheet.line(format!("{inner}{key}:{between}{}", words.join(&between)));
            }
        }
        if let Some(status) = status {
            states(status, &inner, sheet);
        }
        for (key, path) in [("Limits", "limits"), ("Requests", "requests")] {
            let amounts = spec["resources"][path].as_object().into_iter().flatten();
            let amounts: Vec<_> = amounts.collect();
            if !amounts.is_empty() {
                sheet.line(format!("{inner}{key}:"));
            }
            for (name, amount) in amounts {
                sheet.row(&format!("{inner}  {name}"), amount.as_str().unwrap_or_default());
            }
        }
        for (key, path) in [
            ("Liveness", "livenessProbe"),
            ("Readiness", "readinessProbe"),
            ("Startup", "startupProbe"),
        ] {
            if let Some(probe) = spec.get(path) {
                row(sheet, key, &probed(probe));
            }
        }
        environment(spec, &inner, sheet);
        mounts(spec, &inner, sheet);
    }
}

fn ports(spec: &Value, inner: &str, sheet: &mut Sheet) {
    let all = list(spec, "/ports");
    let joined = |key: &str| {
        let one = |port: &Value| {
            let number = port[key].as_i64().unwrap_or_default();
            format!("{number}/{}", port["protocol"].as_str().unwrap_or("TCP"))
        };
        let text: Vec<String> = all.iter().map(one).collect();
        if text.is_empty() { "<none>".into() } else { text.join(", ") }
    };
    let plural = if all.len() > 1 { "s" } else { "" };
    sheet.row(&format!("{inner}Port{plural}"), joined("containerPort"));
    sheet.row(&format!("{inner}Host Port{plural}"), joined("hostPort"));
}

fn states(status: &Value, inner: &str, sheet: &mut Sheet) {
    state("State", &status["state"], inner, sheet);
    if status["lastState"].as_object().is_some_and(|map| !map.is_empty()) {
        state("Last State", &status["lastState"], inner, sheet);
    }
    let ready = if status["ready"] == true { "True" } else { "False" };
    sheet.row(&format!("{inner}Ready"), ready);
    let count = status["restartCount"].as_i64().unwrap_or_default();
    sheet.row(&format!("{inner}Restart Count"), count.to_string());
}

fn state(key: &str, state: &Value, inner: &str, sheet: &mut Sheet) {
    let row = |sheet: &mut Sheet, key: &str, value: &str| {
        if !value.is_empty() {
            sheet.row(&format!("{inner}  {key}"), value);
        }
    };
    if let Some(running) = state.get("running") {
        sheet.row(&format!("{inner}{key}"), "Running");
        row(sheet, "Started", &date(text(running, "/startedAt")));
    } else if let Some(ended) = state.get("terminated") {
        sheet.row(&format!("{inner}{key}"), "Terminated");
        row(sheet, "Reason", text(ended, "/reason"));
        row(sheet, "Message", text(ended, "/message"));
        row(sheet, "Exit Code", &ended["exitCode"].as_i64().unwrap_or_default().to_string());
        row(sheet, "Started", &date(text(ended, "/startedAt")));
        row(sheet, "Finished", &date(text(ended, "/finishedAt")));
    } else {
        sheet.row(&format!("{inner}{key}"), "Waiting");
        row(sheet, "Reason", text(state, "/waiting/reason"));
    }
}

fn probed(probe: &Value) -> String {
    let number = |key: &str| probe[key].as_i64().unwrap_or_default();
    let times = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        number("initialDelaySeconds"),
        number("timeoutSeconds"),
        number("periodSeconds"),
        number("successThreshold"),
        number("failureThreshold")
    );
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let what = if let Some(get) = probe.get("httpGet") {
        let scheme = get["scheme"].as_str().unwrap_or("HTTP").to_lowercase();
        let path = text(get, "/path").trim_start_matches('/');
        format!("http-get {scheme}://{}:{}/{path}", text(get, "/host"), shown(&get["port"]))
    } else if let Some(exec) = probe.get("exec") {
        let words: Vec<&str> = list(exec, "/command").iter().filter_map(Value::as_str).collect();
        format!("exec [{}]", words.join(" "))
    } else if let Some(socket) = probe.get("tcpSocket") {
        format!("tcp-socket {}:{}", text(socket, "/host"), shown(&socket["port"]))
    } else if let Some(grpc) = probe.get("grpc") {
        format!("grpc <pod>:{} {}", grpc["port"], text(grpc, "/service"))
    } else {
        "unknown".into()
    };
    format!("{what} {times}")
}

fn environment(spec: &Value, inner: &str, sheet: &mut Sheet) {
    let all = list(spec, "/env");
    if all.is_empty() {
        sheet.row(&format!("{inner}Environment"), "<none>");
        return;
    }
    sheet.line(format!("{inner}Environment:"));
    for one in all {
        let from = &one["valueFrom"];
        let value = if let Some(field) = from.get("fieldRef") {
            format!(
                " ({}:{})",
                field["apiVersion"].as_str().unwrap_or("v1"),
                text(field, "/fieldPath")
            )
        } else if let Some(key) = from.get("secretKeyRef") {
            format!("<set to the key '{}' in secret '{}'>", text(key, "/key"), text(key, "/name"))
        } else if let Some(key) = from.get("configMapKeyRef") {
            format!(
                "<set to the key '{}' of config map '{}'>",
                text(key, "/key"),
                text(key, "/name")
            )
        } else {
            text(one, "/value").to_owned()
        };
        sheet.row(&format!("{inner}  {}", text(one, "/name")), value);
    }
}

fn mounts(spec: &Value, inner: &str, sheet: &mut Sheet) {
    let all = list(spec, "/volumeMounts");
    if all.is_empty() {
        sheet.row(&format!("{inner}Mounts"), "<none>");
        return;
    }
    sheet.line(format!("{inner}Mounts:"));
    for one in all {
        let rights = if one["readOnly"] == true { "ro" } else { "rw" };
        let sub = text(one, "/subPath");
        let sub = if sub.is_empty() { String::new() } else { format!(",path=\"{sub}\"") };
        let (path, name) = (text(one, "/mountPath"), text(one, "/name"));
        sheet.line(format!("{inner}  {path} from {name} ({rights}{sub})"));
    }
}

pub fn volumes(all: &[Value], sheet: &mut Sheet) {
    if all.is_empty() {
        return;
    }
    sheet.line("Volumes:");
    for one in all {
        sheet.line(format!("  {}:", text(one, "/name")));
        for (kind, of) in one.as_object().into_iter().flatten().filter(|(key, _)| *key != "name") {
            sheet.row("    Type", kind);
            for (key, value) in of.as_object().into_iter().flatten() {
                if !value.is_object() && !value.is_array() {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    sheet.row(&format!("    {key}"), value);
                }
            }
        }
    }
}

fn tolerations(all: &[Value], sheet: &mut Sheet) {
    let one = |toleration: &Value| {
        let mut line = text(toleration, "/key").to_owned();
        if !text(toleration, "/value").is_empty() {
            line.push_str(&format!("={}", text(toleration, "/value")));
        }
        if !text(toleration, "/effect").is_empty() {
            line.push_str(&format!(":{}", text(toleration, "/effect")));
        }
        if toleration["operator"] == "Exists" && text(toleration, "/value").is_empty() {
            line.push_str(" op=Exists");
        }
        if let Some(seconds) = toleration["tolerationSeconds"].as_i64() {
            line.push_str(&format!(" for {seconds}s"));
        }
        line
    };
    let lines: Vec<String> = all.iter().map(one).collect();
    match lines.is_empty() {
        true => sheet.row("Tolerations", "<none>"),
        false => sheet.row("Tolerations", lines.join("\n\t")),
    }
}
