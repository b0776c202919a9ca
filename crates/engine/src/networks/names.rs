//! Names of containers on user-defined networks: one small server inside each container.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use net::Netns;
use net::dns::{DnsServer, DnsSockets, Forwarder, SharedZone, Upstreams, serve};
use netplan::dns::{ContainerName, Records, Zone, container_records};

use super::{Network, Networks};
use crate::config::items;
use crate::error::Result;
use crate::record::Record;

/// The servers of running containers, by container.
#[derive(Default)]
pub(super) struct Names {
    servers: Mutex<BTreeMap<String, Server>>,
    /// The machine's resolvers, shared by all containers that choose none.
    machine: std::sync::OnceLock<Arc<Forwarder>>,
}

struct Server {
    zone: SharedZone,
    _running: DnsServer,
}

impl Names {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Server>> {
        self.servers.lock().expect("no panic happens under this lock")
    }

    fn forwarder(&self, record: &Record) -> Arc<Forwarder> {
        let chosen = items(&record.host.dns);
        if !chosen.is_empty() {
            let addr = |s: &String| s.parse().ok().map(|ip| SocketAddr::new(ip, 53));
            let fixed = chosen.iter().filter_map(addr).collect();
            return Arc::new(Forwarder::new(Upstreams::Fixed(fixed)));
        }
        let file = || Upstreams::File(PathBuf::from("/etc/resolv.conf"));
        self.machine.get_or_init(|| Arc::new(Forwarder::new(file()))).clone()
    }
}

impl Networks {
    /// Starts the container's server unless it runs, when a network of it has names.
    pub(crate) fn serve_names(&self, record: &Record, netns: &Netns) -> Result<()> {
        let on = self.named_networks(&record.id);
        if on.is_empty() || self.names.lock().contains_key(&record.id) {
            return Ok(());
        }
        let sockets = DnsSockets::embedded(netns)?;
        let internal = on.iter().all(|n| n.record.internal);
        let forward = (!internal).then(|| self.names.forwarder(record));
        let zone: SharedZone = Arc::new(ArcSwap::from_pointee(self.zone(&record.id)));
        let running = serve(sockets, zone.clone(), forward)?;
        let server = Server { zone, _running: running };
        self.names.lock().insert(record.id.clone(), server);
        Ok(())
    }

    pub(super) fn forget_names(&self, container: &str) {
        drop(self.names.lock().remove(container));
    }

    /// Tells every server what the members of its networks are called now.
    pub(super) fn refresh_names(&self) {
        let servers = self.names.lock();
        for (container, server) in servers.iter() {
            server.zone.store(Arc::new(self.zone(container)));
        }
    }

    /// Networks with names that a container is on; the default bridge has none.
    fn named_networks(&self, container: &str) -> Vec<Arc<Network>> {
        let on = |n: &Arc<Network>| {
            !n.record.is_predefined() && n.lock().members.contains_key(container)
        };
        self.list().into_iter().filter(on).collect()
    }

    fn zone(&self, container: &str) -> Zone {
        let records = |n: &Arc<Network>| Arc::new(n.records());
        Zone::of_networks(self.named_networks(container).iter().map(records).collect())
    }
}

impl Network {
    fn records(&self) -> Records {
        let name = |m: super::Member| ContainerName {
            addrs: m.addrs.iter().map(ipnet::IpNet::addr).collect(),
            aliases: m.names.into_iter().filter(|n| *n != m.name).collect(),
            name: m.name,
        };
        let names: Vec<ContainerName> = self.members().into_iter().map(name).collect();
        container_records(&self.record.name, &names)
    }
}
