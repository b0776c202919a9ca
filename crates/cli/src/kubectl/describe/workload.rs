//! Pages of Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs and Services.

use super::Page;
use super::pod::{self, date, list};
use super::sheet::Sheet;
use crate::failure::Failure;
use crate::kubectl::text;
use meta::Value;
use remote::escape;

fn number(object: &Value, path: &str) -> i64 {
    object.pointer(path).and_then(Value::as_i64).unwrap_or_default()
}

/// `a=b,c in (d)`
fn selector(value: &Value) -> String {
    let labels = value["matchLabels"].as_object().into_iter().flatten();
    let mut parts: Vec<String> =
        labels.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    for rule in list(value, "/matchExpressions") {
        let values: Vec<&str> = list(rule, "/values").iter().filter_map(Value::as_str).collect();
        let operator = text(rule, "/operator").to_lowercase();
        parts.push(format!("{} {operator} ({})", text(rule, "/key"), values.join(",")));
    }
    if parts.is_empty() { "<none>".into() } else { parts.join(",") }
}

pub fn describe(kind: &str, object: &Value, sheet: &mut Sheet) {
    sheet.head(object);
    sheet.row("CreationTimestamp", date(text(object, "/metadata/creationTimestamp")));
    sheet.map("Labels", &object["metadata"]["labels"], "=");
    sheet.map("Annotations", &object["metadata"]["annotations"], ": ");
    sheet.row("Selector", selector(&object["spec"]["selector"]));
    let owner = list(object, "/metadata/ownerReferences").iter().find(|o| o["controller"] == true);
    if let Some(owner) = owner {
        sheet.row("Controlled By", format!("{}/{}", text(owner, "/kind"), text(owner, "/name")));
    }
    match kind {
        "Deployment" => deployment(object, sheet),
        "DaemonSet" => daemon_set(object, sheet),
        "Job" => job(object, sheet),
        _ => {
            let (now, wanted) =
                (number(object, "/status/replicas"), number(object, "/spec/replicas"));
            sheet.row("Replicas", format!("{now} current / {wanted} desired"));
        }
    }
    template(&object["spec"]["template"], sheet);
    sheet.conditions(object);
}

fn deployment(object: &Value, sheet: &mut Sheet) {
    let status = |key: &str| number(object, &format!("/status/{key}"));
    sheet.row(
        "Replicas",
        format!(
            "{} desired | {} updated | {} total | {} available | {} unavailable",
            number(object, "/spec/replicas"),
            status("updatedReplicas"),
            status("replicas"),
            status("availableReplicas"),
            status("unavailableReplicas")
        ),
    );
    sheet.row("StrategyType", text(object, "/spec/strategy/type"));
    sheet.row("MinReadySeconds", number(object, "/spec/minReadySeconds").to_string());
    if let Some(rolling) = object.pointer("/spec/strategy/rollingUpdate") {
        let shown = |key: &str| {
            rolling[key].as_str().map_or_else(|| rolling[key].to_string(), str::to_owned)
        };
        let line =
            format!("{} max unavailable, {} max surge", shown("maxUnavailable"), shown("maxSurge"));
        sheet.row("RollingUpdateStrategy", line);
    }
}

fn daemon_set(object: &Value, sheet: &mut Sheet) {
    let status = |key: &str| number(object, &format!("/status/{key}")).to_string();
    for (key, field) in [
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ] {
        sheet.line(format!("{key}: {}", status(field)));
    }
}

fn job(object: &Value, sheet: &mut Sheet) {
    sheet.row("Parallelism", number(object, "/spec/parallelism").to_string());
    sheet.row("Completions", number(object, "/spec/completions").to_string());
    sheet.some("Completion Mode", text(object, "/spec/completionMode"));
    sheet.some("Start Time", &date(text(object, "/status/startTime")));
    sheet.some("Completed At", &date(text(object, "/status/completionTime")));
    let status = |key: &str| number(object, &format!("/status/{key}"));
    let line = format!(
        "{} Active ({} Ready) / {} Succeeded / {} Failed",
        status("active"),
        status("ready"),
        status("succeeded"),
        status("failed")
    );
    sheet.row("Pods Statuses", line);
}

pub fn template(template: &Value, sheet: &mut Sheet) {
    sheet.line("Pod Template:");
    sheet.map("  Labels", &template["metadata"]["labels"], "=");
    if template["metadata"]["annotations"].as_object().is_some_and(|map| !map.is_empty()) {
        sheet.map("  Annotations", &template["metadata"]["annotations"], ": ");
    }
    let account = text(template, "/spec/serviceAccountName");
    sheet.some("  Service Account", account);
    pod::containers("  Init Containers", list(template, "/spec/initContainers"), &[], 3, sheet);
    pod::containers("  Containers", list(template, "/spec/containers"), &[], 3, sheet);
    let volumes = list(template, "/spec/volumes");
    if volumes.is_empty() {
        sheet.row("  Volumes", "<none>");
    }
    pod::volumes(volumes, sheet);
    sheet.map("  Node-Selectors", &template["spec"]["nodeSelector"], "=");
    if list(template, "/spec/tolerations").is_empty() {
        sheet.row("  Tolerations", "<none>");
    }
}

pub async fn service(page: &Page<'_>, object: &Value, sheet: &mut Sheet) -> Result<(), Failure> {
    sheet.head(object);
    sheet.map("Labels", &object["metadata"]["labels"], "=");
    sheet.map("Annotations", &object["metadata"]["annotations"], ": ");
    let pairs = object["spec"]["selector"].as_object().into_iter().flatten();
    let pairs: Vec<String> =
        pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    sheet.row("Selector", if pairs.is_empty() { "<none>".into() } else { pairs.join(",") });
    sheet.row("Type", text(object, "/spec/type"));
    sheet.some("IP Family Policy", text(object, "/spec/ipFamilyPolicy"));
    let joined = |path: &str| {
        let list: Vec<&str> = list(object, path).iter().filter_map(Value::as_str).collect();
        list.join(",")
    };
    sheet.some("IP Families", &joined("/spec/ipFamilies"));
    sheet.row("IP", text(object, "/spec/clusterIP"));
    sheet.some("IPs", &joined("/spec/clusterIPs"));
    sheet.some("External IPs", &joined("/spec/externalIPs"));
    sheet.some("External Name", text(object, "/spec/externalName"));
    let ingress: Vec<&str> = list(object, "/status/loadBalancer/ingress")
        .iter()
        .map(|i| if text(i, "/ip").is_empty() { text(i, "/hostname") } else { text(i, "/ip") })
        .collect();
    sheet.some("LoadBalancer Ingress", &ingress.join(", "));
    let slices = endpoint_slices(page, object).await?;
    for port in list(object, "/spec/ports") {
        let name = text(port, "/name");
        let shown =
            |key: &str| port[key].as_str().map_or_else(|| port[key].to_string(), str::to_owned);
        let protocol = text(port, "/protocol");
        let label = if name.is_empty() { "<unset>" } else { name };
        sheet.row("Port", format!("{label}  {}/{protocol}", shown("port")));
        sheet.row("TargetPort", format!("{}/{protocol}", shown("targetPort")));
        if port["nodePort"].as_i64().is_some_and(|p| p > 0) {
            sheet.row("NodePort", format!("{label}  {}/{protocol}", shown("nodePort")));
        }
        sheet.row("Endpoints", endpoints(&slices, name));
    }
    sheet.row("Session Affinity", text(object, "/spec/sessionAffinity"));
    sheet.some("External Traffic Policy", text(object, "/spec/externalTrafficPolicy"));
    sheet.some("Internal Traffic Policy", text(object, "/spec/internalTrafficPolicy"));
    Ok(())
}

async fn endpoint_slices(page: &Page<'_>, object: &Value) -> Result<Vec<Value>, Failure> {
    let label = format!("kubernetes.io/service-name={}", text(object, "/metadata/name"));
    let query = format!("labelSelector={}", escape(&label));
    page.list("endpointslices", Some(text(object, "/metadata/namespace")), &query).await
}

/// Ready addresses of a port; the first three by name.
fn endpoints(slices: &[Value], name: &str) -> String {
    const SHOWN: usize = 3;
    let mut all = Vec::new();
    for slice in slices {
        let port = list(slice, "/ports").iter().find(|port| text(port, "/name") == name);
        let Some(port) = port.and_then(|port| port["port"].as_i64()) else { continue };
        for endpoint in list(slice, "/endpoints") {
            if endpoint["conditions"]["ready"] != false {
                let addresses = list(endpoint, "/addresses").iter().filter_map(Value::as_str);
                all.extend(addresses.map(|address| format!("{address}:{port}")));
            }
        }
    }
    match all.len() {
        0 => String::new(),
        count if count > SHOWN => format!("{} + {} more...", all[..SHOWN].join(","), count - SHOWN),
        _ => all.join(","),
    }
}
