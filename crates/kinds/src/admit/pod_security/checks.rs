//! The Pod Security Standards as a table of checks, each with the version it came with
//! (k8s.io/pod-security-admission `policy/check_*.go`; texts are its).

use crate::table::{at, list, text};
use meta::Value;
use std::collections::BTreeSet;

/// Why a pod breaks a check: the reason and, in parentheses after it, the detail.
type Broken = (String, String);

/// `since`: the first minor version of v1 that has the check.
pub(super) struct Check {
    id: &'static str,
    restricted: bool,
    since: u32,
    /// The baseline check it stands in for.
    instead_of: &'static str,
    run: fn(&Pod<'_>) -> Option<Broken>,
}

/// What is checked, and by the standards of which minor version.
pub(super) struct Pod<'a> {
    pub metadata: &'a Value,
    pub spec: &'a Value,
    pub minor: u32,
}

const fn baseline(id: &'static str, since: u32, run: fn(&Pod<'_>) -> Option<Broken>) -> Check {
    Check { id, restricted: false, since, instead_of: "", run }
}

const fn restricted(
    id: &'static str,
    since: u32,
    instead_of: &'static str,
    run: fn(&Pod<'_>) -> Option<Broken>,
) -> Check {
    Check { id, restricted: true, since, instead_of, run }
}

/// In the order messages have: baseline before restricted, by id.
static CHECKS: &[Check] = &[
    baseline("appArmorProfile", 0, app_armor),
    baseline("capabilities_baseline", 0, capabilities),
    baseline("hostNamespaces", 0, host_namespaces),
    baseline("hostPathVolumes", 0, host_paths),
    baseline("hostPorts", 0, host_ports),
    baseline("hostProbesAndHostLifecycle", 34, probe_hosts),
    baseline("privileged", 0, privileged),
    baseline("procMount", 0, |pod| {
        if pod.minor >= 35 && pod.is_user_ns() { None } else { proc_mount(pod) }
    }),
    baseline("seLinuxOptions", 0, selinux),
    baseline("seccompProfile_baseline", 0, seccomp),
    baseline("sysctls", 0, sysctls),
    baseline("windowsHostProcess", 0, host_process),
    restricted("allowPrivilegeEscalation", 8, "", escalation),
    restricted("capabilities_restricted", 22, "capabilities_baseline", dropped),
    restricted("procMount_restricted", 35, "procMount", proc_mount),
    restricted("restrictedVolumes", 0, "hostPathVolumes", volumes),
    restricted("runAsNonRoot", 0, "", non_root),
    restricted("runAsUser", 23, "", user),
    restricted("seccompProfile_restricted", 19, "seccompProfile_baseline", seccomp_restricted),
];

/// Everything a pod breaks at a level above privileged.
pub(super) fn broken(pod: &Pod<'_>, strict: bool) -> Vec<Broken> {
    let there = |c: &&Check| c.since <= pod.minor && (strict || !c.restricted);
    let replaced: Vec<_> =
        CHECKS.iter().filter(there).filter(|c| c.restricted).map(|c| c.instead_of).collect();
    let runs = CHECKS.iter().filter(there).filter(|c| !strict || !replaced.contains(&c.id));
    runs.filter_map(|check| (check.run)(pod)).collect()
}

impl<'a> Pod<'a> {
    fn containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        let spec = self.spec;
        ["initContainers", "containers", "ephemeralContainers"]
            .into_iter()
            .flat_map(move |kind| list(spec, kind))
    }

    /// Names of the containers a rule objects to.
    fn which(&self, bad: impl Fn(&Value) -> bool) -> Vec<String> {
        self.containers().filter(|c| bad(c)).map(|c| text(c, "name")).collect()
    }

    /// `pod`, `containers "a", "b"`: who sets a field of the security context that is bad.
    fn setters(&self, bad: impl Fn(&Value) -> bool) -> String {
        let own = |v: &Value| at(v, "securityContext").is_some_and(&bad);
        let mut all = Vec::new();
        if own(self.spec) {
            all.push("pod".to_string());
        }
        let names = self.which(own);
        if !names.is_empty() {
            all.push(containers(&names));
        }
        all.join(" and ")
    }

    fn is_user_ns(&self) -> bool {
        at(self.spec, "hostUsers") == Some(&Value::Bool(false))
    }

    /// Windows pods cannot set what some checks demand.
    fn is_windows(&self) -> bool {
        self.minor >= 25 && text(self.spec, "os.name") == "windows"
    }

    /// Every value a field of the pod's and the containers' security contexts has.
    fn values(&self, field: &str) -> BTreeSet<String> {
        let all = std::iter::once(self.spec).chain(self.containers());
        all.filter_map(|v| at(v, &format!("securityContext.{field}")).map(crate::table::plain))
            .collect()
    }
}

fn plural(word: &str, count: usize) -> String {
    if count == 1 { word.into() } else { format!("{word}s") }
}

fn quoted<'s>(items: impl IntoIterator<Item = &'s String>) -> String {
    items.into_iter().map(|item| format!("\"{item}\"")).collect::<Vec<_>>().join(", ")
}

fn containers(names: &[String]) -> String {
    format!("{} {}", plural("container", names.len()), quoted(names))
}

fn uses(names: usize) -> &'static str {
    if names == 1 { "uses" } else { "use" }
}

fn broke(reason: &str, detail: String) -> Option<Broken> {
    Some((reason.into(), detail))
}

// === baseline ===

fn app_armor(pod: &Pod<'_>) -> Option<Broken> {
    const PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";
    let bad = |kind: &str| !["RuntimeDefault", "Localhost"].contains(&kind);
    let own = |c: &Value| at(c, "appArmorProfile").is_some_and(|p| bad(&text(p, "type")));
    let mut setters = pod.setters(own);
    let mut values: Vec<_> =
        pod.values("appArmorProfile.type").into_iter().filter(|v| bad(v)).collect();
    let fine = |v: &str| v.is_empty() || v == "runtime/default" || v.starts_with("localhost/");
    let annotations = at(pod.metadata, "annotations").and_then(Value::as_object);
    let notes: Vec<_> = annotations
        .into_iter()
        .flatten()
        .filter(|(k, v)| k.starts_with(PREFIX) && !fine(v.as_str().unwrap_or_default()))
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    if !notes.is_empty() {
        let word = plural("annotation", notes.len());
        setters = if setters.is_empty() { word } else { format!("{setters} and {word}") };
        values.extend(notes);
    }
    if setters.is_empty() {
        return None;
    }
    let reason = plural("forbidden AppArmor profile", values.len());
    broke(&reason, format!("{setters} must not set AppArmor profile type to {}", quoted(&values)))
}

const USUAL: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

fn added<'a>(c: &'a Value, allowed: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    let all = list(c, "securityContext.capabilities.add").iter().map(crate::table::plain);
    all.filter(move |cap| !allowed.contains(&cap.as_str()))
}

/// `containers "a" must not include "X" in securityContext.capabilities.add`
fn forbidden_additions(pod: &Pod<'_>, allowed: &[&str]) -> Option<String> {
    let names = pod.which(|c| added(c, allowed).next().is_some());
    let caps: BTreeSet<_> = pod.containers().flat_map(|c| added(c, allowed)).collect();
    (!names.is_empty()).then(|| {
        let (who, what) = (containers(&names), quoted(&caps));
        format!("{who} must not include {what} in securityContext.capabilities.add")
    })
}

fn capabilities(pod: &Pod<'_>) -> Option<Broken> {
    broke("non-default capabilities", forbidden_additions(pod, USUAL)?)
}

fn host_namespaces(pod: &Pod<'_>) -> Option<Broken> {
    let set = |field: &&str| at(pod.spec, field) == Some(&Value::Bool(true));
    let all: Vec<_> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(set)
        .map(|field| format!("{field}=true"))
        .collect();
    if all.is_empty() { None } else { broke("host namespaces", all.join(", ")) }
}

fn host_paths(pod: &Pod<'_>) -> Option<Broken> {
    let of_host = list(pod.spec, "volumes").iter().filter(|v| at(v, "hostPath").is_some());
    let names: Vec<_> = of_host.map(|v| text(v, "name")).collect();
    let detail = format!("{} {}", plural("volume", names.len()), quoted(&names));
    if names.is_empty() { None } else { broke("hostPath volumes", detail) }
}

fn host_ports(pod: &Pod<'_>) -> Option<Broken> {
    let ports = |c: &Value| -> Vec<String> {
        let all = list(c, "ports").iter().map(|p| crate::table::int(p, "hostPort"));
        all.filter(|port| *port != 0).map(|port| port.to_string()).collect()
    };
    let names = pod.which(|c| !ports(c).is_empty());
    let all: BTreeSet<_> = pod.containers().flat_map(ports).collect();
    let shown = all.iter().cloned().collect::<Vec<_>>().join(", ");
    let word = plural("hostPort", all.len());
    let detail = format!("{} {} {word} {shown}", containers(&names), uses(names.len()));
    if names.is_empty() { None } else { broke("hostPort", detail) }
}

const HANDLERS: &[&str] = &[
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle.postStart",
    "lifecycle.preStop",
];

fn probe_hosts(pod: &Pod<'_>) -> Option<Broken> {
    let hosts = |c: &Value| -> Vec<String> {
        let each = HANDLERS.iter().flat_map(|handler| {
            ["httpGet", "tcpSocket"].map(|kind| text(c, &format!("{handler}.{kind}.host")))
        });
        each.filter(|host| !host.is_empty()).collect()
    };
    let names: BTreeSet<_> = pod.which(|c| !hosts(c).is_empty()).into_iter().collect();
    let names: Vec<_> = names.into_iter().collect();
    let all: BTreeSet<_> = pod.containers().flat_map(hosts).collect();
    let word = plural("probe or lifecycle host", all.len());
    let detail = format!("{} {} {word} {}", containers(&names), uses(names.len()), quoted(&all));
    if names.is_empty() { None } else { broke("probe or lifecycle host", detail) }
}

fn is_true(v: &Value, path: &str) -> bool {
    at(v, path) == Some(&Value::Bool(true))
}

fn privileged(pod: &Pod<'_>) -> Option<Broken> {
    let names = pod.which(|c| is_true(c, "securityContext.privileged"));
    let detail = format!("{} must not set securityContext.privileged=true", containers(&names));
    if names.is_empty() { None } else { broke("privileged", detail) }
}

fn proc_mount(pod: &Pod<'_>) -> Option<Broken> {
    let kind = |c: &Value| text(c, "securityContext.procMount");
    let bad = |kind: &String| !kind.is_empty() && kind != "Default";
    let names = pod.which(|c| bad(&kind(c)));
    let kinds: BTreeSet<_> = pod.containers().map(kind).filter(bad).collect();
    let who = containers(&names);
    let detail = format!("{who} must not set securityContext.procMount to {}", quoted(&kinds));
    if names.is_empty() { None } else { broke("procMount", detail) }
}

fn selinux(pod: &Pod<'_>) -> Option<Broken> {
    let mut allowed = vec!["", "container_t", "container_init_t", "container_kvm_t"];
    if pod.minor >= 31 {
        allowed.push("container_engine_t");
    }
    let bad_type = |kind: &str| !allowed.contains(&kind);
    let own = |c: &Value| {
        at(c, "seLinuxOptions").is_some_and(|o| {
            bad_type(&text(o, "type")) || !text(o, "user").is_empty() || !text(o, "role").is_empty()
        })
    };
    let setters = pod.setters(own);
    if setters.is_empty() {
        return None;
    }
    let types: Vec<_> =
        pod.values("seLinuxOptions.type").into_iter().filter(|t| bad_type(t)).collect();
    let mut data = Vec::new();
    if !types.is_empty() {
        data.push(format!("{} {}", plural("type", types.len()), quoted(&types)));
    }
    for field in ["user", "role"] {
        if pod.values(&format!("seLinuxOptions.{field}")).iter().any(|v| !v.is_empty()) {
            data.push(format!("{field} may not be set"));
        }
    }
    let what = data.join("; ");
    broke(
        "seLinuxOptions",
        format!("{setters} set forbidden securityContext.seLinuxOptions: {what}"),
    )
}

fn good_seccomp(kind: &str) -> bool {
    ["Localhost", "RuntimeDefault"].contains(&kind)
}

fn seccomp(pod: &Pod<'_>) -> Option<Broken> {
    if pod.minor < 19 {
        return seccomp_annotations(pod);
    }
    let bad = |c: &Value| at(c, "seccompProfile").is_some_and(|p| !good_seccomp(&text(p, "type")));
    let setters = pod.setters(bad);
    if setters.is_empty() {
        return None;
    }
    let all = pod.values("seccompProfile.type");
    let values: Vec<_> = all.into_iter().filter(|v| !good_seccomp(v)).collect();
    let what = quoted(&values);
    let why = format!("{setters} must not set securityContext.seccompProfile.type to {what}");
    broke("seccompProfile", why)
}

fn seccomp_annotations(pod: &Pod<'_>) -> Option<Broken> {
    const POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
    const CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
    let fine =
        |v: &str| ["runtime/default", "docker/default"].contains(&v) || v.starts_with("localhost/");
    let keys = pod.containers().map(|c| format!("{CONTAINER}{}", text(c, "name")));
    let found: BTreeSet<_> = std::iter::once(POD.to_string())
        .chain(keys)
        .filter_map(|key| {
            let value = pod.metadata.get("annotations")?.get(&key)?.as_str()?;
            (!fine(value)).then(|| format!("{key}={value:?}"))
        })
        .collect();
    let shown = found.iter().cloned().collect::<Vec<_>>().join(", ");
    let detail = format!("forbidden {} {shown}", plural("annotation", found.len()));
    if found.is_empty() { None } else { broke("seccompProfile", detail) }
}

/// Names and the minor version they became safe with.
const SYSCTLS: &[(&str, u32)] = &[
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

fn sysctls(pod: &Pod<'_>) -> Option<Broken> {
    let safe = |name: &str| SYSCTLS.iter().any(|(n, since)| *n == name && *since <= pod.minor);
    let names = list(pod.spec, "securityContext.sysctls").iter().map(|s| text(s, "name"));
    let bad: Vec<_> = names.filter(|name| !safe(name)).collect();
    if bad.is_empty() { None } else { broke("forbidden sysctls", bad.join(", ")) }
}

fn host_process(pod: &Pod<'_>) -> Option<Broken> {
    let setters = pod.setters(|c| is_true(c, "windowsOptions.hostProcess"));
    let why = format!("{setters} must not set securityContext.windowsOptions.hostProcess=true");
    if setters.is_empty() { None } else { broke("hostProcess", why) }
}

// === restricted ===

fn escalation(pod: &Pod<'_>) -> Option<Broken> {
    let path = "securityContext.allowPrivilegeEscalation";
    let names = pod.which(|c| at(c, path) != Some(&Value::Bool(false)));
    let why = format!("{} must set {path}=false", containers(&names));
    let fine = names.is_empty() || pod.is_windows();
    if fine { None } else { broke("allowPrivilegeEscalation != false", why) }
}

fn dropped(pod: &Pod<'_>) -> Option<Broken> {
    if pod.is_windows() {
        return None;
    }
    let drops_all =
        |c: &Value| list(c, "securityContext.capabilities.drop").iter().any(|d| d == "ALL");
    let missing = pod.which(|c| !drops_all(c));
    let mut details = Vec::new();
    if !missing.is_empty() {
        let who = containers(&missing);
        details.push(format!(r#"{who} must set securityContext.capabilities.drop=["ALL"]"#));
    }
    details.extend(forbidden_additions(pod, &["NET_BIND_SERVICE"]));
    if details.is_empty() { None } else { broke("unrestricted capabilities", details.join("; ")) }
}

const FINE_VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
const OTHER_VOLUMES: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

fn volumes(pod: &Pod<'_>) -> Option<Broken> {
    let bad = |v: &&Value| !FINE_VOLUMES.iter().any(|kind| at(v, kind).is_some());
    let kind = |v: &Value| -> String {
        let known = OTHER_VOLUMES.iter().find(|kind| at(v, kind).is_some());
        known.copied().unwrap_or("unknown").into()
    };
    let all: Vec<_> = list(pod.spec, "volumes").iter().filter(bad).collect();
    let names: Vec<_> = all.iter().map(|v| text(v, "name")).collect();
    let kinds: BTreeSet<_> = all.iter().map(|v| kind(v)).collect();
    let who = format!("{} {}", plural("volume", names.len()), quoted(&names));
    let word = plural("restricted volume type", kinds.len());
    let detail = format!("{who} {} {word} {}", uses(names.len()), quoted(&kinds));
    if names.is_empty() { None } else { broke("restricted volume types", detail) }
}

fn non_root(pod: &Pod<'_>) -> Option<Broken> {
    if pod.minor >= 35 && pod.is_user_ns() {
        return None;
    }
    const REASON: &str = "runAsNonRoot != true";
    let setters = pod.setters(|c| at(c, "runAsNonRoot") == Some(&Value::Bool(false)));
    if !setters.is_empty() {
        return broke(REASON, format!("{setters} must not set securityContext.runAsNonRoot=false"));
    }
    let by_pod = is_true(pod.spec, "securityContext.runAsNonRoot");
    let names = pod.which(|c| !by_pod && at(c, "securityContext.runAsNonRoot").is_none());
    let who = containers(&names);
    let why = format!("pod or {who} must set securityContext.runAsNonRoot=true");
    if names.is_empty() { None } else { broke(REASON, why) }
}

fn user(pod: &Pod<'_>) -> Option<Broken> {
    if pod.minor >= 35 && pod.is_user_ns() {
        return None;
    }
    let setters = pod.setters(|c| at(c, "runAsUser").and_then(Value::as_i64) == Some(0));
    if setters.is_empty() {
        None
    } else {
        broke("runAsUser=0", format!("{setters} must not set runAsUser=0"))
    }
}

fn seccomp_restricted(pod: &Pod<'_>) -> Option<Broken> {
    if pod.is_windows() {
        return None;
    }
    if let Some(broken) = seccomp(pod) {
        return Some(broken);
    }
    let path = "securityContext.seccompProfile";
    let by_pod = at(pod.spec, path).is_some();
    let names = pod.which(|c| !by_pod && at(c, path).is_none());
    let who = containers(&names);
    let why = format!(
        r#"pod or {who} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost""#
    );
    if names.is_empty() { None } else { broke("seccompProfile", why) }
}
