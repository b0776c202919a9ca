//! The kernel holds what a ruleset says: compared with what the program `nft` lists.

#![allow(clippy::unwrap_used)]

mod host;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use host::{Host, ip, program};
use net::{Applied, Firewall, FirewallWatch, Instance, remove_tables};
use netplan::nft::*;
use netplan::proxy::{
    Endpoint, EndpointState, NodeFacts, Place, ProxyInput, ServicePort, TrafficPolicy, rules,
};

/// Lines without indentation, empty lines, and elements in one order.
fn normal(text: &str) -> Vec<String> {
    let mut joined = String::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let open = joined.rsplit('\n').next().is_some_and(|l| l.starts_with("elements = {"));
        let closed = joined.ends_with('}');
        joined.push_str(if open && !closed { " " } else { "\n" });
        joined.push_str(line);
    }
    joined.lines().filter(|l| !l.is_empty()).map(|l| sorted_elements(&shortened(l))).collect()
}

/// nft leaves out a protocol match that another word implies.
fn shortened(line: &str) -> String {
    line.replace("meta l4proto tcp th dport", "tcp dport")
        .replace("meta l4proto udp th sport", "udp sport")
        .replace("meta l4proto tcp reject with tcp reset", "reject with tcp reset")
}

fn sorted_elements(line: &str) -> String {
    let Some(inner) = line.strip_prefix("elements = { ").and_then(|l| l.strip_suffix(" }")) else {
        return line.to_string();
    };
    let mut parts: Vec<&str> = inner.split(',').map(str::trim).collect();
    parts.sort_unstable();
    format!("elements = {{ {} }}", parts.join(", "))
}

/// Chains and sets by their first line, so that their order does not matter.
fn blocks(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut blocks = BTreeMap::new();
    let (mut table, mut name) = (String::new(), String::new());
    for line in normal(text) {
        if line.starts_with("table ") {
            table = line;
        } else if ["set ", "map ", "chain "].iter().any(|w| line.starts_with(w))
            && line.ends_with('{')
        {
            name = format!("{table} {line}");
            blocks.insert(name.clone(), vec![]);
        } else if line != "}" {
            blocks.get_mut(&name).unwrap().push(line);
        }
    }
    blocks
}

fn assert_kernel_holds(wanted: &Ruleset) {
    if let Some(listed) = program("nft", &["list", "ruleset"]) {
        assert_eq!(blocks(&listed), blocks(&print(wanted)), "kernel:\n{listed}");
    }
}

/// Every statement, field, type and verdict there is.
fn everything() -> Ruleset {
    let mut ruleset = Ruleset::default();
    for family in Family::ALL {
        let table = ruleset.table(family, "boxship-t");
        sets(table, family);
        nat_chains(table, family);
        filter_chains(table, family);
    }
    ruleset
}

fn addr(family: Family, last: u8) -> IpAddr {
    match family {
        Family::Ip => ip(&format!("10.0.0.{last}")),
        Family::Ip6 => ip(&format!("fd00::{last:x}")),
    }
}

const THREE: [Field; 3] = [Field::Daddr, Field::L4proto, Field::Dport];

fn sets(table: &mut Table, family: Family) {
    let key = |n: u8| vec![addr(family, n).into(), Proto::Udp.into(), 53.into()];
    table.set("services", Set::verdicts(&[Type::Addr, Type::Proto, Type::Port]));
    table.element("services", key(1), Datum::Verdict(Verdict::Goto("service".into())));
    table.element("services", key(2), Datum::Verdict(Verdict::Jump("service".into())));
    table.element("services", key(3), Datum::Verdict(Verdict::Drop));
    table.set("published", Set::map(&[Type::Proto, Type::Port], &[Type::Addr, Type::Port]));
    let to = Datum::Values(vec![addr(family, 9).into(), 80.into()]);
    table.element("published", vec![Proto::Sctp.into(), 8080.into()], to);
    table.set("bridges", Set::of(&[Type::Iface]));
    table.element("bridges", vec!["t-br0".into()], Datum::None);
    table.set("within", Set::of(&[Type::Iface, Type::Iface]));
    table.element("within", vec!["t-br0".into(), "t-br0".into()], Datum::None);
    table.set("ports", Set::of(&[Type::Port]));
    table.element("ports", vec![443.into()], Datum::None);
    table.set("clients", Set::dynamic(&[Type::Addr], 10800));
    table.set("endpoints", Set::map(&[Type::Slot], &[Type::Addr, Type::Port]));
    for slot in [4096, 4097] {
        let to = Datum::Values(vec![addr(family, 9).into(), 80.into()]);
        table.element("endpoints", vec![Value::Slot(slot)], to);
    }
}

fn nat_chains(table: &mut Table, family: Family) {
    let nets: &[&str] = match family {
        Family::Ip => &["10.0.0.0/8", "10.96.0.0/12", "10.1.2.3/32"],
        Family::Ip6 => &["fd00::/8", "fd00:16::/28", "fd00::7/128"],
    };
    let udp = || eq(Field::L4proto, Proto::Udp);
    table.base("output", ChainKind::Nat, Hook::Output, priority::DSTNAT);
    table.base("prerouting", ChainKind::Nat, Hook::Prerouting, priority::DSTNAT);
    table.base("postrouting", ChainKind::Nat, Hook::Postrouting, priority::SRCNAT);
    table.rule("output", [eq(Field::FibDaddr, Value::Local), vmap(&THREE, "services")]);
    table.rule("output", [dnat(Target::Map(THREE[1..].to_vec(), "published".into()))]);
    let remember = Stmt::Update { set: "clients".into(), fields: vec![Field::Saddr] };
    table.rule("service", [remember, goto("random")]);
    table.rule("service", [in_set(&[Field::Saddr], "clients"), goto("fixed")]);
    let verdicts = [goto("fixed"), jump("random"), Stmt::Verdict(Verdict::Return)];
    let verdicts = verdicts.map(|v| if let Stmt::Verdict(v) = v { v } else { unreachable!() });
    table.rule("service", [Stmt::RandomVerdict(verdicts.to_vec())]);
    let several = vec![(addr(family, 4), 80), (addr(family, 5), 81)];
    table.rule("random", [udp(), dnat(Target::Random(several))]);
    let slots = Target::Slots { first: 4096, count: 2, map: "endpoints".into() };
    table.rule("random", [udp(), dnat(slots)]);
    table.rule("fixed", [udp(), dnat(Target::Fixed(addr(family, 4), Some(8080)))]);
    for net in nets {
        let net: ipnet::IpNet = net.parse().unwrap();
        table.rule("fixed", [eq(Field::Saddr, net), ne(Field::Daddr, net), mark_or(0x4000)]);
    }
    table.rule("fixed", [dnat(Target::Fixed(addr(family, 4), None))]);
    table.rule("postrouting", [marked(0x4000), Stmt::MarkXor(0x4000), Stmt::MasqueradeRandom]);
    table.rule("postrouting", [eq(Field::FibSaddr, Value::Local), masquerade()]);
    table.rule("postrouting", [udp(), Stmt::Snat(addr(family, 6), Some(53))]);
}

fn filter_chains(table: &mut Table, family: Family) {
    let tcp = || eq(Field::L4proto, Proto::Tcp);
    table.base("forward", ChainKind::Filter, Hook::Forward, priority::FILTER);
    table.base("input", ChainKind::Filter, Hook::Input, priority::FILTER);
    table.base("raw-prerouting", ChainKind::Filter, Hook::Prerouting, priority::RAW);
    table.rule("forward", [eq(Field::CtState, Value::Bits(6)), accept()]);
    table.rule("forward", [eq(Field::CtState, Value::Bits(bits::INVALID)), drop()]);
    table.rule("forward", [eq(Field::CtStatus, Value::Bits(bits::DNAT)), accept()]);
    table.rule("forward", [in_set(&[Field::Iifname, Field::Oifname], "within"), accept()]);
    let fields = vec![Field::Dport];
    let not_in = Stmt::InSet { fields, equal: Equal::No, set: "ports".into() };
    table.rule("forward", [tcp(), not_in, drop()]);
    table.rule("forward", [eq(Field::OriginalDaddr, addr(family, 8)), jump("refuse")]);
    table.rule("refuse", [eq(Field::Iifname, "lo"), Stmt::Verdict(Verdict::Return)]);
    table.rule("refuse", [ne(Field::Oifname, "t-br0"), reject()]);
    let dns = [eq(Field::L4proto, Proto::Udp), eq(Field::Sport, 53)];
    let dns = [dns.to_vec(), vec![accept(), Stmt::Comment("dns".into())]].concat();
    table.rule("refuse", dns);
    table.rule("raw-prerouting", [in_set(&[Field::Iifname], "bridges"), drop()]);
    table.rule("input", [tcp(), Stmt::Reject(Reject::TcpReset)]);
}

#[test]
fn the_kernel_holds_what_the_ruleset_says() {
    Host::enter(|| {
        let mut firewall = Firewall::open().unwrap();
        let wanted = everything();
        assert_eq!(firewall.apply(&wanted).unwrap(), Applied::Replaced);
        assert_kernel_holds(&wanted);
        assert_eq!(firewall.apply(&wanted).unwrap(), Applied::Unchanged);
    });
}

/// So many Services with five endpoints each, as the proxy lays them out.
fn services(count: u16, shift: u16) -> Ruleset {
    let service = |i: u16| {
        let [high, low] = i.to_be_bytes();
        let port = if i == 0 { 8000 + shift } else { 8000 };
        let endpoint = |e: u8| Endpoint {
            addr: IpAddr::from([10, 128 | high, e, low]),
            port,
            state: EndpointState::Ready,
            place: Place::Elsewhere,
        };
        ServicePort {
            service: format!("default/service-{i}"),
            port_name: String::new(),
            proto: Proto::Tcp,
            port: 80,
            cluster_ip: IpAddr::from([10, 96, high, low]),
            node_port: None,
            external_ips: vec![],
            load_balancer_ips: vec![],
            source_ranges: vec![],
            affinity: None,
            internal_policy: TrafficPolicy::Cluster,
            external_policy: TrafficPolicy::Cluster,
            endpoints: (0..5).map(endpoint).collect(),
        }
    };
    let input = ProxyInput { ports: (0..count).map(service).collect(), host_ports: vec![] };
    let facts = NodeFacts { table: "boxship-t.kube".into(), ..NodeFacts::default() };
    rules(&input, &facts)
}

/// Processor time of this thread, user and kernel: other load does not count.
fn cpu() -> Duration {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    let both = [usage.user_time(), usage.system_time()];
    both.iter().map(|t| Duration::new(t.tv_sec() as u64, t.tv_usec() as u32 * 1000)).sum()
}

#[test]
fn a_thousand_services_in_one_transaction() {
    Host::enter(|| {
        let mut firewall = Firewall::open().unwrap();
        let (first, second) = (services(1000, 0), services(1000, 1));
        let (start, busy) = (Instant::now(), cpu());
        assert_eq!(firewall.apply(&first).unwrap(), Applied::Replaced);
        let whole = cpu() - busy;
        println!("1000 services, 5000 endpoints: {:?}, processor {whole:?}", start.elapsed());
        assert_kernel_holds(&first);
        let (start, busy) = (Instant::now(), cpu());
        assert_eq!(firewall.apply(&second).unwrap(), Applied::Changed(2));
        println!("one endpoint changed: {:?}, processor {:?}", start.elapsed(), cpu() - busy);
        assert!(whole.as_millis() < 500, "{whole:?}");
    });
}

#[test]
fn changes_arrive_and_the_users_tables_stay() {
    Host::enter(|| {
        if program("nft", &["add", "table", "ip", "user"]).is_none() {
            return;
        }
        let t = Instance::new("t");
        let mut firewall = Firewall::open().unwrap();
        let mut wanted = everything();
        firewall.apply(&wanted).unwrap();
        let table = wanted.table(Family::Ip, "boxship-t");
        table.chains.remove("refuse");
        table.chain("forward").rules.truncate(2);
        table.sets.get_mut("services").unwrap().elements.pop_first();
        table.set("new", Set::of(&[Type::Addr]));
        table.rule("forward", [in_set(&[Field::Daddr], "new"), drop()]);
        assert!(matches!(firewall.apply(&wanted).unwrap(), Applied::Changed(_)));
        let mut with_user = wanted.clone();
        with_user.table(Family::Ip, "user");
        assert_kernel_holds(&with_user);

        // Somebody empties the firewall behind our back: the next change puts everything back.
        program("nft", &["flush", "ruleset"]);
        wanted.table(Family::Ip6, "boxship-t").chain("forward").rules.clear();
        assert_eq!(firewall.apply(&wanted).unwrap(), Applied::Replaced);
        assert_kernel_holds(&wanted);

        // A refused ruleset changes nothing, and says what was refused.
        let mut bad = wanted.clone();
        bad.table(Family::Ip, "boxship-t").rule("forward", [jump("nowhere")]);
        let error = firewall.apply(&bad).unwrap_err().to_string();
        assert!(error.contains("add a rule to forward") && error.contains("nowhere"), "{error}");
        assert_kernel_holds(&wanted);

        // A new process takes over what an old one left; reset removes it.
        let mut next = Firewall::open().unwrap();
        assert_eq!(next.apply(&wanted).unwrap(), Applied::Replaced);
        assert_kernel_holds(&wanted);
        assert_eq!(remove_tables(&Instance::new("other")).unwrap(), []);
        assert_eq!(remove_tables(&t).unwrap().len(), 2);
        assert_kernel_holds(&Ruleset::default());
    });
}

#[test]
fn deleted_tables_are_noticed_and_come_back() {
    Host::enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _guard = runtime.enter();
        let watch = FirewallWatch::open().unwrap();
        let mut firewall = Firewall::open().unwrap();
        let wanted = everything();
        firewall.apply(&wanted).unwrap();
        assert!(!firewall.restore_if_lost().unwrap());
        if program("nft", &["flush", "ruleset"]).is_none() {
            return;
        }
        runtime.block_on(watch.table_deleted()).unwrap();
        assert!(firewall.restore_if_lost().unwrap());
        assert_kernel_holds(&wanted);
    });
}
