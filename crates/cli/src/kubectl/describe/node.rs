//! A node's page.

use super::Page;
use super::pod::{date, list};
use super::sheet::Sheet;
use crate::failure::Failure;
use crate::kubectl::text;
use crate::out;
use meta::{Quantity, Value};
use remote::escape;

pub async fn describe(page: &Page<'_>, object: &Value, sheet: &mut Sheet) -> Result<(), Failure> {
    let name = text(object, "/metadata/name");
    sheet.row("Name", name);
    sheet.row("Roles", roles(object));
    sheet.map("Labels", &object["metadata"]["labels"], "=");
    sheet.map("Annotations", &object["metadata"]["annotations"], ": ");
    sheet.row("CreationTimestamp", date(text(object, "/metadata/creationTimestamp")));
    let taints: Vec<String> = list(object, "/spec/taints").iter().map(taint).collect();
    sheet.row("Taints", if taints.is_empty() { "<none>".into() } else { taints.join("\n\t") });
    sheet.row(
        "Unschedulable",
        object["spec"]["unschedulable"].as_bool().unwrap_or(false).to_string(),
    );
    sheet.line(
        "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage",
    );
    sheet.line("  ----\t------\t-----------------\t------------------\t------\t-------");
    for one in list(object, "/status/conditions") {
        sheet.line(format!(
            "  {} \t{} \t{} \t{} \t{} \t{}",
            text(one, "/type"),
            text(one, "/status"),
            date(text(one, "/lastHeartbeatTime")),
            date(text(one, "/lastTransitionTime")),
            text(one, "/reason"),
            text(one, "/message")
        ));
    }
    sheet.line("Addresses:");
    for one in list(object, "/status/addresses") {
        sheet.row(&format!("  {}", text(one, "/type")), text(one, "/address"));
    }
    for (title, key) in [("Capacity", "capacity"), ("Allocatable", "allocatable")] {
        sheet.line(format!("{title}:"));
        for (name, amount) in object["status"][key].as_object().into_iter().flatten() {
            sheet.row(&format!("  {name}"), amount.as_str().unwrap_or_default());
        }
    }
    sheet.line("System Info:");
    for (title, key) in INFO {
        sheet.row(&format!("  {title}"), text(object, &format!("/status/nodeInfo/{key}")));
    }
    sheet.some("PodCIDR", text(object, "/spec/podCIDR"));
    pods(page, name, sheet).await
}

const INFO: &[(&str, &str)] = &[
    ("Machine ID", "machineID"),
    ("System UUID", "systemUUID"),
    ("Boot ID", "bootID"),
    ("Kernel Version", "kernelVersion"),
    ("OS Image", "osImage"),
    ("Operating System", "operatingSystem"),
    ("Architecture", "architecture"),
    ("Container Runtime Version", "containerRuntimeVersion"),
    ("Kubelet Version", "kubeletVersion"),
];

fn roles(object: &Value) -> String {
    const PREFIX: &str = "node-role.kubernetes.io/";
    let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
    let roles: Vec<&str> = labels.filter_map(|(key, _)| key.strip_prefix(PREFIX)).collect();
    if roles.is_empty() { "<none>".into() } else { roles.join(",") }
}

fn taint(one: &Value) -> String {
    let value = text(one, "/value");
    let value = if value.is_empty() { String::new() } else { format!("={value}") };
    format!("{}{value}:{}", text(one, "/key"), text(one, "/effect"))
}

async fn pods(page: &Page<'_>, node: &str, sheet: &mut Sheet) -> Result<(), Failure> {
    let fields = format!("spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed");
    let pods = page.list("pods", None, &format!("fieldSelector={}", escape(&fields))).await?;
    sheet.line(format!("Non-terminated Pods:\t({} in total)", pods.len()));
    sheet.line("  Namespace\tName\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge");
    sheet.line("  ---------\t----\t------------\t----------\t---------------\t-------------\t---");
    for pod in &pods {
        let sum = |kind: &str, name: &str| {
            let amounts = list(pod, "/spec/containers").iter();
            let amounts = amounts.filter_map(|c| c["resources"][kind][name].as_str());
            let mut total: Option<Quantity> = None;
            for amount in amounts.filter_map(|text| text.parse::<Quantity>().ok()) {
                match &mut total {
                    Some(total) => total.add(&amount),
                    None => total = Some(amount),
                }
            }
            total.map_or_else(|| "0".to_owned(), |total| total.to_string())
        };
        let age = out::seconds_since(text(pod, "/metadata/creationTimestamp"))
            .map_or_else(String::new, out::age);
        sheet.line(format!(
            "  {}\t{}\t{}\t{}\t{}\t{}\t{age}",
            text(pod, "/metadata/namespace"),
            text(pod, "/metadata/name"),
            sum("requests", "cpu"),
            sum("limits", "cpu"),
            sum("requests", "memory"),
            sum("limits", "memory")
        ));
    }
    Ok(())
}
