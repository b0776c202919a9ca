//! Core kinds with little or no behaviour.

use super::pod_defaults::{each, set_text};
use crate::row::{Act, Effect, KindRow, SubAction, SubRow, VersionRow};
use crate::rows::{STATUS, field, version};
use crate::table::{self, AGE, NAME, age, at, col, containers, count, list, name, pairs, text};
use meta::{Fault, Problem, Value};
use serde_json::json;

macro_rules! v1 {
    ($kind:literal) => {
        &[version("v1", concat!("io.k8s.api.core.v1.", $kind))]
    };
}

pub static CONFIG_MAP: KindRow =
    KindRow::namespaced("", "ConfigMap", "configmaps", "configmap", v1!("ConfigMap"))
        .short(&["cm"])
        .table(&[NAME, col("Data", "string", ""), AGE], |v, now| {
            let data = count(v, "data") + count(v, "binaryData");
            vec![name(v), data.to_string().into(), age(v, now)]
        })
        .check(check_config_map)
        .sample("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: sample}\ndata: {color: blue}\n");

fn check_config_map(new: &Value, old: Option<&Value>, faults: &mut Vec<Fault>) {
    crate::check::data::config_map(new, faults);
    frozen(new, old, &["data", "binaryData"], faults);
}

/// `immutable: true` can neither be unset nor its data changed (ValidateConfigMapUpdate).
fn frozen(new: &Value, old: Option<&Value>, fields: &[&str], faults: &mut Vec<Fault>) {
    let why = "field is immutable when `immutable` is set";
    let Some(old) = old.filter(|o| table::flag(o, "immutable")) else { return };
    if !table::flag(new, "immutable") {
        faults.push(Fault::forbidden("immutable", why));
    }
    for field in fields.iter().filter(|f| !same(new.get(**f), old.get(**f))) {
        faults.push(Fault::forbidden(*field, why));
    }
}

/// Absent and empty are the same to Go.
fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    let empty = |v: Option<&Value>| v.is_none_or(|v| v.is_null() || *v == json!({}));
    a == b || (empty(a) && empty(b))
}

pub static SECRET: KindRow = KindRow::namespaced("", "Secret", "secrets", "secret", v1!("Secret"))
    .table(&[NAME, col("Type", "string", ""), col("Data", "integer", ""), AGE], |v, now| {
        vec![name(v), text(v, "type").into(), count(v, "data").into(), age(v, now)]
    })
    .fields(&[field!("type")])
    .defaults(default_secret)
    .prepare(prepare_secret)
    .check(check_secret)
    .sample("apiVersion: v1\nkind: Secret\nmetadata: {name: sample}\ndata: {key: dmFsdWU=}\n");

fn default_secret(secret: &mut Value) {
    if text(secret, "type").is_empty() {
        secret["type"] = "Opaque".into();
    }
}

/// `stringData` is write-only: it is merged into `data` (upstream does this in the conversion).
fn prepare_secret(new: &mut Value, _old: Option<&Value>) {
    let Some(strings) = new.as_object_mut().and_then(|o| o.remove("stringData")) else { return };
    for (key, value) in strings.as_object().into_iter().flatten() {
        let bytes = value.as_str().unwrap_or_default().as_bytes();
        new["data"][key] = base64(bytes).into();
    }
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn check_secret(new: &Value, old: Option<&Value>, faults: &mut Vec<Fault>) {
    crate::check::data::secret(new, faults);
    frozen(new, old, &["data"], faults);
    if old.is_some_and(|old| old.get("type") != new.get("type")) {
        faults.push(Fault::invalid("type", text(new, "type"), "field is immutable"));
    }
}

pub static SERVICE_ACCOUNT: KindRow = KindRow::namespaced(
    "",
    "ServiceAccount",
    "serviceaccounts",
    "serviceaccount",
    v1!("ServiceAccount"),
)
.short(&["sa"])
.returns_deleted()
.subresources(&[SubRow {
    name: "token",
    verbs: &["create"],
    kind: Some((
        "authentication.k8s.io",
        "v1",
        "TokenRequest",
        "io.k8s.api.authentication.v1.TokenRequest",
    )),
    action: SubAction::Act(token),
}])
.table(&[NAME, col("Secrets", "string", ""), AGE], |v, now| {
    vec![name(v), count(v, "secrets").to_string().into(), age(v, now)]
})
.check(crate::check::data::service_account)
.sample("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: sample}\n");

fn token(act: &Act<'_>) -> Result<Effect, Problem> {
    act.tokens.mint(act.parent, act.body.clone(), act.now, act.view).map(Effect::Answer)
}

pub static ENDPOINTS: KindRow =
    KindRow::namespaced("", "Endpoints", "endpoints", "endpoints", v1!("Endpoints"))
        .short(&["ep"])
        .put_creates()
        .table(&[NAME, col("Endpoints", "string", ""), AGE], |v, now| {
            vec![name(v), endpoints(v).into(), age(v, now)]
        })
        .defaults(default_endpoints)
        .check(crate::check::network::endpoints)
        .sample(concat!(
            "apiVersion: v1\nkind: Endpoints\nmetadata: {name: sample}\n",
            "subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: 80}]}]\n"
        ));

/// SetObjectDefaults_Endpoints.
fn default_endpoints(v: &mut Value) {
    for subset in each(v, "subsets") {
        each(subset, "ports").for_each(|port| set_text(port, "protocol", "TCP"));
    }
}

/// The first three `ip:port`, then how many more (formatEndpoints).
fn endpoints(v: &Value) -> String {
    let mut all = Vec::new();
    for subset in list(v, "subsets") {
        let addresses = list(subset, "addresses").iter().map(|a| text(a, "ip"));
        if list(subset, "ports").is_empty() {
            all.extend(addresses);
            continue;
        }
        for port in list(subset, "ports") {
            let port = text(port, "port");
            all.extend(list(subset, "addresses").iter().map(|a| joined(&text(a, "ip"), &port)));
        }
    }
    let more = all.len().saturating_sub(3);
    all.truncate(3);
    match (all.is_empty(), more) {
        (true, _) => "<none>".into(),
        (_, 0) => all.join(","),
        _ => format!("{} + {more} more...", all.join(",")),
    }
}

fn joined(ip: &str, port: &str) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

pub static LIMIT_RANGE: KindRow =
    KindRow::namespaced("", "LimitRange", "limitranges", "limitrange", v1!("LimitRange"))
        .short(&["limits"])
        .put_creates()
        .defaults(default_limits)
        .check(crate::check::data::limits)
        .sample(concat!(
            "apiVersion: v1\nkind: LimitRange\nmetadata: {name: sample}\n",
            "spec: {limits: [{type: Container, max: {cpu: '1'}}]}\n"
        ));

/// SetDefaults_LimitRangeItem: container defaults fall back to max, requests to limits, then min.
fn default_limits(range: &mut Value) {
    let items = range.pointer_mut("/spec/limits").and_then(Value::as_array_mut);
    for item in items.into_iter().flatten().filter(|i| i["type"] == "Container") {
        for (to, from) in
            [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")]
        {
            fill(item, to, from);
        }
    }
}

fn fill(item: &mut Value, to: &str, from: &str) {
    let Some(source) = item.get(from).and_then(Value::as_object).cloned() else { return };
    if !item[to].is_object() {
        item[to] = json!({});
    }
    for (resource, amount) in source {
        item[to].as_object_mut().expect("made an object above").entry(resource).or_insert(amount);
    }
}

pub static RESOURCE_QUOTA: KindRow = KindRow::namespaced(
    "",
    "ResourceQuota",
    "resourcequotas",
    "resourcequota",
    v1!("ResourceQuota"),
)
.short(&["quota"])
.returns_deleted()
.subresources(&[STATUS])
.table(&[NAME, col("Request", "string", ""), col("Limit", "string", ""), AGE], |v, now| {
    vec![name(v), quota(v, false).into(), quota(v, true).into(), age(v, now)]
})
.check(crate::check::data::quota)
.sample(
    "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: sample}\nspec: {hard: {pods: '4'}}\n",
);

fn quota(v: &Value, limits: bool) -> String {
    let hard = at(v, "status.hard").and_then(Value::as_object);
    let used = at(v, "status.used");
    let shown = hard.into_iter().flatten().filter(|(k, _)| k.starts_with("limits.") == limits);
    let parts: Vec<_> = shown
        .map(|(k, h)| {
            let used = used.and_then(|u| u.get(k)).map_or("0".into(), table::plain);
            format!("{k}: {used}/{}", table::plain(h))
        })
        .collect();
    parts.join(", ")
}

pub static POD_TEMPLATE: KindRow =
    KindRow::namespaced("", "PodTemplate", "podtemplates", "podtemplate", v1!("PodTemplate"))
        .table(
            &[
                NAME,
                col("Containers", "string", ""),
                col("Images", "string", ""),
                col("Pod Labels", "string", ""),
            ],
            |v, _| {
                let [names, images] = containers(v, "template.spec.containers");
                vec![name(v), names, images, pairs(v, "template.metadata.labels")]
            },
        )
        .counted()
        .put_creates()
        .returns_deleted()
        .defaults(|v| {
            if let Some(template) = v.get_mut("template") {
                super::pod_defaults::template(template);
            }
        })
        .check(crate::check::workload::pod_template)
        .sample(concat!(
            "apiVersion: v1\nkind: PodTemplate\nmetadata: {name: sample}\n",
            "template: {spec: {containers: [{name: c, image: i}]}}\n"
        ));

pub static COMPONENT_STATUS: KindRow = KindRow::cluster(
    "",
    "ComponentStatus",
    "componentstatuses",
    "componentstatus",
    &[VersionRow { name: "v1", message: "io.k8s.api.core.v1.ComponentStatus", convert: None }],
)
.short(&["cs"])
.read_only();

/// `bindings`: the old way to bind a pod, kept by upstream as a create-only resource.
pub static BINDING: KindRow =
    KindRow::namespaced("", "Binding", "bindings", "binding", v1!("Binding")).question();
