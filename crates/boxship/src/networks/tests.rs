#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::*;

fn matches(words: &[&str]) -> ArgMatches {
    clap::Command::new("up").args(args()).get_matches_from([&["up"], words].concat())
}

fn texts(chosen: [Ipv4Net; 3]) -> [String; 3] {
    chosen.map(|net| net.to_string())
}

#[test]
fn the_next_free_ones_are_taken() {
    let none = pick_all(&matches(&[]), &json!({}), &[]).unwrap();
    assert_eq!(texts(none), ["10.244.0.0/24", "10.96.0.0/12", "10.112.0.0/24"]);
    // The first instance, and a VPN.
    let mut taken: Vec<IpNet> = none.iter().map(|net| IpNet::V4(*net)).collect();
    taken.push("10.0.0.0/8".parse().unwrap());
    let second = pick_all(&matches(&[]), &json!({}), &taken).unwrap();
    assert_eq!(texts(second), ["10.245.0.0/24", "10.113.0.0/16", "10.112.1.0/24"]);
}

#[test]
fn what_is_asked_for_or_kept_is_not_exchanged() {
    let asked = matches(&["--pod-cidr", "10.244.0.0/24", "--service-cidr", "10.112.0.0/20"]);
    let chosen = pick_all(&asked, &json!({}), &[]).unwrap();
    // The pool keeps away from the Services that were asked for.
    assert_eq!(texts(chosen), ["10.244.0.0/24", "10.112.0.0/20", "10.112.16.0/24"]);
    let taken = ["10.244.0.0/16".parse().unwrap()];
    let refused = pick_all(&asked, &json!({}), &taken).unwrap_err().to_string();
    assert!(refused.contains("10.244.0.0/24 meets 10.244.0.0/16, which is in use"), "{refused}");
    let kept = json!({ "pods": "10.250.0.0/24" });
    assert_eq!(texts(pick_all(&matches(&[]), &kept, &[]).unwrap())[0], "10.250.0.0/24");
    let refused = pick_all(&asked, &kept, &[]).unwrap_err().to_string();
    assert!(refused.contains("has 10.250.0.0/24 since its first start"), "{refused}");
    let small = matches(&["--load-balancer-pool", "10.1.1.0/30"]);
    assert!(pick_all(&small, &json!({}), &[]).unwrap_err().to_string().contains("too small"));
}
