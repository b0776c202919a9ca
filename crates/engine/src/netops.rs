//! Operations on networks: create, remove, connect, disconnect, prune.

use std::sync::Arc;

use net::Netns;

use crate::config::EndpointSettings;
use crate::containers::Container;
use crate::engine::Engine;
use crate::error::{Doing, EngineError, Result};
use crate::events::Attributes;
use crate::filter::Filters;
use crate::networks::{self, Join, Network, NetworkRecord, NetworkSpec};
use crate::record::Record;

impl Engine {
    pub(crate) fn tell_network(&self, action: &str, network: &NetworkRecord, container: &str) {
        let mut attributes =
            Attributes::new([("name", network.name.as_str()), ("type", network.driver.as_str())]);
        if !container.is_empty() {
            attributes.0.insert("container".to_owned(), container.to_owned());
        }
        self.events.publish("network", action, &network.id, attributes);
    }

    pub async fn network_create(self: &Arc<Self>, spec: NetworkSpec) -> Result<String> {
        let network = self.blocking(move |e| e.networks.create(spec)).await?;
        self.tell_network("create", &network.record, "");
        Ok(network.record.id.clone())
    }

    pub fn network(&self, wanted: &str) -> Result<Arc<Network>> {
        self.networks.find(wanted)
    }

    pub fn network_list(&self, filters: &Filters) -> Result<Vec<Arc<Network>>> {
        let mut out = Vec::new();
        for network in self.networks.list() {
            let in_use = self.network_in_use(&network.record);
            if networks::matches(filters, &network, in_use)? {
                out.push(network);
            }
        }
        Ok(out)
    }

    fn network_in_use(&self, network: &NetworkRecord) -> bool {
        let uses = |r: &Record| r.endpoints.contains_key(&network.name);
        self.containers.all().iter().any(|c| uses(&c.record()))
    }

    pub async fn network_remove(self: &Arc<Self>, wanted: &str) -> Result<()> {
        let network = self.networks.find(wanted)?;
        let target = network.clone();
        self.blocking(move |e| e.networks.remove(&target)).await?;
        self.tell_network("destroy", &network.record, "");
        Ok(())
    }

    /// A running container gets a link at once, a stopped one at its next start.
    pub async fn network_connect(
        self: &Arc<Self>,
        wanted: &str,
        container: &str,
        settings: EndpointSettings,
    ) -> Result<()> {
        let settings = settings.asked();
        let network = self.networks.find(wanted)?;
        let container = self.containers.find(container)?;
        let _turn = container.turn.lock().await;
        let record = container.record();
        let name = network.record.name.clone();
        refuse_connect(&record, &network.record)?;
        self.check_endpoint(&name, &settings)?;
        if !record.state.phase.is_live() {
            container.update(|r| drop(r.endpoints.insert(name, settings)))?;
            return Ok(());
        }
        let (hands, target) = (container.clone(), network.clone());
        self.blocking(move |e| e.connect_live(&hands, &target, &settings)).await?;
        self.tell_network("connect", &network.record, &container.id);
        Ok(())
    }

    fn connect_live(
        &self,
        container: &Arc<Container>,
        network: &Arc<Network>,
        wanted: &EndpointSettings,
    ) -> Result<()> {
        let record = container.record();
        let pid = u32::try_from(record.state.pid).doing(|| "the process".to_owned())?;
        let netns = Netns::of_process(pid)?;
        let taken: Vec<String> = net::stats(&netns)?.into_iter().map(|l| l.ifname).collect();
        let free = |i: &u32| !taken.contains(&format!("eth{i}"));
        let index = (0..).find(free).expect("one of endless names is free");
        // Only a container without any network gets its default route this way.
        let is_gateway = !record.endpoints.values().any(|e| !e.gateway.is_empty());
        let join =
            Join { record: &record, netns: &netns, ifname: format!("eth{index}"), is_gateway };
        let (settings, mut ports) = self.networks.join(network, wanted, &join)?;
        self.networks.serve_names(&record, &netns)?;
        container.update(|r| {
            r.endpoints.insert(network.record.name.clone(), settings);
            r.ports.append(&mut ports);
        })?;
        self.refresh_files(container)
    }

    pub async fn network_disconnect(self: &Arc<Self>, wanted: &str, container: &str) -> Result<()> {
        let network = self.networks.find(wanted)?;
        let container = self.containers.find(container)?;
        let _turn = container.turn.lock().await;
        let record = container.record();
        let name = network.record.name.clone();
        if record.host.network_mode == "host" && network.record.driver == "host" {
            return Err(EngineError::forbidden(
                "container cannot be disconnected from host network or connected to host network",
            ));
        }
        if !record.endpoints.contains_key(&name) {
            return Err(EngineError::forbidden(format!(
                "container {} is not connected to network {name}",
                container.id
            )));
        }
        let (hands, target) = (container.clone(), network.clone());
        self.blocking(move |e| {
            e.networks.leave(&target, &hands.id);
            let record = hands.update(|r| {
                r.endpoints.remove(&target.record.name);
                if r.endpoints.values().all(|e| e.endpoint_id.is_empty()) {
                    r.ports.clear();
                }
            })?;
            if record.state.phase.is_live() { e.refresh_files(&hands) } else { Ok(()) }
        })
        .await?;
        self.tell_network("disconnect", &network.record, &container.id);
        Ok(())
    }

    /// Gives the names of the networks that went.
    pub async fn network_prune(self: &Arc<Self>, filters: &Filters) -> Result<Vec<String>> {
        filters.only(&["label", "label!", "until"])?;
        let until = until(filters)?;
        let mut gone = Vec::new();
        for network in self.networks.list() {
            let record = &network.record;
            let label = |key: &str| record.labels.get(key).map(String::as_str);
            let young = until.is_some_and(|until| record.created > until);
            if record.is_kept() || self.network_in_use(record) || young {
                continue;
            }
            if filters.prune_labels(label) && self.network_remove(&record.id).await.is_ok() {
                gone.push(record.name.clone());
            }
        }
        Ok(gone)
    }
}

/// The `until` filter of prunes: a time, or how long ago.
pub fn until(filters: &Filters) -> Result<Option<crate::time::Stamp>> {
    let Some(text) = filters.get("until").next() else { return Ok(None) };
    let now = crate::time::Stamp::now();
    let ago = crate::units::duration(text).map(|d| now.plus(-d));
    match ago.or_else(|| crate::time::Stamp::parse_query(text)) {
        Some(stamp) => Ok(Some(stamp)),
        None => Err(EngineError::invalid(format!("invalid filter 'until={text}'"))),
    }
}

fn refuse_connect(record: &Record, network: &NetworkRecord) -> Result<()> {
    let mode = record.host.network_mode.as_str();
    if mode == "host" || network.driver == "host" {
        return Err(EngineError::forbidden(
            "container cannot be disconnected from host network or connected to host network",
        ));
    }
    if mode.starts_with("container:") {
        return Err(EngineError::forbidden(
            "container sharing network namespace with another container or host cannot be \
             connected to any other network",
        ));
    }
    if mode == "none" || network.driver == "null" {
        return Err(EngineError::forbidden(
            "container cannot be connected to multiple networks with one of the networks in \
             private (none) mode",
        ));
    }
    if record.endpoints.contains_key(&network.name) {
        return Err(EngineError::forbidden(format!(
            "endpoint with name {} already exists in network {}",
            record.name, network.name
        )));
    }
    Ok(())
}
