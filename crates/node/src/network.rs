//! The pod network of this node: its bridge, Services in the firewall, load balancer addresses, cluster DNS.
//!
//! What the rules and names are is decided by crate `netplan`; here its inputs are read from the store whenever they
//! change, and the results applied as a whole. One pass serves however many changes came meanwhile.

mod dns;
pub(crate) mod ingress;
mod load_balancer;
mod proxy;
mod system;

use crate::config::NodeConfig;
use crate::ops::Hands;
use ipnet::IpNet;
use load_balancer::Addresses;
use meta::Problem;
use net::dns::{DnsServer, DnsSockets, Forwarder, SharedZone, Upstreams, serve};
use net::{BridgeSpec, Firewall, FirewallWatch, Instance};
use netplan::proxy::{NodeFacts, ProxyInput, UdpTargets};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use store::View;

/// What a pass works with.
pub(crate) struct Network {
    hands: Hands,
    facts: NodeFacts,
    addresses: Addresses,
    zone: SharedZone,
    firewall: Option<Firewall>,
    applied: Option<ProxyInput>,
    targets: UdpTargets,
    _dns: DnsServer,
}

/// Kinds whose changes matter.
const INPUTS: [&str; 3] = ["services", "endpointslices.discovery.k8s.io", "namespaces"];

fn failed(what: &str, error: impl std::fmt::Display) -> Problem {
    Problem::internal(format!("pod network: {what}: {error}"))
}

impl NodeConfig {
    fn pod_net(&self) -> Result<IpNet, Problem> {
        self.pod_cidr.parse().map_err(|e| failed("podCIDR", e))
    }

    /// The node's address on its pod bridge: the pods' gateway.
    ///
    /// # Errors
    /// When `pod_cidr` is no subnet.
    pub fn gateway(&self) -> Result<IpAddr, Problem> {
        let first = self.pod_net()?.hosts().next();
        first.ok_or_else(|| failed("podCIDR", "it has no addresses"))
    }
}

impl Network {
    /// Makes the bridge and the system's own Services; starts cluster DNS.
    pub async fn open(hands: Hands) -> Result<Self, Problem> {
        let config = hands.config.clone();
        let bridge = make_bridge(&hands).await?;
        let gateway = config.gateway()?;
        let service_net: IpNet =
            config.service_cidr.parse().map_err(|e| failed("serviceCIDR", e))?;
        let pool = config.balancer_pool.parse().map_err(|e| failed("balancerPool", e))?;
        let addresses = Addresses(pool);
        let lb_net = IpNet::V4(addresses.pool());
        for subnet in [service_net, lb_net] {
            lead_to(subnet, &bridge, gateway).map_err(|e| failed("route", e))?;
        }
        system::ensure(&hands.client, &config).await?;
        let zone = SharedZone::default();
        let sockets =
            DnsSockets::bind(SocketAddr::new(gateway, 53)).map_err(|e| failed("DNS", e))?;
        let machine = Upstreams::File(PathBuf::from("/etc/resolv.conf"));
        let forwarder = Arc::new(Forwarder::new(machine));
        let server = serve(sockets, zone.clone(), Some(forwarder)).map_err(|e| failed("DNS", e))?;
        let instance = Instance::new(&config.instance);
        let facts = NodeFacts {
            table: instance.kube_table(),
            cluster_cidrs: vec![config.pod_net()?],
            pod_cidrs: vec![config.pod_net()?],
            service_cidrs: vec![service_net, lb_net],
            node_port_ips: Vec::new(),
        };
        Ok(Self {
            hands,
            facts,
            addresses,
            zone,
            firewall: None,
            applied: None,
            targets: UdpTargets::default(),
            _dns: server,
        })
    }

    /// Follows the store until the task is dropped.
    pub async fn run(mut self) {
        let store = self.hands.client.store().clone();
        let mut subscription = store.subscribe();
        let watch = FirewallWatch::open();
        if let Err(error) = &watch {
            tracing::warn!(%error, "deleted firewall tables will not be noticed");
        }
        let mut seen = self.pass().await;
        loop {
            let lost = async {
                match &watch {
                    Ok(watch) => watch.table_deleted().await.is_ok(),
                    Err(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = subscription.past(seen) => {
                    seen = match concerns(&store.view(), seen) {
                        Some(newest) => newest,
                        None => self.pass().await,
                    };
                }
                _ = lost => self.restore(),
            }
        }
    }

    /// Reads everything and applies it. Gives the revision it was read at.
    async fn pass(&mut self) -> u64 {
        let view = self.hands.client.view();
        load_balancer::assign(&self.hands.client, &view, &self.addresses).await;
        let view = self.hands.client.view();
        let input = proxy::input(&view, &self.hands.config.name);
        if self.applied.as_ref() != Some(&input) {
            self.apply(input);
        }
        let config = &self.hands.config;
        let zone = netplan::dns::zone(&dns::input(&view, config, &self.facts.service_cidrs));
        self.zone.store(Arc::new(zone));
        view.revision()
    }

    fn apply(&mut self, input: ProxyInput) {
        let ruleset = netplan::proxy::rules(&input, &self.facts);
        let firewall = match self.firewall.take() {
            Some(open) => Ok(open),
            None => Firewall::open(),
        };
        let done = firewall.and_then(|open| self.firewall.insert(open).apply(&ruleset));
        if let Err(error) = done {
            tracing::error!(%error, "the firewall does not take the Services");
            return;
        }
        let before = std::mem::replace(&mut self.targets, UdpTargets::of(&input));
        if before != self.targets {
            let stale = |flow: &net::Flow| {
                self.targets.is_stale(flow.destination, flow.answering, |_| true)
            };
            if let Err(error) = net::forget_udp(stale) {
                tracing::warn!(%error, "stale UDP connections are kept");
            }
        }
        self.applied = Some(input);
    }

    fn restore(&mut self) {
        let Some(firewall) = &mut self.firewall else { return };
        match firewall.restore_if_lost() {
            Ok(true) => {
                tracing::warn!("somebody deleted the Services' firewall table; written again")
            }
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the firewall table cannot be written again"),
        }
    }
}

/// The newest revision when nothing since `seen` matters here; else `None`.
fn concerns(view: &View, seen: u64) -> Option<u64> {
    let changes = view.changes(seen).ok()?;
    let matters = changes.iter().any(|c| INPUTS.contains(&c.after.key.resource.as_str()));
    (!matters).then(|| changes.up_to().max(seen))
}

/// The engine's network for pods, and its bridge with the gateway's address. Gives the bridge's name.
async fn make_bridge(hands: &Hands) -> Result<String, Problem> {
    let config = &hands.config;
    let (engine, name) = (&hands.engine, &config.network);
    if engine.network(name).is_err() {
        let config_of_pods = engine::networks::IpamConfig {
            subnet: config.pod_cidr.clone(),
            gateway: config.gateway()?.to_string(),
            ..Default::default()
        };
        let ipam =
            engine::networks::Ipam { config: Some(vec![config_of_pods]), ..Default::default() };
        let options = [
            // Pods see each other's addresses; what leaves the cluster is masqueraded by the Services' table.
            ("boxship.routed", "true"),
            ("com.docker.network.bridge.enable_ip_masquerade", "false"),
        ];
        let spec = engine::networks::NetworkSpec {
            name: name.clone(),
            ipam,
            options: options.map(|(k, v)| (k.to_string(), v.to_string())).into(),
            labels: BTreeMap::new(),
            ..Default::default()
        };
        engine.network_create(spec).await.map_err(|e| failed("network", e))?;
    }
    let network = engine.network(name).map_err(|e| failed("network", e))?;
    let record = &network.record;
    net::sysctl::prepare_host().map_err(|e| failed("machine", e))?;
    let prefix = config.pod_net()?.prefix_len();
    let gateway = IpNet::new(config.gateway()?, prefix).map_err(|e| failed("gateway", e))?;
    let spec = BridgeSpec {
        ifname: record.bridge.clone(),
        id: record.id.clone(),
        gateways: vec![gateway],
        mtu: None,
    };
    Instance::new(&config.instance).ensure_bridge(&spec).map_err(|e| failed("bridge", e))?;
    Ok(record.bridge.clone())
}

/// A route that is there already is fine.
fn lead_to(subnet: IpNet, bridge: &str, source: IpAddr) -> Result<(), net::Error> {
    if net::host_subnets()?.contains(&subnet) {
        return Ok(());
    }
    net::add_subnet_route(subnet, bridge, source)
}
