//! The kubelet's own pages, as they are reached through the API server's proxy of a node
//! (pkg/kubelet/server/server.go).

use super::Streams;
use crate::meter::{self, Meter};
use k8s_openapi::api::core::v1::Pod;
use meta::{Problem, Reason, Value};
use serde_json::json;
use std::path::{Component, Path, PathBuf};
use typed::Kind;

/// An answer of the kubelet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub content_type: &'static str,
    pub body: String,
}

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

/// Where the machine keeps its logs, which `/logs/` shows.
const LOGS: &str = "/var/log";

impl Streams {
    /// The page at `path` below the node's proxy.
    ///
    /// # Errors
    /// 404 for pages this kubelet does not have.
    pub async fn page(
        &self,
        meter: &Meter,
        path: &str,
        query: &[(String, String)],
    ) -> Result<Page, Problem> {
        let path = path.trim_end_matches('/');
        if let Some(file) = path.strip_prefix("/logs") {
            return logs(file);
        }
        match path {
            "/pods" => Ok(json_page(&self.pod_list(|_| true))),
            "/healthz" | "/healthz/ping" | "/healthz/log" | "/healthz/syncloop" => {
                Ok(Page { content_type: TEXT, body: "ok".into() })
            }
            "/runningpods" => Ok(json_page(&self.pod_list(is_running))),
            "/configz" => Ok(json_page(&self.configz())),
            "/stats/summary" => self.summary(meter, query).await,
            "/metrics" => Ok(Page { content_type: PROMETHEUS, body: self.own_metrics() }),
            "/metrics/resource" => text(meter, meter::text::resource).await,
            "/metrics/cadvisor" => text(meter, meter::text::cadvisor).await,
            _ => Err(not_found()),
        }
    }

    fn pod_list(&self, wanted: fn(&Pod) -> bool) -> Value {
        let view = self.hands.client.view();
        let here = view.by_field(&Pod::resource(), "spec.nodeName", &self.hands.config.name);
        let items: Vec<Value> =
            here.filter(|o| wanted(&typed::parse::<Pod>(o))).map(|o| o.value()).collect();
        json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items })
    }

    fn configz(&self) -> Value {
        let config = &self.hands.config;
        json!({ "kubeletconfig": {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "clusterDomain": config.cluster_domain,
            "clusterDNS": [config.cluster_dns],
            "maxPods": config.max_pods,
            "podCIDR": config.pod_cidr,
            "containerLogMaxSize": "10Mi",
            "containerLogMaxFiles": 5,
            "nodeLeaseDurationSeconds": 40,
            "serializeImagePulls": false,
        }})
    }

    async fn summary(&self, meter: &Meter, query: &[(String, String)]) -> Result<Page, Problem> {
        let only = query
            .iter()
            .any(|(key, value)| key == "only_cpu_and_memory" && super::logs::flag(value));
        let wanted = match only {
            true => meter::summary::Wanted::CpuAndMemory,
            false => meter::summary::Wanted::Everything,
        };
        meter.refresh().await;
        let (meter, hands) = (meter.clone(), self.hands.clone());
        let made = tokio::task::spawn_blocking(move || {
            meter::summary::summary(&meter, &hands.engine, &hands.config, wanted)
        });
        made.await.map(|value| json_page(&value)).map_err(Problem::internal)
    }

    /// The few numbers of the kubelet itself that are looked at.
    fn own_metrics(&self) -> String {
        let all = self.hands.engine.list_pod_containers(&engine::pod::PodFilter::default());
        let sandboxes = self.hands.engine.list_sandboxes(&engine::pod::PodFilter::default());
        let mut out = String::new();
        let pods = sandboxes.iter().filter(|s| s.ready).count();
        out +=
            "# HELP kubelet_running_pods [BETA] Number of pods that have a running pod sandbox\n";
        out += &format!("# TYPE kubelet_running_pods gauge\nkubelet_running_pods {pods}\n");
        out += "# HELP kubelet_running_containers [BETA] Number of containers currently running\n";
        out += "# TYPE kubelet_running_containers gauge\n";
        for (state, phase) in [
            ("created", engine::pod::PodContainerPhase::Created),
            ("exited", engine::pod::PodContainerPhase::Exited),
            ("running", engine::pod::PodContainerPhase::Running),
        ] {
            let count = all.iter().filter(|c| c.phase == phase).count();
            out += &format!("kubelet_running_containers{{container_state=\"{state}\"}} {count}\n");
        }
        out
    }
}

async fn text(meter: &Meter, make: fn(&Meter) -> String) -> Result<Page, Problem> {
    let meter = meter.clone();
    let made = tokio::task::spawn_blocking(move || make(&meter)).await;
    let body = made.map_err(Problem::internal)?;
    Ok(Page { content_type: PROMETHEUS, body })
}

fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running")
}

fn json_page(value: &Value) -> Page {
    Page { content_type: JSON, body: value.to_string() }
}

fn not_found() -> Problem {
    Problem::new(Reason::NotFound, "404 page not found")
}

/// A file below the machine's log directory, or the list of a directory. Links out of it are not followed.
fn logs(path: &str) -> Result<Page, Problem> {
    let wanted = below(Path::new(LOGS), path).ok_or_else(not_found)?;
    let real = wanted.canonicalize().map_err(|_| not_found())?;
    if !real.starts_with(LOGS) {
        return Err(not_found());
    }
    if real.is_file() {
        let bytes = std::fs::read(&real).map_err(|_| not_found())?;
        let body = String::from_utf8_lossy(&bytes).into_owned();
        return Ok(Page { content_type: TEXT, body });
    }
    let mut names: Vec<String> = std::fs::read_dir(&real)
        .map_err(|_| not_found())?
        .flatten()
        .map(|entry| {
            let slash = if entry.path().is_dir() { "/" } else { "" };
            format!("{}{slash}", entry.file_name().to_string_lossy())
        })
        .collect();
    names.sort();
    let line = |name: &String| {
        let shown = name.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&#34;");
        format!("<a href=\"{shown}\">{shown}</a>\n")
    };
    let body = format!(
        "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n{}</pre>\n",
        names.iter().map(line).collect::<String>()
    );
    Ok(Page { content_type: HTML, body })
}

fn below(root: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path.trim_start_matches('/'));
    let plain = |c: Component<'_>| matches!(c, Component::Normal(_));
    path.components().all(plain).then(|| root.join(path))
}

#[cfg(test)]
mod tests {
    use super::below;
    use std::path::Path;

    #[test]
    fn paths_stay_below() {
        let root = Path::new("/var/log");
        assert_eq!(below(root, "/a/b"), Some(root.join("a/b")));
        assert_eq!(below(root, ""), Some(root.join("")));
        assert_eq!(below(root, "/../x"), None);
        assert_eq!(below(root, "/a/../../x"), None);
    }
}
