//! From a wanted network to its record and pools.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};
use net::{BridgeSpec, sysctl};
use netplan::ipam::{self, Order, Pool, PoolSpec};

use super::{IpamConfig, Network, NetworkRecord, NetworkSpec, Networks, new_id};
use crate::config::items;
use crate::error::{Doing, EngineError, Result};
use crate::time::Stamp;

/// Where the IPv6 subnets come from that nobody chose.
const LOCAL_V6: &str = "fd00:b0::/48";

impl From<ipam::IpamError> for EngineError {
    fn from(e: ipam::IpamError) -> Self {
        match e {
            ipam::IpamError::Overlaps(..) | ipam::IpamError::InUse(_) => {
                Self::forbidden(e.to_string())
            }
            ipam::IpamError::Invalid(_) | ipam::IpamError::Outside(..) => {
                Self::invalid(e.to_string())
            }
            ipam::IpamError::Exhausted(_) | ipam::IpamError::NoSubnetLeft => {
                Self::system(e.to_string())
            }
        }
    }
}

impl Networks {
    /// Chooses subnets and names; checks what the user chose.
    pub(super) fn plan_record(&self, spec: NetworkSpec) -> Result<NetworkRecord> {
        let driver = if spec.driver.is_empty() { "bridge".to_owned() } else { spec.driver.clone() };
        if !matches!(driver.as_str(), "bridge" | "host" | "null") {
            return Err(EngineError::not_found(format!(
                "could not find plugin {driver} in v1 plugin registry: plugin not found"
            )));
        }
        if driver != "bridge" && !super::PREDEFINED.contains(&spec.name.as_str()) {
            return Err(EngineError::forbidden(format!(
                "only one instance of \"{driver}\" network is allowed"
            )));
        }
        let mut record = NetworkRecord {
            id: new_id(),
            name: spec.name,
            created: Stamp::now(),
            enable_ipv4: spec.enable_ipv4.unwrap_or(true),
            enable_ipv6: spec.enable_ipv6,
            internal: spec.internal,
            attachable: spec.attachable,
            ipam: spec.ipam,
            options: spec.options,
            labels: spec.labels,
            bridge: String::new(),
            driver,
        };
        if record.ipam.driver.is_empty() {
            record.ipam.driver = "default".to_owned();
        }
        if record.driver == "bridge" {
            self.plan_bridge(&mut record)?;
        }
        Ok(record)
    }

    fn plan_bridge(&self, record: &mut NetworkRecord) -> Result<()> {
        let chosen = record.options.get("com.docker.network.bridge.name").cloned();
        record.bridge = chosen.unwrap_or_else(|| self.instance.bridge_name(&record.id));
        if record.bridge.len() > 15 || record.bridge.is_empty() {
            return Err(EngineError::invalid(format!("invalid bridge name: {}", record.bridge)));
        }
        let mut taken = self.subnets();
        let mut configs = items(&record.ipam.config).to_vec();
        for config in &configs {
            let subnet = parse_subnet(config)?;
            ipam::check_subnet(&subnet, &taken)?;
            taken.push(subnet);
        }
        let has =
            |configs: &[IpamConfig], v6: bool| configs.iter().any(|c| c.subnet.contains(':') == v6);
        taken.extend(net::host_subnets().doing(|| "reading the host's routes".to_owned())?);
        if record.enable_ipv4 && !has(&configs, false) {
            let subnet = ipam::free_subnet(&taken)?;
            configs.insert(0, IpamConfig { subnet: subnet.to_string(), ..IpamConfig::default() });
        }
        if record.enable_ipv6 && !has(&configs, true) {
            let pool: Ipv6Net = LOCAL_V6.parse().expect("a constant that is a subnet");
            let subnet = ipam::free_subnet6(pool, &taken)?;
            configs.push(IpamConfig { subnet: subnet.to_string(), ..IpamConfig::default() });
        }
        for config in &mut configs {
            let pool = Pool::new(&pool_spec(config)?)?;
            if config.gateway.is_empty() {
                config.gateway = pool.gateway().to_string();
            }
        }
        record.ipam.config = Some(configs);
        Ok(())
    }

    /// Makes the bridge and its rules unless that is done already.
    pub(super) fn bring_up(&self, network: &Network) -> Result<()> {
        let record = &network.record;
        if record.driver != "bridge" {
            return Ok(());
        }
        {
            let mut state = network.lock();
            if state.up {
                return Ok(());
            }
            let what = || format!("creating bridge {} of network {}", record.bridge, record.name);
            sysctl::prepare_host().doing(what)?;
            self.instance.ensure_bridge(&bridge_spec(record, &state.pools)).doing(what)?;
            state.up = true;
        }
        self.sync_firewall()
    }
}

fn bridge_spec(record: &NetworkRecord, pools: &[Pool]) -> BridgeSpec {
    let gateway = |p: &Pool| IpNet::new(p.gateway(), p.subnet().prefix_len()).ok();
    let mtu = record.options.get("com.docker.network.driver.mtu");
    BridgeSpec {
        ifname: record.bridge.clone(),
        id: record.id.clone(),
        gateways: pools.iter().filter_map(gateway).collect(),
        mtu: mtu.and_then(|m| m.parse().ok()),
    }
}

fn parse_subnet(config: &IpamConfig) -> Result<IpNet> {
    let subnet: IpNet = config.subnet.parse().map_err(|_| {
        EngineError::invalid(format!(
            "invalid network config:\ninvalid subnet {}: invalid CIDR block notation",
            config.subnet
        ))
    })?;
    if subnet != subnet.trunc() {
        return Err(EngineError::invalid(format!(
            "invalid network config:\ninvalid subnet {subnet}: it should be {}",
            subnet.trunc()
        )));
    }
    Ok(subnet)
}

fn pool_spec(config: &IpamConfig) -> Result<PoolSpec> {
    let bad = |what: &str, text: &str| EngineError::invalid(format!("invalid {what} {text}"));
    let mut spec = PoolSpec { order: Order::Lowest, ..PoolSpec::of(parse_subnet(config)?) };
    if !config.ip_range.is_empty() {
        let range = config.ip_range.parse().map_err(|_| bad("ip range", &config.ip_range))?;
        spec.range = Some(range);
    }
    if !config.gateway.is_empty() {
        let gateway: IpAddr =
            config.gateway.parse().map_err(|_| bad("gateway", &config.gateway))?;
        spec.gateway = Some(gateway);
    }
    for (name, text) in config.auxiliary.iter().flatten() {
        let addr: IpAddr = text.parse().map_err(|_| bad(&format!("aux-address {name}"), text))?;
        spec.reserved.push(addr);
    }
    Ok(spec)
}

impl Network {
    /// The network with pools that hold only gateways and reservations.
    pub(super) fn from_record(record: NetworkRecord) -> Result<Self> {
        let mut pools = Vec::new();
        for config in items(&record.ipam.config) {
            pools.push(Pool::new(&pool_spec(config)?)?);
        }
        let state = super::NetworkState { pools, ..Default::default() };
        Ok(Self { record, state: std::sync::Mutex::new(state) })
    }
}
