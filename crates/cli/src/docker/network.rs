//! `network` commands.

use super::options::pairs;
use super::{each, engine};
use crate::command::{Flag, many, on, one, perhaps};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use remote::escape;
use serde_json::json;

pub const CREATE_FLAGS: &[Flag] = &[
    on("attachable", None, "Containers may be attached by hand"),
    many("aux-address", None, "NAME=IP", "An address that is taken already"),
    one("driver", Some('d'), "NAME", "Which driver (bridge)"),
    many("gateway", None, "IP", "The gateway of the subnet"),
    on("internal", None, "Without a way out"),
    many("ip-range", None, "CIDR", "Where in the subnet addresses come from"),
    one("ipam-driver", None, "NAME", "Who gives addresses (default)"),
    many("ipam-opt", None, "KEY=VALUE", "An option for them"),
    perhaps("ipv6", "BOOL", "true", "With IPv6"),
    many("label", None, "KEY=VALUE", "A label"),
    many("opt", Some('o'), "KEY=VALUE", "An option of the driver"),
    one("scope", None, "SCOPE", "Its scope"),
    many("subnet", None, "CIDR", "Its subnet"),
];

pub async fn create(call: &Call) -> Result<u8, Failure> {
    let name = &call.args[0];
    let mut pools = Vec::new();
    for (at, subnet) in call.all("subnet").iter().enumerate() {
        let mut pool = json!({ "Subnet": subnet });
        for (flag, key) in [("gateway", "Gateway"), ("ip-range", "IPRange")] {
            if let Some(value) = call.all(flag).get(at) {
                pool[key] = value.as_str().into();
            }
        }
        if !call.all("aux-address").is_empty() && at == 0 {
            pool["AuxiliaryAddresses"] = pairs(call.all("aux-address"));
        }
        pools.push(pool);
    }
    let mut body = json!({
        "Name": name,
        "Driver": call.get("driver").unwrap_or("bridge"),
        "Internal": call.has("internal"),
        "Attachable": call.has("attachable"),
        "Options": pairs(call.all("opt")),
        "Labels": pairs(call.all("label")),
        "IPAM": {
            "Driver": call.get("ipam-driver").unwrap_or("default"),
            "Options": pairs(call.all("ipam-opt")),
            "Config": pools,
        },
    });
    if call.get("ipv6").is_some() {
        body["EnableIPv6"] = call.has("ipv6").into();
    }
    if let Some(scope) = call.get("scope") {
        body["Scope"] = scope.into();
    }
    let done = engine(call)?.post("/networks/create", Some(&body)).await;
    let done = done.map_err(|e| Failure::docker(format!("create the network `{name}`"), &e))?;
    out::line(done["Id"].as_str().unwrap_or_default());
    Ok(0)
}

pub async fn remove(call: &Call) -> Result<u8, Failure> {
    let engine = engine(call)?;
    let force = call.has("force");
    let one = |name: &str| {
        let (engine, path) = (engine.clone(), format!("/networks/{}", escape(name)));
        async move {
            match engine.delete(&path).await {
                Err(e) if force && e.is_not_found() => Ok(()),
                other => other.map(drop),
            }
        }
    };
    each(call, "remove the network", one).await
}

pub async fn connect(call: &Call) -> Result<u8, Failure> {
    let (network, container) = (&call.args[0], &call.args[1]);
    let mut endpoint = json!({});
    for (flag, key) in [("alias", "Aliases"), ("link", "Links")] {
        if !call.all(flag).is_empty() {
            endpoint[key] = call.all(flag).into();
        }
    }
    for (flag, key) in [("ip", "IPv4Address"), ("ip6", "IPv6Address")] {
        if let Some(address) = call.get(flag) {
            endpoint["IPAMConfig"][key] = address.into();
        }
    }
    if !call.all("driver-opt").is_empty() {
        endpoint["DriverOpts"] = pairs(call.all("driver-opt"));
    }
    let body = json!({ "Container": container, "EndpointConfig": endpoint });
    let done =
        engine(call)?.post(&format!("/networks/{}/connect", escape(network)), Some(&body)).await;
    done.map_err(|e| Failure::docker(format!("connect `{container}` to `{network}`"), &e))?;
    Ok(0)
}

pub async fn disconnect(call: &Call) -> Result<u8, Failure> {
    let (network, container) = (&call.args[0], &call.args[1]);
    let body = json!({ "Container": container, "Force": call.has("force") });
    let path = format!("/networks/{}/disconnect", escape(network));
    let done = engine(call)?.post(&path, Some(&body)).await;
    done.map_err(|e| Failure::docker(format!("disconnect `{container}` from `{network}`"), &e))?;
    Ok(0)
}
