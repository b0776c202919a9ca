//! The part of the table that one Service port has.

use std::net::IpAddr;

use ipnet::IpNet;

use super::layout::{
    FIREWALL, HAIRPIN, MARK_OUTSIDE, MASQUERADE_MARK, NODE_PORTS, REFUSE, REFUSED,
    REFUSED_NODE_PORTS, SERVICES,
};
use super::slots::{BLOCK, Slots, map_of};
use super::{Endpoint, EndpointState, NodeFacts, Place, ServicePort, TrafficPolicy};
use crate::nft::{
    Datum, Family, Field, Rule, Set, Stmt, Table, Target, Type, Value, Verdict, dnat, drop, eq,
    goto, in_set, jump, mark_or,
};

/// Names of the chains of a Service port. Namespace, name, protocol and port are unique, and
/// their letters are all allowed in a name.
pub(super) struct Names {
    /// `NAMESPACE/NAME/tcp/80`
    base: String,
    /// First slots for the endpoints of the cluster and for those of this node.
    slots: [u32; 2],
}

impl Names {
    pub(super) fn of(port: &ServicePort, slots: &mut Slots) -> Names {
        let base = format!("{}/{}/{}", port.service, port.proto, port.port);
        let slots = [slots.block(&base), slots.block(&format!("{base}/local"))];
        Names { base, slots }
    }

    /// Connections to the cluster IP, after the internal traffic policy.
    fn internal(&self) -> String {
        format!("svc-{}", self.base)
    }

    /// Connections to every other address, after the external traffic policy.
    fn external(&self) -> String {
        format!("ext-{}", self.base)
    }

    /// Every endpoint of the cluster, where the internal policy is Local.
    fn everywhere(&self) -> String {
        format!("all-{}", self.base)
    }

    fn firewall(&self) -> String {
        format!("fw-{}", self.base)
    }

    fn endpoint(&self, e: &Endpoint) -> String {
        format!("ep-{}/{}", self.base, place_name(e))
    }

    /// The timeout is part of the name: a changed one makes another set, in place.
    fn affinity(&self, e: &Endpoint, seconds: u32) -> String {
        format!("aff-{}/{}/{seconds}", self.base, place_name(e))
    }
}

/// Address and port in letters that a name may have.
fn place_name(e: &Endpoint) -> String {
    format!("{}/{}", e.addr.to_string().replace(':', "."), e.port)
}

/// The endpoints that a policy uses: the ready ones, else those that drain
/// (`CategorizeEndpoints`).
struct Usable {
    cluster: Vec<Endpoint>,
    local: Vec<Endpoint>,
}

impl Usable {
    fn of(port: &ServicePort, family: Family) -> Usable {
        let mut all: Vec<Endpoint> =
            port.endpoints.iter().filter(|e| Family::of(e.addr) == family).cloned().collect();
        all.sort();
        all.dedup_by(|a, b| (a.addr, a.port) == (b.addr, b.port));
        let local: Vec<Endpoint> = all.iter().filter(|e| e.place == Place::Here).cloned().collect();
        Usable { cluster: preferred(all), local: preferred(local) }
    }

    fn under(&self, policy: TrafficPolicy) -> &[Endpoint] {
        match policy {
            TrafficPolicy::Cluster => &self.cluster,
            TrafficPolicy::Local => &self.local,
        }
    }
}

fn preferred(mut endpoints: Vec<Endpoint>) -> Vec<Endpoint> {
    if endpoints.iter().any(|e| e.state == EndpointState::Ready) {
        endpoints.retain(|e| e.state == EndpointState::Ready);
    }
    endpoints
}

/// A Service port while its part of the table is written.
struct Part<'a> {
    table: &'a mut Table,
    family: Family,
    port: &'a ServicePort,
    names: &'a Names,
    usable: Usable,
}

pub(super) fn add_service(
    table: &mut Table,
    family: Family,
    port: &ServicePort,
    names: &Names,
    node: &NodeFacts,
) {
    let usable = Usable::of(port, family);
    let mut part = Part { table, family, port, names, usable };
    part.hairpin();
    part.internal();
    part.external(&node.cluster_cidrs);
    part.source_ranges();
}

impl Part<'_> {
    /// An endpoint that reaches itself through its Service must see another source.
    fn hairpin(&mut self) {
        for list in [&self.usable.cluster, &self.usable.local] {
            for e in list.iter().filter(|e| e.place == Place::Here) {
                self.table.element(HAIRPIN, vec![e.addr.into(), e.addr.into()], Datum::None);
            }
        }
    }

    fn key(&self, addr: IpAddr) -> Vec<Value> {
        vec![addr.into(), self.port.proto.into(), self.port.port.into()]
    }

    fn internal(&mut self) {
        let key = self.key(self.port.cluster_ip);
        let endpoints = self.usable.under(self.port.internal_policy).to_vec();
        if endpoints.is_empty() {
            self.table.element(REFUSED, key, Datum::Verdict(self.refusal()));
            return;
        }
        let chain = self.names.internal();
        self.table.element(SERVICES, key, Datum::Verdict(Verdict::Goto(chain.clone())));
        self.table.rule(&chain, [jump(MARK_OUTSIDE)]);
        self.choose(&chain, &endpoints);
    }

    /// Refused when there is no endpoint at all; dropped when there are some elsewhere, so that
    /// a client tries again rather than taking the Service for dead.
    fn refusal(&self) -> Verdict {
        if self.usable.cluster.is_empty() { Verdict::Goto(REFUSE.into()) } else { Verdict::Drop }
    }

    fn external_addresses(&self) -> Vec<IpAddr> {
        let all = self.port.external_ips.iter().chain(&self.port.load_balancer_ips);
        let mut ips: Vec<IpAddr> =
            all.copied().filter(|ip| Family::of(*ip) == self.family).collect();
        ips.sort();
        ips.dedup();
        ips
    }

    fn external(&mut self, cluster_cidrs: &[IpNet]) {
        let addresses = self.external_addresses();
        if addresses.is_empty() && self.port.node_port.is_none() {
            return;
        }
        // With no endpoint under the policy there is still a chain while there are any: Pods and
        // the node itself may use those elsewhere.
        if self.usable.under(self.port.external_policy).is_empty() {
            self.refuse_external(&addresses);
        }
        if self.usable.cluster.is_empty() {
            return;
        }
        let chain = self.names.external();
        for addr in addresses {
            let key = self.key(addr);
            self.table.element(SERVICES, key, Datum::Verdict(Verdict::Goto(chain.clone())));
        }
        if let Some(port) = self.port.node_port {
            let key = vec![self.port.proto.into(), port.into()];
            self.table.element(NODE_PORTS, key, Datum::Verdict(Verdict::Goto(chain.clone())));
        }
        self.external_chain(&chain, cluster_cidrs);
    }

    fn refuse_external(&mut self, addresses: &[IpAddr]) {
        for addr in addresses {
            let key = self.key(*addr);
            self.table.element(REFUSED, key, Datum::Verdict(self.refusal()));
        }
        if let Some(port) = self.port.node_port {
            let key = vec![self.port.proto.into(), port.into()];
            self.table.element(REFUSED_NODE_PORTS, key, Datum::Verdict(self.refusal()));
        }
    }

    fn external_chain(&mut self, chain: &str, cluster_cidrs: &[IpNet]) {
        let everywhere = self.everywhere();
        match self.port.external_policy {
            TrafficPolicy::Cluster => {
                self.table.rule(chain, [mark_or(MASQUERADE_MARK), goto(&everywhere)]);
            }
            TrafficPolicy::Local => {
                let mut cidrs = cluster_cidrs.to_vec();
                cidrs.sort();
                for net in cidrs.iter().filter(|n| Family::of_net(n) == self.family) {
                    self.table.rule(chain, [eq(Field::Saddr, *net), goto(&everywhere)]);
                }
                let from_node = eq(Field::FibSaddr, Value::Local);
                let mark = mark_or(MASQUERADE_MARK);
                self.table.rule(chain, [from_node, mark, goto(&everywhere)]);
                let endpoints = self.usable.local.clone();
                self.choose(chain, &endpoints);
            }
        }
    }

    /// The chain that leads to every endpoint of the cluster.
    fn everywhere(&mut self) -> String {
        if self.port.internal_policy == TrafficPolicy::Cluster {
            return self.names.internal();
        }
        let chain = self.names.everywhere();
        let endpoints = self.usable.cluster.clone();
        self.choose(&chain, &endpoints);
        chain
    }

    /// Ends a chain with a translation to one of the endpoints.
    fn choose(&mut self, chain: &str, endpoints: &[Endpoint]) {
        match (self.port.affinity, endpoints) {
            (_, []) => {}
            (Some(seconds), _) => self.choose_again(chain, endpoints, seconds),
            (None, [one]) => {
                let rule = self.translate(Target::Fixed(one.addr, Some(one.port)));
                self.table.rule(chain, rule);
            }
            (None, many) => {
                let target = self.in_slots(many);
                let rule = self.translate(target);
                self.table.rule(chain, rule);
            }
        }
    }

    /// Puts endpoints into the slots of their use. The node's own are a list of their own unless
    /// they are all there are.
    fn in_slots(&mut self, endpoints: &[Endpoint]) -> Target {
        let [cluster, local] = self.names.slots;
        let first = if endpoints == self.usable.cluster { cluster } else { local };
        let map = map_of(first);
        self.table.set(&map, Set::map(&[Type::Slot], &[Type::Addr, Type::Port]));
        for (slot, e) in (first..first + BLOCK).zip(endpoints) {
            let to = Datum::Values(vec![e.addr.into(), e.port.into()]);
            self.table.element(&map, vec![Value::Slot(slot)], to);
        }
        let count = u32::try_from(endpoints.len()).unwrap_or(BLOCK).min(BLOCK);
        Target::Slots { first, count, map }
    }

    fn translate(&self, target: Target) -> Rule {
        Rule::from([eq(Field::L4proto, self.port.proto), dnat(target)])
    }

    /// With affinity each endpoint remembers its clients; who is remembered goes back there.
    fn choose_again(&mut self, chain: &str, endpoints: &[Endpoint], seconds: u32) {
        for e in endpoints {
            let (set, to) = (self.names.affinity(e, seconds), self.names.endpoint(e));
            self.table.set(&set, Set::dynamic(&[Type::Addr], u64::from(seconds)));
            self.table.rule(chain, [in_set(&[Field::Saddr], &set), goto(&to)]);
            if self.table.chains.contains_key(&to) {
                continue;
            }
            let remember = Stmt::Update { set, fields: vec![Field::Saddr] };
            self.table.rule(&to, [remember]);
            let rule = self.translate(Target::Fixed(e.addr, Some(e.port)));
            self.table.rule(&to, rule);
        }
        let verdicts = endpoints.iter().map(|e| Verdict::Goto(self.names.endpoint(e))).collect();
        self.table.rule(chain, [Stmt::RandomVerdict(verdicts)]);
    }

    /// `loadBalancerSourceRanges`: before translation, others are dropped.
    fn source_ranges(&mut self) {
        let mut ranges: Vec<IpNet> = self.port.source_ranges.clone();
        ranges.retain(|r| Family::of_net(r) == self.family);
        ranges.sort();
        if self.port.source_ranges.is_empty() || self.port.load_balancer_ips.is_empty() {
            return;
        }
        let chain = self.names.firewall();
        for range in ranges {
            self.table.rule(&chain, [eq(Field::Saddr, range), Stmt::Verdict(Verdict::Return)]);
        }
        self.table.rule(&chain, [drop()]);
        let ips = self.port.load_balancer_ips.clone();
        for ip in ips.into_iter().filter(|ip| Family::of(*ip) == self.family) {
            let key = self.key(ip);
            self.table.element(FIREWALL, key, Datum::Verdict(Verdict::Goto(chain.clone())));
        }
    }
}
