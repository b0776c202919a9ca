//! All networks' rules, compiled and applied as one value.

use net::Firewall;
use netplan::bridge::{BridgeNet, Egress, NetworksInput, rules};

use super::{Network, Networks};
use crate::error::{Doing, Result};

impl Networks {
    /// Brings the firewall to what the networks and their members need now.
    pub(super) fn sync_firewall(&self) -> Result<()> {
        let mut firewall = self.firewall.lock().expect("no panic happens under this lock");
        // Read under the firewall's lock: a later reader never applies an older state.
        let networks: Vec<BridgeNet> = self.list().iter().filter_map(|n| bridge_net(n)).collect();
        let input = NetworksInput { table: self.instance.table(), networks };
        let what = || "changing the firewall".to_owned();
        let open = match firewall.take() {
            Some(open) => open,
            None => Firewall::open().doing(what)?,
        };
        firewall.insert(open).apply(&rules(&input)).doing(what)?;
        Ok(())
    }
}

fn bridge_net(network: &Network) -> Option<BridgeNet> {
    let (record, state) = (&network.record, network.lock());
    if !state.up {
        return None;
    }
    let egress = match () {
        () if record.internal => Egress::Internal,
        () if record.switched_off("com.docker.network.bridge.enable_ip_masquerade") => {
            Egress::Routed
        }
        () => Egress::Masquerade,
    };
    Some(BridgeNet {
        bridge: record.bridge.clone(),
        subnets: record.subnets(),
        egress,
        published: state.members.values().flat_map(|m| m.rules.iter().cloned()).collect(),
    })
}
