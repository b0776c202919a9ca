//! `create deployment`, `create configmap` ... , `run`, `expose`, `autoscale`: objects from options
//! (kubectl `pkg/cmd/create`).

use super::apply::{make, make_said};
use super::{select, text};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use meta::{Map, Value};
use serde_json::json;
use std::path::Path;

fn name(call: &Call) -> &str {
    call.args.first().map(String::as_str).unwrap_or_default()
}

fn required<'a>(call: &'a Call, flag: &str) -> Result<&'a str, Failure> {
    let missing = || Failure::plain(format!("error: required flag(s) \"{flag}\" not set"));
    call.get(flag).filter(|value| !value.is_empty()).ok_or_else(missing)
}

/// The words after `--`, or all but the name.
fn command(call: &Call) -> Vec<String> {
    call.args.get(1..).unwrap_or_default().to_vec()
}

pub async fn namespace(call: &Call) -> Result<u8, Failure> {
    make(
        call,
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name(call) } }),
    )
    .await
}

pub async fn service_account(call: &Call) -> Result<u8, Failure> {
    make(
        call,
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name(call) } }),
    )
    .await
}

/// `--from-literal`, `--from-file`, `--from-env-file` as keys and bytes.
fn data(call: &Call) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut out = Vec::new();
    for text in call.all("from-literal") {
        let bad =
            || Failure::plain(format!("error: invalid literal source {text}, expected key=value"));
        let (key, value) = text.split_once('=').ok_or_else(bad)?;
        out.push((key.to_owned(), value.trim_matches('"').as_bytes().to_vec()));
    }
    for text in call.all("from-file") {
        let (key, path) = match text.split_once('=') {
            Some((key, path)) => (Some(key.to_owned()), path),
            None => (None, text.as_str()),
        };
        files(key, Path::new(path), &mut out)?;
    }
    for path in call.all("from-env-file") {
        let text = std::fs::read_to_string(path).map_err(|e| unread(path, &e))?;
        for line in
            text.lines().map(str::trim_start).filter(|l| !l.is_empty() && !l.starts_with('#'))
        {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            out.push((key.to_owned(), value.as_bytes().to_vec()));
        }
    }
    Ok(out)
}

fn unread(path: &str, error: &std::io::Error) -> Failure {
    Failure::plain(format!("error: error reading {path}: {error}"))
}

fn files(
    key: Option<String>,
    path: &Path,
    out: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), Failure> {
    let shown = path.display().to_string();
    let file_name =
        |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if path.is_dir() {
        let entries: Result<Vec<_>, _> =
            std::fs::read_dir(path).map_err(|e| unread(&shown, &e))?.collect();
        let mut paths: Vec<_> =
            entries.map_err(|e| unread(&shown, &e))?.iter().map(std::fs::DirEntry::path).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.is_file()) {
            out.push((file_name(path), std::fs::read(path).map_err(|e| unread(&shown, &e))?));
        }
        return Ok(());
    }
    let bytes = std::fs::read(path).map_err(|e| unread(&shown, &e))?;
    out.push((key.unwrap_or_else(|| file_name(path)), bytes));
    Ok(())
}

pub async fn config_map(call: &Call) -> Result<u8, Failure> {
    let (mut texts, mut binary) = (Map::new(), Map::new());
    for (key, bytes) in data(call)? {
        match String::from_utf8(bytes) {
            Ok(text) => texts.insert(key, text.into()),
            Err(e) => binary.insert(key, STANDARD.encode(e.as_bytes()).into()),
        };
    }
    let mut value =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name(call) } });
    for (key, map) in [("data", texts), ("binaryData", binary)] {
        if !map.is_empty() {
            value[key] = Value::Object(map);
        }
    }
    make(call, value).await
}

fn secret(name: &str, kind: &str, data: &[(String, Vec<u8>)]) -> Value {
    let encoded: Map = data.iter().map(|(k, v)| (k.clone(), STANDARD.encode(v).into())).collect();
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name },
        "type": kind, "data": encoded,
    })
}

pub async fn secret_generic(call: &Call) -> Result<u8, Failure> {
    let mut value = secret(name(call), call.get("type").unwrap_or_default(), &data(call)?);
    if let Some(map) = value.as_object_mut().filter(|_| call.get("type").is_none()) {
        // The server knows what it is then.
        map.remove("type");
    }
    make(call, value).await
}

pub async fn secret_tls(call: &Call) -> Result<u8, Failure> {
    let read = |flag: &str| -> Result<Vec<u8>, Failure> {
        let path = required(call, flag)?;
        std::fs::read(path).map_err(|e| unread(path, &e))
    };
    let data = [("tls.crt".to_owned(), read("cert")?), ("tls.key".to_owned(), read("key")?)];
    make(call, secret(name(call), "kubernetes.io/tls", &data)).await
}

pub async fn secret_registry(call: &Call) -> Result<u8, Failure> {
    const KIND: &str = "kubernetes.io/dockerconfigjson";
    if !call.all("from-file").is_empty() {
        let mut data = data(call)?;
        if let [one] = data.as_mut_slice() {
            one.0 = ".dockerconfigjson".into();
        }
        return make(call, secret(name(call), KIND, &data)).await;
    }
    let server = call.get("docker-server").unwrap_or("https://index.docker.io/v1/");
    let (user, password) = (required(call, "docker-username")?, required(call, "docker-password")?);
    let mut entry = json!({
        "username": user, "password": password,
        "auth": STANDARD.encode(format!("{user}:{password}")),
    });
    if let Some(email) = call.get("docker-email") {
        entry["email"] = email.into();
    }
    let config = json!({ "auths": { server: entry } }).to_string();
    make(call, secret(name(call), KIND, &[(".dockerconfigjson".into(), config.into_bytes())])).await
}

/// The last part of an image's name, as containers are called.
fn container_name(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    let base = last.split(['@', ':']).next().unwrap_or(last).to_lowercase();
    let clean: String =
        base.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    clean.trim_matches('-').to_owned()
}

pub async fn deployment(call: &Call) -> Result<u8, Failure> {
    if call.all("image").is_empty() {
        return Err(Failure::plain("error: required flag(s) \"image\" not set"));
    }
    let images = call.list("image");
    let labels = json!({ "app": name(call) });
    let containers = images.iter().map(|image| {
        let mut container =
            json!({ "name": container_name(image), "image": image, "resources": {} });
        if !command(call).is_empty() {
            container["command"] = command(call).into();
        }
        if let Some(port) = call.get("port").and_then(|port| port.parse::<u16>().ok()) {
            container["ports"] = json!([{ "containerPort": port }]);
        }
        container
    });
    let containers: Vec<Value> = containers.collect();
    let value = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name(call), "labels": labels },
        "spec": {
            "replicas": call.number::<u32>("replicas")?.unwrap_or(1),
            "selector": { "matchLabels": labels },
            "strategy": {},
            "template": { "metadata": { "labels": labels }, "spec": { "containers": containers } },
        },
    });
    make(call, value).await
}

fn job_spec(call: &Call, image: &str) -> Value {
    let mut container = json!({ "name": name(call), "image": image, "resources": {} });
    if !command(call).is_empty() {
        container["command"] = command(call).into();
    }
    let restart = call.get("restart").unwrap_or("OnFailure");
    let restart = if call.command.name == "job" { "Never" } else { restart };
    json!({ "template": { "metadata": {}, "spec": { "containers": [container], "restartPolicy": restart } } })
}

pub async fn job(call: &Call) -> Result<u8, Failure> {
    let metadata = json!({ "name": name(call) });
    if let Some(from) = call.get("from") {
        let cluster = super::cluster(call)?;
        let cronjob = from.strip_prefix("cronjob/").or(from.strip_prefix("cj/"));
        let cronjob = cronjob
            .ok_or_else(|| call.bad_value("from", from, "only cronjob/NAME is supported"))?;
        let path = format!("/apis/batch/v1/namespaces/{}/cronjobs/{cronjob}", cluster.namespace);
        let source = cluster.kube.get(&path).await;
        let source = source.map_err(|e| Failure::kube(format!("get cronjob/{cronjob}"), &e))?;
        let template = &source["spec"]["jobTemplate"];
        let mut metadata = json!({
            "name": name(call),
            "labels": template["metadata"]["labels"],
            "annotations": template["metadata"]["annotations"],
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "CronJob", "name": cronjob,
                "uid": source["metadata"]["uid"], "controller": true,
            }],
        });
        metadata["annotations"]["cronjob.kubernetes.io/instantiate"] = "manual".into();
        let job = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"] });
        return make(call, job).await;
    }
    let spec = job_spec(call, required(call, "image")?);
    make(
        call,
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec }),
    )
    .await
}

pub async fn cron_job(call: &Call) -> Result<u8, Failure> {
    let (image, schedule) = (required(call, "image")?, required(call, "schedule")?);
    let metadata = json!({ "name": name(call) });
    let value = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata,
        "spec": { "schedule": schedule, "jobTemplate": { "metadata": metadata, "spec": job_spec(call, image) } },
    });
    make(call, value).await
}

/// `80`, `80:8080`
fn service_ports(call: &Call) -> Result<Vec<Value>, Failure> {
    let mut out = Vec::new();
    for text in call.list("tcp") {
        let (port, target) = text.split_once(':').unwrap_or((&text, &text));
        let bad = || call.bad_value("tcp", &text, "it is PORT or PORT:TARGET");
        let port: u16 = port.parse().map_err(|_| bad())?;
        let target = target.parse::<u16>().map_or_else(|_| Value::from(target), Value::from);
        let mut one = json!({ "name": text.replace(':', "-"), "port": port, "protocol": "TCP", "targetPort": target });
        if let Some(port) = call.number::<u16>("node-port")? {
            one["nodePort"] = port.into();
        }
        out.push(one);
    }
    Ok(out)
}

async fn service(call: &Call, kind: &str, more: Value) -> Result<u8, Failure> {
    let labels = json!({ "app": name(call) });
    let mut spec = json!({ "type": kind, "selector": labels, "ports": service_ports(call)? });
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    let metadata = json!({ "name": name(call), "labels": labels });
    make(call, json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec }))
        .await
}

pub async fn service_cluster_ip(call: &Call) -> Result<u8, Failure> {
    match call.get("clusterip") {
        Some("None") => service(call, "ClusterIP", json!({ "clusterIP": "None" })).await,
        Some(ip) => service(call, "ClusterIP", json!({ "clusterIP": ip })).await,
        None => service(call, "ClusterIP", Value::Null).await,
    }
}

pub async fn service_node_port(call: &Call) -> Result<u8, Failure> {
    service(call, "NodePort", Value::Null).await
}

pub async fn service_load_balancer(call: &Call) -> Result<u8, Failure> {
    service(call, "LoadBalancer", Value::Null).await
}

pub async fn service_external_name(call: &Call) -> Result<u8, Failure> {
    let external = required(call, "external-name")?;
    service(call, "ExternalName", json!({ "externalName": external })).await
}

pub async fn token(call: &Call) -> Result<u8, Failure> {
    let cluster = super::cluster(call)?;
    let mut spec = json!({ "audiences": call.all("audience") });
    if let Some(text) = call.get("duration") {
        let duration =
            meta::GoDuration::parse(text).map_err(|why| call.bad_value("duration", text, &why))?;
        spec["expirationSeconds"] = (duration.0 / 1_000_000_000).into();
    }
    let path =
        format!("/api/v1/namespaces/{}/serviceaccounts/{}/token", cluster.namespace, name(call));
    let body =
        json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec });
    let made = cluster.kube.post(&path, &body).await;
    let made = made.map_err(|e| Failure::kube(format!("create a token of {}", name(call)), &e))?;
    out::line(text(&made, "/status/token"));
    Ok(0)
}

/// `pods`, `deployments.apps/scale`: a rule for each group.
fn rules(call: &Call) -> Result<Vec<Value>, Failure> {
    let verbs = call.list("verb");
    if verbs.is_empty() {
        return Err(Failure::plain("error: at least one verb must be specified"));
    }
    let mut groups: std::collections::BTreeMap<String, Vec<String>> =
        std::collections::BTreeMap::new();
    for resource in call.list("resource") {
        let (base, sub) =
            resource.split_once('/').map_or((resource.as_str(), None), |(b, s)| (b, Some(s)));
        let (plural, group) = base.split_once('.').unwrap_or((base, ""));
        let name = sub.map_or(plural.to_owned(), |sub| format!("{plural}/{sub}"));
        groups.entry(group.to_owned()).or_default().push(name);
    }
    let rule = |(group, resources): (&String, &Vec<String>)| {
        let mut rule = json!({ "verbs": verbs, "apiGroups": [group], "resources": resources });
        if !call.all("resource-name").is_empty() {
            rule["resourceNames"] = call.list("resource-name").into();
        }
        rule
    };
    let mut out: Vec<Value> = groups.iter().map(rule).collect();
    if !call.all("non-resource-url").is_empty() {
        out.push(json!({ "verbs": verbs, "nonResourceURLs": call.list("non-resource-url") }));
    }
    match out.is_empty() {
        true => Err(Failure::plain("error: at least one resource must be specified")),
        false => Ok(out),
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";

pub async fn role(call: &Call) -> Result<u8, Failure> {
    let kind = if call.command.name == "role" { "Role" } else { "ClusterRole" };
    let metadata = json!({ "name": name(call) });
    let version = format!("{RBAC}/v1");
    make(
        call,
        json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules(call)? }),
    )
    .await
}

pub async fn role_binding(call: &Call) -> Result<u8, Failure> {
    let local = call.command.name == "rolebinding";
    let (role, role_kind) = match call.get("role").filter(|_| local) {
        Some(role) => (role, "Role"),
        None => (required(call, "clusterrole")?, "ClusterRole"),
    };
    let mut subjects = Vec::new();
    for (flag, kind) in [("user", "User"), ("group", "Group")] {
        for name in call.all(flag) {
            subjects.push(json!({ "kind": kind, "apiGroup": RBAC, "name": name }));
        }
    }
    for text in call.all("serviceaccount") {
        let bad = || call.bad_value("serviceaccount", text, "it is NAMESPACE:NAME");
        let (namespace, name) = text.split_once(':').ok_or_else(bad)?;
        subjects.push(json!({ "kind": "ServiceAccount", "name": name, "namespace": namespace }));
    }
    let value = json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": if local { "RoleBinding" } else { "ClusterRoleBinding" },
        "metadata": { "name": name(call) },
        "roleRef": { "apiGroup": RBAC, "kind": role_kind, "name": role },
        "subjects": subjects,
    });
    make(call, value).await
}

pub async fn run(call: &Call) -> Result<u8, Failure> {
    let image = required(call, "image")?;
    let pod = run_pod(call, image)?;
    if !call.has("attach") && !call.has("stdin") {
        return make(call, pod).await;
    }
    if call.get("dry-run").is_some() {
        return make(call, pod).await;
    }
    super::exec::run_attached(call, &pod).await
}

fn run_pod(call: &Call, image: &str) -> Result<Value, Failure> {
    let mut container = json!({ "name": name(call), "image": image, "resources": {} });
    let words = command(call);
    if !words.is_empty() {
        container[if call.has("command") { "command" } else { "args" }] = words.into();
    }
    let environment = call.all("env").iter().map(|text| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        json!({ "name": name, "value": value })
    });
    let environment: Vec<Value> = environment.collect();
    if !environment.is_empty() {
        container["env"] = environment.into();
    }
    if let Some(port) = call.number::<u16>("port")? {
        container["ports"] = json!([{ "containerPort": port }]);
    }
    if let Some(policy) = call.get("image-pull-policy") {
        container["imagePullPolicy"] = policy.into();
    }
    for (flag, key) in [("stdin", "stdin"), ("tty", "tty")] {
        if call.has(flag) {
            container[key] = true.into();
        }
    }
    if call.has("stdin") {
        container["stdinOnce"] = true.into();
    }
    let labels = match call.get("labels") {
        Some(text) => super::change::pairs(text),
        None => json!({ "run": name(call) }),
    };
    Ok(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name(call), "labels": labels },
        "spec": {
            "containers": [container], "dnsPolicy": "ClusterFirst",
            "restartPolicy": call.get("restart").unwrap_or("Always"),
        },
    }))
}

pub async fn expose(call: &Call) -> Result<u8, Failure> {
    let (_, _, found) = select::fetched(call, &call.args).await?;
    let target = &found[0];
    let object = &target.object;
    let selector = match target.kind.kind.as_str() {
        "Pod" => object["metadata"]["labels"].clone(),
        "Service" | "ReplicationController" => object["spec"]["selector"].clone(),
        _ => object["spec"]["selector"]["matchLabels"].clone(),
    };
    let selector = call.get("selector").map_or(selector, super::change::pairs);
    if selector.as_object().is_none_or(Map::is_empty) {
        return Err(Failure::plain(
            "error: couldn't retrieve selectors via --selector flag or introspection",
        ));
    }
    let protocol = call.get("protocol").unwrap_or("TCP");
    let target_port = |port: u16| match call.get("target-port") {
        Some(text) => text.parse::<u16>().map_or_else(|_| Value::from(text), Value::from),
        None => port.into(),
    };
    let ports: Vec<u16> = match call.number::<u16>("port")? {
        Some(port) => vec![port],
        None => container_ports(object),
    };
    if ports.is_empty() {
        return Err(Failure::plain("error: couldn't find port via --port flag or introspection"));
    }
    let several = ports.len() > 1;
    let ports = ports.iter().enumerate().map(|(at, port)| {
        let mut one =
            json!({ "port": port, "protocol": protocol, "targetPort": target_port(*port) });
        if several {
            one["name"] = format!("port-{}", at + 1).into();
        }
        one
    });
    let mut value = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": call.get("name").unwrap_or(target.name()), "labels": object["metadata"]["labels"] },
        "spec": { "selector": selector, "ports": ports.collect::<Vec<_>>() },
    });
    for (flag, key) in
        [("type", "type"), ("cluster-ip", "clusterIP"), ("external-ip", "externalIPs")]
    {
        if let Some(text) = call.get(flag) {
            value["spec"][key] = if key == "externalIPs" { json!([text]) } else { text.into() };
        }
    }
    make_said(call, value, "exposed").await
}

fn container_ports(object: &Value) -> Vec<u16> {
    let spec = object.pointer("/spec/template/spec").unwrap_or(&object["spec"]);
    let containers = spec["containers"].as_array().into_iter().flatten();
    let ports = containers.flat_map(|c| c["ports"].as_array().into_iter().flatten());
    ports
        .filter_map(|port| port["containerPort"].as_u64().and_then(|p| u16::try_from(p).ok()))
        .collect()
}

pub async fn autoscale(call: &Call) -> Result<u8, Failure> {
    let (_, _, found) = select::fetched(call, &call.args).await?;
    let target = &found[0];
    let mut spec = json!({
        "scaleTargetRef": {
            "apiVersion": target.kind.api_version(), "kind": target.kind.kind, "name": target.name(),
        },
        "maxReplicas": required(call, "max")?.parse::<u32>().unwrap_or(0),
    });
    if let Some(least) = call.number::<u32>("min")?.filter(|least| *least > 0) {
        spec["minReplicas"] = least.into();
    }
    if let Some(percent) = call.number::<u32>("cpu-percent")?.or(cpu(call)) {
        let target = json!({ "type": "Utilization", "averageUtilization": percent });
        spec["metrics"] =
            json!([{ "type": "Resource", "resource": { "name": "cpu", "target": target } }]);
    }
    let metadata = json!({ "name": call.get("name").unwrap_or(target.name()) });
    let kind = "HorizontalPodAutoscaler";
    let value =
        json!({ "apiVersion": "autoscaling/v2", "kind": kind, "metadata": metadata, "spec": spec });
    make_said(call, value, "autoscaled").await
}

/// `--cpu 70%`
fn cpu(call: &Call) -> Option<u32> {
    call.get("cpu")?.trim_end_matches('%').parse().ok()
}
