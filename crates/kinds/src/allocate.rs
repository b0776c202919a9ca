//! Cluster IPs and node ports of services (pkg/registry/core/service/storage/alloc.go), allocated in the
//! transaction that writes the service.
//!
//! A cluster IP is held by an IPAddress object: two services cannot get the same one, since the second transaction
//! finds the object there and is planned again. Node ports have no object of their own upstream; writers of node
//! ports meet at one hidden object instead.

use crate::admission::{Admit, Also, AlsoChange, Extras, Operation};
use crate::core::pod_defaults::{each, set_text};
use crate::table::{at, int, list, plain, text, text_or};
use meta::{Fault, Problem, Resource, Value};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use store::{Key, View};

/// Used until a ServiceCIDR exists.
pub(crate) const DEFAULT_RANGE: &str = "10.96.0.0/12";
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;

/// Mutating admission of services.
pub(crate) fn service(
    v: &mut Value,
    admit: &Admit<'_>,
    extras: &mut Extras,
) -> Result<(), Problem> {
    let writes = matches!(admit.operation, Operation::Create | Operation::Update);
    if !admit.is("services") || !writes || !v["spec"].is_object() {
        return Ok(());
    }
    if let Some(old) = admit.old {
        carry(v, old);
        drop_dependents(v, old);
    }
    let mut faults = Vec::new();
    addresses(v, admit, extras, &mut faults);
    ports(v, admit, extras, &mut faults);
    match faults.as_slice() {
        [] => Ok(()),
        faults => Err(Problem::invalid("", "Service", &text(v, "metadata.name"), faults)),
    }
}

fn wants_ip(v: &Value) -> bool {
    text(v, "spec.type") != "ExternalName"
}

fn wants_ports(v: &Value) -> bool {
    match text(v, "spec.type").as_str() {
        "NodePort" => true,
        "LoadBalancer" => at(v, "spec.allocateLoadBalancerNodePorts") != Some(&Value::Bool(false)),
        _ => false,
    }
}

/// patchAllocatedValues: what an update leaves out stays as it was allocated.
fn carry(v: &mut Value, old: &Value) {
    if wants_ip(v) && wants_ip(old) {
        for key in OF_IPS {
            let missing = at(v, &format!("spec.{key}")).is_none_or(|x| *x == "" || *x == json!([]));
            if let (true, Some(value)) = (missing, old["spec"].get(key)) {
                v["spec"][key] = value.clone();
            }
        }
    }
    if wants_ports(v) && wants_ports(old) {
        for port in each(&mut v["spec"], "ports").filter(|p| int(p, "nodePort") == 0) {
            let same = |o: &&Value| o["port"] == port["port"] && o["protocol"] == port["protocol"];
            if let Some(before) = list(old, "spec.ports").iter().find(same)
                && int(before, "nodePort") != 0
            {
                port["nodePort"] = before["nodePort"].clone();
            }
        }
    }
}

const OF_IPS: [&str; 4] = ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"];

/// dropTypeDependentFields: what only the old type needed goes, unless the client changed it too.
fn drop_dependents(v: &mut Value, old: &Value) {
    let kind = |v: &Value| text(v, "spec.type");
    let balances = |v: &Value| kind(v) == "LoadBalancer";
    let policed = |v: &Value| {
        let outside = kind(v) == "ClusterIP" && !list(v, "spec.externalIPs").is_empty();
        matches!(kind(v).as_str(), "NodePort" | "LoadBalancer") || outside
    };
    let probed = |v: &Value| balances(v) && text(v, "spec.externalTrafficPolicy") == "Local";
    let rules: [(bool, &[&str]); 5] = [
        (wants_ip(old) && !wants_ip(v), &OF_IPS),
        (probed(old) && !probed(v), &["healthCheckNodePort"]),
        (balances(old) && !balances(v), &["allocateLoadBalancerNodePorts", "loadBalancerClass"]),
        (policed(old) && !policed(v), &["externalTrafficPolicy"]),
        (wants_ip(old) && !wants_ip(v), &["internalTrafficPolicy"]),
    ];
    for (gone, fields) in rules {
        for field in fields.iter().filter(|_| gone) {
            if v["spec"].get(field) == old["spec"].get(field) {
                v["spec"].as_object_mut().map(|spec| spec.remove(*field));
            }
        }
    }
    let ports = |v: &Value| -> Vec<i64> {
        list(v, "spec.ports").iter().map(|p| int(p, "nodePort")).collect()
    };
    if wants_ports(old) && !wants_ports(v) && ports(v) == ports(old) {
        for port in each(&mut v["spec"], "ports") {
            port.as_object_mut().map(|p| p.remove("nodePort"));
        }
    }
}

fn addresses(v: &mut Value, admit: &Admit<'_>, extras: &mut Extras, faults: &mut Vec<Fault>) {
    if !wants_ip(v) {
        // What it had goes back; what the client still names, validation refuses.
        extras.also.extend(admit.old.into_iter().flat_map(|old| release(old, admit.view)));
        return;
    }
    let given = text_or(
        v,
        "spec.clusterIP",
        &list(v, "spec.clusterIPs").first().map(plain).unwrap_or_default(),
    );
    let headless = given == "None";
    families(v, headless);
    let before = admit.old.map(|old| text(old, "spec.clusterIP")).unwrap_or_default();
    let ip = match given.as_str() {
        "None" => given,
        ip if !ip.is_empty() && ip == before => given,
        ip if !ip.is_empty() && !before.is_empty() && before != "None" => {
            let why = "may not change once set";
            faults.push(Fault::invalid("spec.clusterIPs[0]", json!([ip]), why));
            return;
        }
        "" => match free_ip(admit.view, &text(v, "metadata.uid")) {
            Some(ip) => ip,
            None => {
                faults.push(failed(Value::Null, "failed to allocate a serviceIP: range is full"));
                return;
            }
        },
        ip => match claimable(admit.view, ip) {
            Ok(()) => given,
            Err(why) => {
                let why = format!("failed to allocate IP {ip}: {why}");
                faults.push(Fault::invalid("spec.clusterIPs", json!([ip]), why));
                return;
            }
        },
    };
    if !headless && ip != before {
        extras.also.push(hold(&ip, v, admit));
    }
    v["spec"]["clusterIP"] = ip.clone().into();
    v["spec"]["clusterIPs"] = json!([ip]);
}

fn failed(value: Value, why: &str) -> Fault {
    let value = if value.is_null() { json!([]) } else { value };
    Fault::invalid("spec.clusterIPs", value, why)
}

/// One family, except for headless services that select nothing.
fn families(v: &mut Value, headless: bool) {
    let both = headless && at(v, "spec.selector").is_none();
    set_text(
        &mut v["spec"],
        "ipFamilyPolicy",
        if both { "RequireDualStack" } else { "SingleStack" },
    );
    if list(v, "spec.ipFamilies").is_empty() {
        v["spec"]["ipFamilies"] = if both { json!(["IPv4", "IPv6"]) } else { json!(["IPv4"]) };
    }
}

/// Base and size of the service range.
fn range(view: &View) -> (u32, u32) {
    let cidrs = Resource::new("networking.k8s.io", "servicecidrs");
    let stored = view.get(&Key::new(&cidrs, "", "kubernetes")).map(|o| o.value());
    let given = stored.iter().flat_map(|v| list(v, "spec.cidrs")).map(plain);
    let parsed = given.filter_map(|cidr| parse(&cidr)).next();
    parsed.or_else(|| parse(DEFAULT_RANGE)).expect("the default range parses")
}

fn parse(cidr: &str) -> Option<(u32, u32)> {
    let (ip, bits) = cidr.split_once('/')?;
    let (ip, bits): (Ipv4Addr, u32) = (ip.parse().ok()?, bits.parse().ok()?);
    let host = 32u32.checked_sub(bits).filter(|h| (1..=20).contains(h))?;
    Some((u32::from(ip), 1 << host))
}

fn is_held(view: &View, ip: &str) -> bool {
    view.get(&Key::new(&Resource::new("networking.k8s.io", "ipaddresses"), "", ip)).is_some()
}

/// A free address; the low band is left to services that name theirs (ServiceIPStaticSubrange).
fn free_ip(view: &View, uid: &str) -> Option<String> {
    let (base, size) = range(view);
    let band = (size / 16).clamp(16, 256).min(size / 2);
    let (from, count) = (band, size - band - 1);
    let seed =
        uid.bytes().fold(2_166_136_261u32, |h, b| (h ^ u32::from(b)).wrapping_mul(16_777_619));
    let high = (0..count).map(|i| from + (seed % count + i) % count);
    let low = 1..band;
    high.chain(low)
        .map(|offset| Ipv4Addr::from(base + offset).to_string())
        .find(|ip| !is_held(view, ip))
}

fn claimable(view: &View, ip: &str) -> Result<(), String> {
    let (base, size) = range(view);
    let inside = match ip.parse() {
        Ok(IpAddr::V4(v4)) => (base..base + size).contains(&u32::from(v4)),
        _ => false,
    };
    if !inside {
        let (start, bits) = (Ipv4Addr::from(base), 32 - size.ilog2());
        return Err(format!(
            "the provided IP ({ip}) is not in the valid range. The range of valid IPs is {start}/{bits}"
        ));
    }
    if is_held(view, ip) { Err("provided IP is already allocated".into()) } else { Ok(()) }
}

/// The IPAddress object that holds `ip` for the service.
fn hold(ip: &str, service: &Value, admit: &Admit<'_>) -> Also {
    let value = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {
            "name": ip,
            "uid": derived_uid(&text(service, "metadata.uid")),
            "creationTimestamp": admit.now.rfc3339(),
            "generation": 1,
            "labels": {
                "ipaddress.kubernetes.io/ip-family": "IPv4",
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": { "parentRef": {
            "resource": "services",
            "namespace": text(service, "metadata.namespace"),
            "name": text(service, "metadata.name"),
        } },
    });
    let resource = Resource::new("networking.k8s.io", "ipaddresses");
    Also { resource, change: AlsoChange::Create(value) }
}

/// Another UUID from a UUID, since a pure function has no randomness of its own: the first digits swap places.
fn derived_uid(uid: &str) -> String {
    let mut bytes: Vec<char> = uid.chars().collect();
    if bytes.len() >= 8 {
        bytes[..8].reverse();
        bytes.swap(0, 9);
    }
    bytes.into_iter().collect()
}

/// What a deleted service gives back.
pub(crate) fn release(v: &Value, view: &View) -> Vec<Also> {
    let resource = Resource::new("networking.k8s.io", "ipaddresses");
    let held = list(v, "spec.clusterIPs").iter().map(plain).filter(|ip| is_held(view, ip));
    held.map(|name| Also {
        resource: resource.clone(),
        change: AlsoChange::Delete { namespace: String::new(), name },
    })
    .collect()
}

fn ports(v: &mut Value, admit: &Admit<'_>, extras: &mut Extras, faults: &mut Vec<Fault>) {
    if !wants_ports(v) {
        return;
    }
    let mut used =
        used_ports(admit.view, &text(v, "metadata.namespace"), &text(v, "metadata.name"));
    let before: Vec<i64> = admit.old.map(own_ports).unwrap_or_default();
    let mut changed = false;
    for (i, port) in each(&mut v["spec"], "ports").enumerate() {
        let wanted = int(port, "nodePort");
        if wanted == 0 {
            let Some(free) = NODE_PORTS.clone().find(|p| !used.contains(p)) else {
                let path = format!("spec.ports[{i}].nodePort");
                faults.push(Fault::invalid(
                    path,
                    0,
                    "failed to allocate a nodePort: range is full",
                ));
                return;
            };
            port["nodePort"] = free.into();
        } else if !before.contains(&wanted)
            && (!NODE_PORTS.contains(&wanted) || used.contains(&wanted))
        {
            let path = format!("spec.ports[{i}].nodePort");
            let why = match NODE_PORTS.contains(&wanted) {
                true => "provided port is already allocated".to_string(),
                false => format!(
                    "provided port is not in the valid range. The range of valid ports is {}-{}",
                    NODE_PORTS.start(),
                    NODE_PORTS.end()
                ),
            };
            faults.push(Fault::invalid(path, wanted, why));
            return;
        }
        let taken = int(port, "nodePort");
        changed |= !before.contains(&taken);
        used.push(taken);
    }
    if text(v, "spec.type") == "LoadBalancer" && text(v, "spec.externalTrafficPolicy") == "Local" {
        changed |= health_port(v, &mut used);
    }
    if changed {
        extras.also.push(meeting(v, admit.view));
    }
}

/// The port load balancers probe.
fn health_port(v: &mut Value, used: &mut Vec<i64>) -> bool {
    if int(v, "spec.healthCheckNodePort") != 0 {
        return false;
    }
    let Some(free) = NODE_PORTS.clone().find(|p| !used.contains(p)) else { return false };
    v["spec"]["healthCheckNodePort"] = free.into();
    used.push(free);
    true
}

fn own_ports(v: &Value) -> Vec<i64> {
    let ports = list(v, "spec.ports").iter().map(|p| int(p, "nodePort"));
    ports.chain([int(v, "spec.healthCheckNodePort")]).filter(|p| *p != 0).collect()
}

/// Node ports of every other service.
fn used_ports(view: &View, namespace: &str, name: &str) -> Vec<i64> {
    let services = Resource::new("", "services");
    let exposed = ["NodePort", "LoadBalancer"].into_iter();
    exposed
        .flat_map(|kind| view.by_field(&services, "spec.type", kind))
        .filter(|o| (&*o.key.namespace, &*o.key.name) != (namespace, name))
        .flat_map(|o| own_ports(&o.value()))
        .collect()
}

/// Makes concurrent allocations of node ports meet: the second one is planned again.
fn meeting(service: &Value, view: &View) -> Also {
    let resource = Resource::new("", "rangeallocations");
    let mut value = json!({
        "apiVersion": "v1",
        "kind": "RangeAllocation",
        "metadata": { "name": "servicenodeports" },
        "range": format!("{}-{}", NODE_PORTS.start(), NODE_PORTS.end()),
        "data": format!("{}:{:?}", text(service, "metadata.uid"), own_ports(service)),
    });
    let change = match view.get(&Key::new(&resource, "", "servicenodeports")) {
        None => AlsoChange::Create(value),
        Some(current) => {
            value["metadata"]["resourceVersion"] = current.revision.to_string().into();
            AlsoChange::Replace(value)
        }
    };
    Also { resource, change }
}
