//! Ports as options say them and as tables show them.

use super::format::text;
use meta::{Map, Value};
use serde_json::json;
use std::collections::BTreeMap;

/// `0.0.0.0:8080->80/tcp, 443/tcp` (docker cli `formatter.DisplayablePorts`): neighbours become ranges.
pub fn displayed(ports: &Value) -> String {
    let mut list: Vec<Port> = ports.as_array().into_iter().flatten().map(Port::read).collect();
    list.sort();
    let mut groups: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    let (mut out, mut mapped) = (Vec::new(), Vec::new());
    for port in list {
        let mut key = port.protocol.clone();
        if !port.ip.is_empty() {
            if port.public != port.private {
                let host = if port.ip.contains(':') { format!("[{}]", port.ip) } else { port.ip };
                mapped.push(format!("{host}:{}->{}/{}", port.public, port.private, port.protocol));
                continue;
            }
            key = format!("{}/{}", port.ip, port.protocol);
        }
        match groups.get_mut(&key) {
            None => {
                order.push(key.clone());
                groups.insert(key, (port.private, port.private));
            }
            Some(group) if port.private == group.1 + 1 => group.1 = port.private,
            Some(group) if port.private == group.1 => {}
            Some(group) => {
                out.push(formed(&key, *group));
                *group = (port.private, port.private);
            }
        }
    }
    out.extend(order.iter().map(|key| formed(key, groups[key])));
    out.extend(mapped);
    out.join(", ")
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    private: u64,
    ip: String,
    public: u64,
    protocol: String,
}

impl Port {
    fn read(value: &Value) -> Self {
        let number = |key: &str| value[key].as_u64().unwrap_or_default();
        Self {
            private: number("PrivatePort"),
            ip: text(&value["IP"]),
            public: number("PublicPort"),
            protocol: text(&value["Type"]),
        }
    }
}

fn formed(key: &str, (first, last): (u64, u64)) -> String {
    let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
    match key.split_once('/') {
        Some((ip, protocol)) if ip.contains(':') => format!("[{ip}]:{range}->{range}/{protocol}"),
        Some((ip, protocol)) => format!("{ip}:{range}->{range}/{protocol}"),
        None => format!("{range}/{key}"),
    }
}

/// `[IP:][HOST[-HOST]:]PORT[-PORT][/PROTOCOL]` into `ExposedPorts` and `PortBindings` (docker/go-connections `nat`).
pub fn published(spec: &str, exposed: &mut Map, bindings: &mut Map) -> Result<(), String> {
    let (rest, protocol) = spec.split_once('/').unwrap_or((spec, "tcp"));
    let (host, container) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (ip, host) =
        host.rsplit_once(':').unwrap_or(if host.contains('.') { (host, "") } else { ("", host) });
    let ip = ip.trim_start_matches('[').trim_end_matches(']');
    let (first, last) =
        range(container).ok_or_else(|| format!("invalid containerPort: {container}"))?;
    let hosts = match host {
        "" => None,
        host => Some(range(host).ok_or_else(|| format!("invalid hostPort: {host}"))?),
    };
    if !matches!(protocol.to_lowercase().as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    for (at, port) in (first..=last).enumerate() {
        let at = u16::try_from(at).unwrap_or(u16::MAX);
        let key = format!("{port}/{}", protocol.to_lowercase());
        let host = match hosts {
            None => String::new(),
            Some((low, high)) if high - low == last - first => (low + at).to_string(),
            // One container port takes any free port of the range.
            Some((low, high)) if first == last => format!("{low}-{high}"),
            Some(_) => {
                return Err(format!(
                    "invalid ranges specified for container and host Ports: {spec}"
                ));
            }
        };
        exposed.insert(key.clone(), json!({}));
        let list = bindings.entry(key).or_insert_with(|| json!([]));
        if let Value::Array(list) = list {
            list.push(json!({ "HostIp": ip, "HostPort": host }));
        }
    }
    Ok(())
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = (first.parse().ok()?, last.parse().ok()?);
    (range.0 > 0 && range.0 <= range.1).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_show_ranges() {
        let port = |private: u16, public: u16, ip: &str| json!({ "PrivatePort": private, "PublicPort": public, "IP": ip, "Type": "tcp" });
        let bare = |private: u16| json!({ "PrivatePort": private, "Type": "tcp" });
        assert_eq!(
            displayed(&json!([port(80, 8080, "0.0.0.0"), port(80, 8080, "::")])),
            "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
        );
        assert_eq!(displayed(&json!([bare(443), bare(80), bare(81)])), "80-81/tcp, 443/tcp");
        assert_eq!(displayed(&json!([port(80, 80, "0.0.0.0")])), "0.0.0.0:80->80/tcp");
    }

    #[test]
    fn options_say_ports() {
        let published = |spec: &str| {
            let (mut exposed, mut bindings) = (Map::new(), Map::new());
            published(spec, &mut exposed, &mut bindings)?;
            Ok::<_, String>(Value::Object(bindings).to_string())
        };
        assert_eq!(
            published("8080:80").unwrap(),
            r#"{"80/tcp":[{"HostIp":"","HostPort":"8080"}]}"#
        );
        assert_eq!(published("80").unwrap(), r#"{"80/tcp":[{"HostIp":"","HostPort":""}]}"#);
        assert_eq!(
            published("127.0.0.1::53/udp").unwrap(),
            r#"{"53/udp":[{"HostIp":"127.0.0.1","HostPort":""}]}"#
        );
        assert_eq!(
            published("[::1]:1-2:3-4").unwrap(),
            r#"{"3/tcp":[{"HostIp":"::1","HostPort":"1"}],"4/tcp":[{"HostIp":"::1","HostPort":"2"}]}"#
        );
        assert!(published("a:b").is_err());
        assert!(published("1-3:4-5").is_err());
        assert!(published("80/icmp").is_err());
    }
}
