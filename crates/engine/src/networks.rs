//! Networks: their records, address pools and members, and the kernel's side of them.
//!
//! The record of a network is a file; pools and members live in memory and are rebuilt from the
//! running containers' records when the engine opens.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use ipnet::IpNet;
use net::{Firewall, Instance};
use netplan::ipam::Pool;
use serde::{Deserialize, Serialize};

use crate::config::{Dict, List};
use crate::containers::replace;
use crate::error::{Doing, EngineError, Result};
use crate::filter::Filters;
use crate::ident::{fresh_id, is_name};
use crate::time::Stamp;

mod create;
mod firewall;
mod join;
mod names;
mod publish;

pub(crate) use join::Join;
pub use join::Member;
pub use publish::PublishedPort;

/// A network as it was created; what `inspect` shows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkRecord {
    pub id: String,
    pub name: String,
    pub created: Stamp,
    /// bridge, host or null.
    pub driver: String,
    pub enable_ipv4: bool,
    pub enable_ipv6: bool,
    pub internal: bool,
    pub attachable: bool,
    pub ipam: Ipam,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Interface name of the bridge; empty for other drivers.
    pub bridge: String,
}

/// Docker's IPAM configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ipam {
    pub driver: String,
    pub options: Dict<String>,
    pub config: List<IpamConfig>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IpamConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subnet: String,
    #[serde(rename = "IPRange", skip_serializing_if = "String::is_empty")]
    pub ip_range: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    #[serde(rename = "AuxiliaryAddresses", skip_serializing_if = "Option::is_none")]
    pub auxiliary: Dict<String>,
}

/// A network that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkSpec {
    pub name: String,
    pub driver: String,
    /// `None`: true.
    pub enable_ipv4: Option<bool>,
    pub enable_ipv6: bool,
    pub internal: bool,
    pub attachable: bool,
    pub ipam: Ipam,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

/// One network: the record and what lives on it now.
pub struct Network {
    pub record: NetworkRecord,
    pub(crate) state: Mutex<NetworkState>,
}

#[derive(Default)]
pub(crate) struct NetworkState {
    pub pools: Vec<Pool>,
    /// By container.
    pub members: BTreeMap<String, Member>,
    /// The bridge exists.
    pub up: bool,
}

/// The networks that every engine has.
pub const PREDEFINED: &[&str] = &["bridge", "host", "none"];

pub struct Networks {
    root: PathBuf,
    pub(crate) instance: Instance,
    all: RwLock<BTreeMap<String, Arc<Network>>>,
    /// One writer of the firewall; opened when the first network needs it.
    firewall: Mutex<Option<Firewall>>,
    names: names::Names,
    /// Held from the choice of a name and subnets until they are everybody's to see.
    choosing: Mutex<()>,
}

impl Networks {
    /// Reads the records; makes the predefined networks when they are missing.
    pub fn open(name: &str, root: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&root).doing(|| format!("creating {}", root.display()))?;
        let mut all = BTreeMap::new();
        for entry in std::fs::read_dir(&root).doing(|| format!("reading {}", root.display()))? {
            let path = entry?.path();
            // What was being written when the process died; the record beside it counts.
            if path.extension().is_none_or(|e| e != "json") {
                let _ = std::fs::remove_file(&path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap_or_default();
            match serde_json::from_slice::<NetworkRecord>(&bytes) {
                Ok(record) => {
                    let network = Network::from_record(record)?;
                    all.insert(network.record.id.clone(), Arc::new(network));
                }
                Err(_) => std::fs::remove_file(&path)
                    .doing(|| format!("removing half-made {}", path.display()))?,
            }
        }
        let all = RwLock::new(all);
        let networks = Self {
            root,
            instance: Instance::new(name),
            all,
            firewall: Mutex::default(),
            names: names::Names::default(),
            choosing: Mutex::default(),
        };
        networks.ensure_predefined()?;
        Ok(networks)
    }

    fn ensure_predefined(&self) -> Result<()> {
        for (name, driver) in [("bridge", "bridge"), ("host", "host"), ("none", "null")] {
            if self.find(name).is_err() {
                let driver = driver.to_owned();
                let spec = NetworkSpec { name: name.to_owned(), driver, ..NetworkSpec::default() };
                let record = self.plan_record(spec)?;
                self.keep(record)?;
            }
        }
        Ok(())
    }

    /// Writes a record and lets everybody see it.
    fn keep(&self, record: NetworkRecord) -> Result<Arc<Network>> {
        let bytes = serde_json::to_vec(&record).doing(|| format!("encoding {}", record.name))?;
        let path = self.root.join(format!("{}.json", record.id));
        replace(&path, &bytes)?;
        crate::containers::sync(&path)?;
        let network = Arc::new(Network::from_record(record)?);
        let mut all = self.all.write().expect("no panic happens under this lock");
        all.insert(network.record.id.clone(), network.clone());
        Ok(network)
    }

    /// By name: predefined ones first, then in the order of names.
    pub fn list(&self) -> Vec<Arc<Network>> {
        let all = self.all.read().expect("no panic happens under this lock");
        let mut list: Vec<_> = all.values().cloned().collect();
        list.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        list
    }

    /// By full id, name, or unique prefix of the id.
    pub fn find(&self, wanted: &str) -> Result<Arc<Network>> {
        let list = self.list();
        let exact = |n: &&Arc<Network>| n.record.id == wanted || n.record.name == wanted;
        if let Some(found) = list.iter().find(exact) {
            return Ok(found.clone());
        }
        let mut hits = list.iter().filter(|n| n.record.id.starts_with(wanted));
        match (hits.next(), hits.next()) {
            (Some(found), None) if !wanted.is_empty() => Ok(found.clone()),
            (Some(_), Some(_)) if !wanted.is_empty() => Err(EngineError::invalid(format!(
                "network {wanted} is ambiguous ({} matches found based on ID prefix)",
                list.iter().filter(|n| n.record.id.starts_with(wanted)).count()
            ))),
            _ => Err(EngineError::not_found(format!("network {wanted} not found"))),
        }
    }

    /// Makes a network and its bridge.
    pub fn create(&self, spec: NetworkSpec) -> Result<Arc<Network>> {
        if !is_name(&spec.name) {
            return Err(EngineError::invalid(format!("invalid network name: \"{}\"", spec.name)));
        }
        if PREDEFINED.contains(&spec.name.as_str()) || spec.name == "default" {
            return Err(EngineError::forbidden(format!(
                "operation is not permitted on predefined {} network ",
                spec.name
            )));
        }
        let choosing = self.choosing.lock().expect("no panic happens under this lock");
        if self.list().iter().any(|n| n.record.name == spec.name) {
            let text = format!("network with name {} already exists", spec.name);
            return Err(EngineError::conflict(text));
        }
        let record = self.plan_record(spec)?;
        let network = self.keep(record)?;
        drop(choosing);
        if let Err(e) = self.bring_up(&network) {
            self.drop_record(&network);
            return Err(e);
        }
        Ok(network)
    }

    /// Removes a network without members.
    pub fn remove(&self, network: &Arc<Network>) -> Result<()> {
        let name = &network.record.name;
        if network.record.is_kept() {
            return Err(EngineError::forbidden(format!(
                "{name} is a pre-defined network and cannot be removed"
            )));
        }
        {
            let mut state = network.lock();
            if !state.members.is_empty() {
                let members: Vec<String> = state
                    .members
                    .values()
                    .map(|m| {
                        format!("name:\"{}\" id:\"{}\"", m.name, crate::ident::short(&m.endpoint))
                    })
                    .collect();
                return Err(EngineError::forbidden(format!(
                    "error while removing network: network {name} has active endpoints ({})",
                    members.join(", ")
                )));
            }
            state.up = false;
        }
        self.drop_record(network);
        if !network.record.bridge.is_empty() {
            let bridge = &network.record.bridge;
            self.instance.remove_bridge(bridge).doing(|| format!("removing bridge {bridge}"))?;
        }
        self.sync_firewall()
    }

    fn drop_record(&self, network: &Network) {
        let id = &network.record.id;
        let _ = std::fs::remove_file(self.root.join(format!("{id}.json")));
        self.all.write().expect("no panic happens under this lock").remove(id);
    }

    /// Every subnet of every network.
    fn subnets(&self) -> Vec<IpNet> {
        let of = |n: &Arc<Network>| n.record.subnets();
        self.list().iter().flat_map(of).collect()
    }
}

impl NetworkRecord {
    pub fn is_predefined(&self) -> bool {
        PREDEFINED.contains(&self.name.as_str())
    }

    /// Not the users' to remove: an engine's own networks, and the one its pods are on.
    pub fn is_kept(&self) -> bool {
        self.is_predefined() || self.is_routed()
    }

    /// Members reach each other through the machine, past its firewall (for pods).
    pub(crate) fn is_routed(&self) -> bool {
        self.options.get(join::ROUTED).is_some_and(|v| v == "true")
    }

    pub(crate) fn subnets(&self) -> Vec<IpNet> {
        let configs = crate::config::items(&self.ipam.config);
        configs.iter().filter_map(|c| c.subnet.parse().ok()).collect()
    }

    /// An option of the bridge driver that is false when it says so.
    pub(crate) fn switched_off(&self, option: &str) -> bool {
        self.options.get(option).is_some_and(|v| v == "false" || v == "0")
    }
}

impl Network {
    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, NetworkState> {
        self.state.lock().expect("no panic happens under this lock")
    }

    pub fn members(&self) -> Vec<Member> {
        self.lock().members.values().cloned().collect()
    }
}

/// `network ls` filters; moby `daemon/network/filter.go`.
pub fn matches(filters: &Filters, network: &Network, in_use: bool) -> Result<bool> {
    filters.only(&["dangling", "driver", "id", "label", "name", "scope", "type"])?;
    let record = &network.record;
    let label = |key: &str| record.labels.get(key).map(String::as_str);
    let kind = if record.is_kept() { "builtin" } else { "custom" };
    let dangling = filters.has("dangling").then(|| filters.flag("dangling", false)).transpose()?;
    Ok(filters.any("driver", |d| d == record.driver)
        && filters.any("id", |id| record.id.starts_with(id))
        && filters.any("name", |name| record.name.contains(name))
        && filters.any("scope", |scope| scope == "local")
        && filters.any("type", |wanted| wanted == kind)
        && filters.labels("label", label)
        && dangling.is_none_or(|wanted| wanted == (!in_use && !record.is_kept())))
}

pub(crate) fn new_id() -> String {
    fresh_id()
}
