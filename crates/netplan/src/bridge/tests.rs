use super::*;
use crate::nft::print;

fn sample() -> NetworksInput {
    let published = |host_ip: &str, host_port, container_ip: &str, container_port| Published {
        proto: Proto::Tcp,
        host_ip: host_ip.parse().unwrap(),
        host_port,
        container_ip: container_ip.parse().unwrap(),
        container_port,
    };
    NetworksInput {
        table: "boxship-t".into(),
        networks: vec![
            BridgeNet {
                bridge: "t-br0".into(),
                subnets: vec!["172.17.0.0/16".parse().unwrap(), "fd00:b0::/64".parse().unwrap()],
                egress: Egress::Masquerade,
                published: vec![
                    published("0.0.0.0", 8080, "172.17.0.2", 80),
                    published("127.0.0.1", 9000, "172.17.0.3", 90),
                    published("::", 8080, "fd00:b0::2", 80),
                ],
            },
            BridgeNet {
                bridge: "t-br1".into(),
                subnets: vec!["172.18.0.0/16".parse().unwrap()],
                egress: Egress::Internal,
                published: vec![],
            },
        ],
    }
}

#[test]
fn golden() {
    let text = print(&rules(&sample()));
    crate::golden::check("bridge.nft", &text);
    assert!(text.contains("tcp . 8080 : fd00:b0::2 . 80"), "{text}");
}

#[test]
fn order_of_networks_does_not_matter_for_sets() {
    let mut turned = sample();
    turned.networks.reverse();
    let (a, b) = (rules(&sample()), rules(&turned));
    for (id, table) in &a.tables {
        assert_eq!(table.sets, b.tables[id].sets);
    }
}
