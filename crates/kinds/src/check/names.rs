//! Rules for strings and numbers that are not object names (apimachinery `pkg/util/validation/validation.go`).

use super::{Faults, Node};
use std::net::IpAddr;

pub(crate) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' \
(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' \
(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, \
which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character \
(e.g. '*.example.com', regex used for validation is \
'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// IsValidPortName
pub(crate) fn port_name(name: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut refuse = |bad: bool, why: &str| {
        if bad {
            out.push(why.to_string());
        }
    };
    refuse(name.len() > 15, "must be no more than 15 characters");
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    refuse(
        name.is_empty() || !name.chars().all(fine),
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    );
    refuse(!name.chars().any(|c| c.is_ascii_lowercase()), "must contain at least one letter (a-z)");
    refuse(name.contains("--"), "must not contain consecutive hyphens");
    refuse(name.starts_with('-') || name.ends_with('-'), "must not begin or end with a hyphen");
    out
}

/// IsConfigMapKey
pub(crate) fn config_key(key: &str) -> Vec<String> {
    let mut out = Vec::new();
    if key.len() > 253 {
        out.push("must be no more than 253 characters".to_string());
    }
    let fine = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if key.is_empty() || !key.chars().all(fine) {
        out.push(CONFIG_KEY.to_string());
    }
    match key {
        "." | ".." => out.push(format!("must not be '{key}'")),
        key if key.starts_with("..") => out.push("must not start with '..'".to_string()),
        _ => {}
    }
    out
}

/// IsRelaxedEnvVarName
pub(crate) fn env_name(name: &str) -> Vec<String> {
    let fine = |c: char| (' '..='~').contains(&c) && c != '=';
    if name.chars().all(fine) {
        return Vec::new();
    }
    let why = "a valid environment variable name must consist only of printable ASCII characters other than '='";
    vec![why.to_string()]
}

/// IsDNS1123Subdomain or IsWildcardDNS1123Subdomain, as the host asks for.
pub(crate) fn host(host: &str) -> Vec<String> {
    if !host.contains('*') {
        return meta::names::dns_subdomain(host);
    }
    let rest = host.strip_prefix("*.");
    match rest.is_some_and(|rest| meta::names::dns_subdomain(rest).is_empty()) {
        true => Vec::new(),
        false => vec![WILDCARD.to_string()],
    }
}

/// IsValidIP
pub(crate) fn ip(text: &str) -> Vec<String> {
    match text.parse::<IpAddr>() {
        Ok(_) => Vec::new(),
        Err(_) => {
            vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_string()]
        }
    }
}

/// An address and the length of its prefix.
pub(crate) fn parse_cidr(text: &str) -> Option<(IpAddr, u32)> {
    let (ip, bits) = text.split_once('/')?;
    let (ip, bits): (IpAddr, u32) = (ip.parse().ok()?, bits.parse().ok()?);
    (bits <= if ip.is_ipv4() { 32 } else { 128 }).then_some((ip, bits))
}

/// IsValidCIDR
pub(crate) fn cidr(text: &str) -> Vec<String> {
    match parse_cidr(text) {
        Some(_) => Vec::new(),
        None => {
            vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".to_string()]
        }
    }
}

/// Whether the first network contains the second and is larger.
pub(crate) fn contains((outer, bits): (IpAddr, u32), (inner, more): (IpAddr, u32)) -> bool {
    let wide = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)) << 96, 4),
        IpAddr::V6(ip) => (u128::from(ip), 6),
    };
    let ((a, family), (b, other)) = (wide(outer), wide(inner));
    let shift = 128 - bits;
    let head = |n: u128| n.checked_shr(shift).unwrap_or(0);
    family == other && bits < more && head(a) == head(b)
}

pub(crate) fn port_number(node: &Node<'_>, faults: &mut Faults) {
    if !(1..=65_535).contains(&node.int()) {
        let value = if node.is_set() { node.value.clone() } else { 0.into() };
        let why = "must be between 1 and 65535, inclusive";
        faults.push(meta::Fault::invalid(&node.path, value, why));
    }
}

/// ValidatePortNumOrName
pub(crate) fn port_or_name(node: &Node<'_>, faults: &mut Faults) {
    match node.value.as_str() {
        Some(name) => port_name(name).into_iter().for_each(|why| node.invalid(why, faults)),
        None => port_number(node, faults),
    }
}

/// ValidatePositiveIntOrPercent
pub(crate) fn amount_or_percent(node: &Node<'_>, faults: &mut Faults) {
    match node.value.as_str() {
        Some(text) if percent(text).is_none() => node.invalid(PERCENT, faults),
        Some(_) => {}
        None => node.not_negative(faults),
    }
}

/// `25` of `25%`.
pub(crate) fn percent(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('%')?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(i64::MAX))
}

/// IsNotMoreThan100Percent
pub(crate) fn at_most_all(node: &Node<'_>, faults: &mut Faults) {
    if percent(node.str()).is_some_and(|p| p > 100) {
        node.invalid("must not be greater than 100%", faults);
    }
}

/// Whether an amount or percentage comes to nothing.
pub(crate) fn is_zero(node: &Node<'_>) -> bool {
    match node.value.as_str() {
        Some(text) => percent(text) == Some(0),
        None => node.int() == 0,
    }
}
