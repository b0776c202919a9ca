//! `describe`: an object for reading, with what happened to it (kubectl `pkg/describe/describe.go`).
//!
//! Pods, workloads, Services and nodes have their own pages; every other kind is shown field by field.

mod generic;
mod node;
mod pod;
mod sheet;
mod workload;

use super::kinds::Kinds;
use super::select::{self, Found};
use super::{Cluster, cluster, text};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use meta::Value;
use remote::escape;
use sheet::Sheet;

/// What a page needs besides the object.
struct Page<'a> {
    cluster: &'a Cluster,
    kinds: &'a Kinds,
}

pub async fn describe(call: &Call) -> Result<u8, Failure> {
    let found = match select::fetched(call, &call.args).await {
        Ok((_, _, found)) => found,
        // A name that is none may be the beginning of some.
        Err(failure) => match beginning(call).await? {
            found if found.is_empty() => return Err(failure),
            found => found,
        },
    };
    let cluster = cluster(call)?;
    let kinds = Kinds::load(&cluster.kube).await?;
    let page = Page { cluster: &cluster, kinds: &kinds };
    if found.is_empty() {
        out::write_err(
            format!("No resources found in {} namespace.\n", cluster.namespace).as_bytes(),
        );
    }
    for (at, one) in found.iter().enumerate() {
        if at > 0 {
            out::line("\n");
        }
        let mut sheet = Sheet::default();
        page.of(one, &mut sheet).await?;
        let has_events = one.kind.kind != "Secret";
        if has_events && call.get("show-events") != Some("false") {
            page.events(one, &mut sheet).await?;
        }
        out::write(sheet.text().as_bytes());
    }
    Ok(0)
}

async fn beginning(call: &Call) -> Result<Vec<Found>, Failure> {
    let [kind, name] = call.args.as_slice() else { return Ok(Vec::new()) };
    let (_, _, all) = select::fetched(call, std::slice::from_ref(kind)).await?;
    Ok(all.into_iter().filter(|one| one.name().starts_with(name.as_str())).collect())
}

impl Page<'_> {
    async fn of(&self, one: &Found, sheet: &mut Sheet) -> Result<(), Failure> {
        match one.kind.kind.as_str() {
            "Pod" => pod::describe(&one.object, sheet),
            "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" => {
                workload::describe(&one.kind.kind, &one.object, sheet);
            }
            "Service" => workload::service(self, &one.object, sheet).await?,
            "Node" => node::describe(self, &one.object, sheet).await?,
            "Secret" => generic::secret(&one.object, sheet),
            "ConfigMap" => generic::config_map(&one.object, sheet),
            _ => generic::describe(one, sheet),
        }
        Ok(())
    }

    async fn list(
        &self,
        kind: &str,
        namespace: Option<&str>,
        query: &str,
    ) -> Result<Vec<Value>, Failure> {
        let path = format!("{}?{query}", self.kinds.required(kind)?.path(namespace, None));
        let list = self.cluster.kube.get(&path).await;
        let list = list.map_err(|e| Failure::kube(format!("list {kind}"), &e))?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    async fn events(&self, one: &Found, sheet: &mut Sheet) -> Result<(), Failure> {
        let mut fields = vec![format!("involvedObject.name={}", one.name())];
        if let Some(namespace) = one.namespace() {
            fields.push(format!("involvedObject.namespace={namespace}"));
        }
        let uid = text(&one.object, "/metadata/uid");
        if !uid.is_empty() && one.kind.kind != "Node" {
            fields.push(format!("involvedObject.uid={uid}"));
        }
        fields.push(format!("involvedObject.kind={}", one.kind.kind));
        let query = format!("fieldSelector={}", escape(&fields.join(",")));
        let mut events = self.list("events", one.namespace(), &query).await?;
        if events.is_empty() {
            sheet.line("Events:\t<none>");
            return Ok(());
        }
        events.sort_by_key(|event| last_seen(event).to_owned());
        sheet.line(
            "Events:\n  Type\tReason\tAge\tFrom\tMessage\n  ----\t------\t----\t----\t-------",
        );
        for event in &events {
            let source = text(event, "/source/component");
            let source =
                if source.is_empty() { text(event, "/reportingComponent") } else { source };
            sheet.line(format!(
                "  {}\t{}\t{}\t{source}\t{}",
                text(event, "/type"),
                text(event, "/reason"),
                event_age(event),
                text(event, "/message").trim()
            ));
        }
        Ok(())
    }
}

fn last_seen(event: &Value) -> &str {
    let times =
        ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    times.iter().map(|path| text(event, path)).find(|time| !time.is_empty()).unwrap_or_default()
}

/// `2m (x3 over 5m)`
fn event_age(event: &Value) -> String {
    let since = |time: &str| out::seconds_since(time).map_or_else(|| "<unknown>".into(), out::age);
    let last = since(last_seen(event));
    let count =
        event.pointer("/series/count").or(event.get("count")).and_then(Value::as_i64).unwrap_or(1);
    let first = text(event, "/firstTimestamp");
    let first = if first.is_empty() { text(event, "/eventTime") } else { first };
    if count > 1 { format!("{last} (x{count} over {})", since(first)) } else { last }
}

/// A pod template alone, for `rollout history --revision`.
pub fn pod_template(template: &Value) -> String {
    let mut sheet = Sheet::default();
    workload::template(template, &mut sheet);
    sheet.text()
}
