//! A container's environment, command and arguments (pkg/kubelet/kubelet_pods.go `makeEnvironmentVariables`,
//! third_party/forked/golang/expansion/expand.go).

use crate::downward;
use crate::types::NodePolicy;
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvVar, EnvVarSource, Pod, Secret, Service,
};
use std::collections::BTreeMap;
use store::View;
use typed::Read;

/// What values may be read from when a container starts.
pub struct Sources<'a> {
    pub pod: &'a Pod,
    pub view: &'a View,
    pub policy: &'a NodePolicy,
    /// Addresses of the pod and of the node, as the status will say.
    pub pod_ips: &'a [String],
}

/// Variables in order; a later one replaces an earlier of the same name when the process starts.
///
/// # Errors
/// Names the ConfigMap, Secret or key that is missing (`CreateContainerConfigError`).
pub fn container_env(
    container: &Container,
    sources: &Sources<'_>,
) -> Result<Vec<(String, String)>, String> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut out = Vec::new();
    let services = service_variables(sources);
    for (name, value) in from_sources(container, sources)? {
        known.insert(name.clone(), value.clone());
        out.push((name, value));
    }
    for variable in container.env.iter().flatten() {
        let Some(value) = value_of(variable, container, sources, &known, &services)? else {
            continue;
        };
        known.insert(variable.name.clone(), value.clone());
        out.push((variable.name.clone(), value));
    }
    for (name, value) in services {
        if !known.contains_key(&name) {
            out.push((name, value));
        }
    }
    Ok(out)
}

fn value_of(
    variable: &EnvVar,
    container: &Container,
    sources: &Sources<'_>,
    known: &BTreeMap<String, String>,
    services: &BTreeMap<String, String>,
) -> Result<Option<String>, String> {
    match (&variable.value, &variable.value_from) {
        (Some(text), _) if !text.is_empty() => {
            let lookup = |name: &str| known.get(name).or_else(|| services.get(name)).cloned();
            Ok(Some(expand(text, lookup)))
        }
        (_, Some(from)) => referenced(from, container, sources),
        _ => Ok(Some(String::new())),
    }
}

fn referenced(
    from: &EnvVarSource,
    container: &Container,
    sources: &Sources<'_>,
) -> Result<Option<String>, String> {
    let namespace = sources.pod.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(field) = &from.field_ref {
        return downward::field(&field.field_path, sources).map(Some);
    }
    if let Some(resource) = &from.resource_field_ref {
        return downward::resource(resource, container, sources).map(Some);
    }
    if let Some(key) = &from.config_map_key_ref {
        let optional = key.optional == Some(true);
        let Some(map) = sources.view.read::<ConfigMap>(namespace, &key.name) else {
            return absent(optional, || format!("configmap {:?} not found", key.name));
        };
        let value = map.data.as_ref().and_then(|data| data.get(&key.key)).cloned();
        let missing =
            || format!("couldn't find key {} in ConfigMap {namespace}/{}", key.key, key.name);
        return value.map_or_else(|| absent(optional, missing), |v| Ok(Some(v)));
    }
    if let Some(key) = &from.secret_key_ref {
        let optional = key.optional == Some(true);
        let Some(secret) = sources.view.read::<Secret>(namespace, &key.name) else {
            return absent(optional, || format!("secret {:?} not found", key.name));
        };
        let value = secret.data.as_ref().and_then(|data| data.get(&key.key));
        let missing =
            || format!("couldn't find key {} in Secret {namespace}/{}", key.key, key.name);
        let text = value.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned());
        return text.map_or_else(|| absent(optional, missing), |v| Ok(Some(v)));
    }
    Err("this source of an environment variable is not supported by this node yet".into())
}

fn absent(optional: bool, why: impl FnOnce() -> String) -> Result<Option<String>, String> {
    if optional { Ok(None) } else { Err(why()) }
}

/// `envFrom`: whole ConfigMaps and Secrets.
fn from_sources(
    container: &Container,
    sources: &Sources<'_>,
) -> Result<Vec<(String, String)>, String> {
    let namespace = sources.pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut out = Vec::new();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let mut add = |key: &str, value: String| out.push((format!("{prefix}{key}"), value));
        if let Some(source) = &from.config_map_ref {
            match sources.view.read::<ConfigMap>(namespace, &source.name) {
                Some(map) => {
                    for (key, value) in map.data.iter().flatten() {
                        add(key, value.clone());
                    }
                }
                None if source.optional == Some(true) => {}
                None => return Err(format!("configmap {:?} not found", source.name)),
            }
        }
        if let Some(source) = &from.secret_ref {
            match sources.view.read::<Secret>(namespace, &source.name) {
                Some(secret) => {
                    for (key, value) in secret.data.iter().flatten() {
                        add(key, String::from_utf8_lossy(&value.0).into_owned());
                    }
                }
                None if source.optional == Some(true) => {}
                None => return Err(format!("secret {:?} not found", source.name)),
            }
        }
    }
    Ok(out)
}

/// `KUBERNETES_SERVICE_HOST` and friends; other Services of the namespace unless `enableServiceLinks: false`
/// (pkg/kubelet/envvars/envvars.go).
fn service_variables(sources: &Sources<'_>) -> BTreeMap<String, String> {
    let namespace = sources.pod.metadata.namespace.as_deref().unwrap_or_default();
    let links = sources.pod.spec.as_ref().and_then(|s| s.enable_service_links).unwrap_or(true);
    let mut out = BTreeMap::new();
    if let Some(master) = sources.view.read::<Service>("default", "kubernetes") {
        add_service(&master, &mut out);
    }
    if links {
        for service in sources.view.read_all::<Service>(Some(namespace)) {
            add_service(&service, &mut out);
        }
    }
    out
}

fn add_service(service: &Service, out: &mut BTreeMap<String, String>) {
    let Some(spec) = &service.spec else { return };
    let ip = spec.cluster_ip.as_deref().unwrap_or_default();
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let ports: Vec<_> = spec.ports.iter().flatten().collect();
    let Some(first) = ports.first().filter(|_| !ip.is_empty() && ip != "None") else { return };
    let name = name.to_uppercase().replace('-', "_");
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_string() };
    out.insert(format!("{name}_SERVICE_HOST"), ip.into());
    out.insert(format!("{name}_SERVICE_PORT"), first.port.to_string());
    for port in &ports {
        if let Some(called) = port.name.as_deref().filter(|n| !n.is_empty()) {
            let called = called.to_uppercase().replace('-', "_");
            out.insert(format!("{name}_SERVICE_PORT_{called}"), port.port.to_string());
        }
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let url = format!("{}://{host}:{}", protocol.to_lowercase(), port.port);
        if std::ptr::eq(*port, *first) {
            out.insert(format!("{name}_PORT"), url.clone());
        }
        let prefix = format!("{name}_PORT_{}_{}", port.port, protocol.to_uppercase());
        out.insert(prefix.clone(), url);
        out.insert(format!("{prefix}_PROTO"), protocol.to_lowercase());
        out.insert(format!("{prefix}_PORT"), port.port.to_string());
        out.insert(format!("{prefix}_ADDR"), ip.into());
    }
}

/// Command and arguments with `$(NAME)` replaced; `None` leaves the image's.
pub fn command_args(
    container: &Container,
    env: &[(String, String)],
) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let lookup = |name: &str| env.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let expanded = |list: &Option<Vec<String>>| {
        let list = list.as_ref().filter(|l| !l.is_empty())?;
        Some(list.iter().map(|text| expand(text, lookup)).collect())
    };
    (expanded(&container.command), expanded(&container.args))
}

/// `$(NAME)` becomes its value, `$$` a dollar; what is not known stays as it is written.
pub fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) =
            rest.strip_prefix('(').and_then(|inner| inner.split_once(')'))
        {
            match lookup(name) {
                Some(value) => out.push_str(&value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}
