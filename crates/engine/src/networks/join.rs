//! A container joins and leaves a network.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ipnet::IpNet;
use net::{AttachSpec, Mac, Neighbours, Netns};
use netplan::bridge::Published;
use netplan::ipam::Pool;

use super::publish::{self, Holds, PublishedPort};
use super::{Network, Networks, new_id};
use crate::config::{EndpointIpam, EndpointSettings, items};
use crate::error::{Doing, EngineError, Result};
use crate::record::Record;

/// Network option of [`NetworkRecord::is_routed`](super::NetworkRecord::is_routed).
pub(super) const ROUTED: &str = "boxship.routed";

/// A container on a network.
#[derive(Debug, Clone)]
pub struct Member {
    pub container: String,
    /// The container's name.
    pub name: String,
    pub endpoint: String,
    pub mac: String,
    pub addrs: Vec<IpNet>,
    /// What it is called on this network.
    pub names: Vec<String>,
    pub(super) rules: Vec<Published>,
    _holds: Arc<Holds>,
}

/// What a join needs to know.
pub(crate) struct Join<'a> {
    pub record: &'a Record,
    /// `None`: addresses are kept but there is no process yet.
    pub netns: &'a Netns,
    /// `eth0`
    pub ifname: String,
    /// Gives the default route and the published ports.
    pub is_gateway: bool,
}

impl Networks {
    /// Puts a container on a network: address, link, ports, rules. Fills the lower half of the
    /// settings. On an error nothing is left.
    pub(crate) fn join(
        &self,
        network: &Arc<Network>,
        wanted: &EndpointSettings,
        join: &Join<'_>,
    ) -> Result<(EndpointSettings, Vec<PublishedPort>)> {
        self.bring_up(network)?;
        let (host, config) = (&join.record.host, &join.record.config);
        let (ports, holds) = if join.is_gateway && !network.record.internal {
            let exposed = config.exposed_ports.iter().flatten().map(|(p, _)| p.clone());
            publish::take(host, exposed, &join.record.name)?
        } else {
            (Vec::new(), Vec::new())
        };
        let member = network.reserve(wanted, join.record, &ports, holds)?;
        let done = self.link(network, &member, wanted, join).and_then(|mac| {
            if !member.rules.is_empty() {
                self.sync_firewall()?;
            }
            Ok(mac)
        });
        match done {
            Ok(mac) => {
                if let Some(m) = network.lock().members.get_mut(&member.container) {
                    m.mac.clone_from(&mac);
                }
                self.refresh_names();
                Ok((settings(network, wanted, &member, mac), ports))
            }
            Err(e) => {
                self.leave(network, &join.record.id);
                Err(e)
            }
        }
    }

    fn link(
        &self,
        network: &Network,
        member: &Member,
        wanted: &EndpointSettings,
        join: &Join<'_>,
    ) -> Result<String> {
        let record = &network.record;
        let gateways = match join.is_gateway && !record.internal {
            true => network.gateways(),
            false => Vec::new(),
        };
        let mac: Option<Mac> = match wanted.mac_address.as_str() {
            "" => None,
            text => Some(text.parse().map_err(EngineError::invalid)?),
        };
        let isolated = record.switched_off("com.docker.network.bridge.enable_icc");
        let spec = AttachSpec {
            id: member.endpoint.clone(),
            bridge: record.bridge.clone(),
            ifname: join.ifname.clone(),
            addrs: member.addrs.clone(),
            gateways,
            mac,
            mtu: None,
            neighbours: match isolated {
                _ if record.is_routed() => Neighbours::Routed,
                true => Neighbours::Isolated,
                false => Neighbours::Reachable,
            },
        };
        let attached = self.instance.attach(join.netns, &spec);
        let attached =
            attached.doing(|| format!("connecting {} to network {}", member.name, record.name))?;
        Ok(attached.mac.to_string())
    }

    /// Takes a container off a network; not being on it is fine.
    pub(crate) fn leave(&self, network: &Arc<Network>, container: &str) {
        let gone = {
            let mut state = network.lock();
            let gone = state.members.remove(container);
            for addr in gone.iter().flat_map(|m| &m.addrs) {
                release(&mut state.pools, addr.addr());
            }
            gone
        };
        let Some(member) = gone else { return };
        if !self.list().iter().any(|n| n.lock().members.contains_key(container)) {
            self.forget_names(container);
        }
        self.refresh_names();
        if let Err(e) = self.instance.detach(&member.endpoint) {
            eprintln!("engine: taking {} off network {}: {e}", member.name, network.record.name);
        }
        if !member.rules.is_empty()
            && let Err(e) = self.sync_firewall()
        {
            eprintln!("engine: closing the ports of {}: {e}", member.name);
        }
    }

    /// Rebuilds members from what runs, then removes links nobody owns.
    pub(crate) fn recover(&self, members: &[Arc<Record>]) -> Result<()> {
        let mut endpoints = Vec::new();
        for record in members {
            if !record.state.phase.is_live() {
                continue;
            }
            for (name, settings) in &record.endpoints {
                let Ok(network) = self.find(name) else { continue };
                if settings.endpoint_id.is_empty() {
                    continue;
                }
                endpoints.push(settings.endpoint_id.clone());
                network.readmit(settings, record);
            }
        }
        let known = |owned: &net::Owned| match owned.kind {
            net::OwnedKind::Veth => endpoints.contains(&owned.id),
            net::OwnedKind::Bridge => self.list().iter().any(|n| n.record.id == owned.id),
        };
        let what = || "removing links that nobody owns".to_owned();
        let left = self.instance.retain(known).doing(what);
        if let Err(e) = left {
            eprintln!("engine: {e}");
        }
        for network in self.list() {
            let used = !network.lock().members.is_empty();
            if used {
                self.bring_up(&network)?;
            }
        }
        self.recover_names(members);
        Ok(())
    }

    fn recover_names(&self, members: &[Arc<Record>]) {
        for record in members {
            let Ok(pid) = u32::try_from(record.state.pid) else { continue };
            if pid == 0 || record.pod.is_some() || !record.state.phase.is_live() {
                continue;
            }
            let served = Netns::of_process(pid)
                .map_err(EngineError::from)
                .and_then(|netns| self.serve_names(record, &netns));
            if let Err(e) = served {
                eprintln!("engine: serving names to {}: {e}", record.name);
            }
        }
    }
}

impl Network {
    fn gateways(&self) -> Vec<IpAddr> {
        self.lock().pools.iter().map(Pool::gateway).collect()
    }

    /// Takes the addresses and writes the member down.
    fn reserve(
        &self,
        wanted: &EndpointSettings,
        record: &Record,
        ports: &[PublishedPort],
        holds: Vec<OwnedFd>,
    ) -> Result<Member> {
        let mut state = self.lock();
        if state.members.contains_key(&record.id) {
            return Err(EngineError::forbidden(format!(
                "endpoint with name {} already exists in network {}",
                record.name, self.record.name
            )));
        }
        let mut addrs = Vec::new();
        let chosen = wanted.ipam_config.clone().unwrap_or_default();
        for i in 0..state.pools.len() {
            match allocate(&mut state.pools[i], &chosen) {
                Ok(addr) => addrs.push(addr),
                Err(e) => {
                    addrs.iter().for_each(|a: &IpNet| release(&mut state.pools, a.addr()));
                    return Err(e);
                }
            }
        }
        let bare: Vec<IpAddr> = addrs.iter().map(IpNet::addr).collect();
        let member = Member {
            container: record.id.clone(),
            name: record.name.clone(),
            endpoint: new_id(),
            mac: String::new(),
            names: names(wanted, record),
            rules: publish::rules(ports, &bare),
            _holds: Arc::new(Holds(holds)),
            addrs,
        };
        state.members.insert(record.id.clone(), member.clone());
        Ok(member)
    }

    /// A running container that was here before the engine restarted.
    fn readmit(&self, settings: &EndpointSettings, record: &Record) {
        let v4 = (&settings.ip_address, settings.ip_prefix_len);
        let v6 = (&settings.global_ipv6_address, settings.global_ipv6_prefix_len);
        let net = |(text, prefix): (&String, u8)| IpNet::new(text.parse().ok()?, prefix).ok();
        let addrs: Vec<IpNet> = [v4, v6].into_iter().filter_map(net).collect();
        let bare: Vec<IpAddr> = addrs.iter().map(IpNet::addr).collect();
        let mut state = self.lock();
        for pool in &mut state.pools {
            let subnet = pool.subnet();
            for addr in bare.iter().filter(|a| subnet.contains(*a)) {
                // Two containers cannot have had the same address.
                let _ = pool.claim(*addr);
            }
        }
        let rules = publish::rules(&record.ports, &bare);
        let member = Member {
            container: record.id.clone(),
            name: record.name.clone(),
            endpoint: settings.endpoint_id.clone(),
            mac: settings.mac_address.clone(),
            names: names(settings, record),
            _holds: Arc::new(Holds(publish::retake(&record.ports))),
            rules,
            addrs,
        };
        state.members.insert(record.id.clone(), member);
    }
}

fn allocate(pool: &mut Pool, chosen: &EndpointIpam) -> Result<IpNet> {
    let text =
        if pool.subnet().addr().is_ipv4() { &chosen.ipv4_address } else { &chosen.ipv6_address };
    let addr = match text.as_str() {
        "" => pool.allocate()?,
        text => {
            let addr: IpAddr = text.parse().map_err(|_| {
                EngineError::invalid(format!(
                    "invalid endpoint settings:\ninvalid IP address: {text}"
                ))
            })?;
            pool.claim(addr)?;
            addr
        }
    };
    IpNet::new(addr, pool.subnet().prefix_len()).doing(|| format!("address {addr}"))
}

fn release(pools: &mut [Pool], addr: IpAddr) {
    if let Some(pool) = pools.iter_mut().find(|p| p.subnet().contains(&addr)) {
        pool.release(addr);
    }
}

/// Container name, short id and aliases.
fn names(wanted: &EndpointSettings, record: &Record) -> Vec<String> {
    let own = [record.name.clone(), record.short_id().to_owned()];
    let mut out: Vec<String> = Vec::new();
    let hostname = (!record.config.hostname.is_empty()).then(|| record.config.hostname.clone());
    for name in own.into_iter().chain(items(&wanted.aliases).iter().cloned()).chain(hostname) {
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}

fn settings(
    network: &Network,
    wanted: &EndpointSettings,
    member: &Member,
    mac: String,
) -> EndpointSettings {
    let gateway = |v4: bool| {
        let found = network.gateways().into_iter().find(|g| g.is_ipv4() == v4);
        found.map(|g| g.to_string()).unwrap_or_default()
    };
    let addr = |v4: bool| member.addrs.iter().find(|a| a.addr().is_ipv4() == v4);
    let text = |v4: bool| addr(v4).map(|a| a.addr().to_string()).unwrap_or_default();
    let prefix = |v4: bool| addr(v4).map_or(0, IpNet::prefix_len);
    let user_defined = !network.record.is_predefined();
    EndpointSettings {
        network_id: network.record.id.clone(),
        endpoint_id: member.endpoint.clone(),
        mac_address: mac,
        gateway: if network.record.internal { String::new() } else { gateway(true) },
        ip_address: text(true),
        ip_prefix_len: prefix(true),
        ipv6_gateway: gateway(false),
        global_ipv6_address: text(false),
        global_ipv6_prefix_len: prefix(false),
        dns_names: user_defined.then(|| member.names.clone()),
        ..wanted.clone()
    }
}
