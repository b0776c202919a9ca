//! The three files every container gets from the engine: hosts, hostname, resolv.conf.
//!
//! Contents are pure; they are rewritten in place, because a container has them mounted.

use std::path::Path;

use crate::config::{EndpointSettings, items};
use crate::error::{Doing, Result};
use crate::record::Record;

/// What the machine's own resolv.conf says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolver {
    pub servers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

impl Resolver {
    pub fn parse(text: &str) -> Self {
        let mut out = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let rest = |words: std::str::SplitWhitespace<'_>| words.map(str::to_owned).collect();
            match words.next() {
                Some("nameserver") => out.servers.extend(words.next().map(str::to_owned)),
                Some("search") => out.searches = rest(words),
                Some("options") => out.options = rest(words),
                _ => {}
            }
        }
        out
    }

    pub fn of_machine() -> Self {
        Self::parse(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
    }

    pub fn render(&self) -> String {
        let mut out = String::new();
        for server in &self.servers {
            out.push_str(&format!("nameserver {server}\n"));
        }
        if !self.searches.is_empty() {
            out.push_str(&format!("search {}\n", self.searches.join(" ")));
        }
        if !self.options.is_empty() {
            out.push_str(&format!("options {}\n", self.options.join(" ")));
        }
        out
    }
}

/// Whether names of other containers resolve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// The default bridge and the machine's network: only what the machine resolves.
    Machine,
    /// User-defined networks: the engine's own server at 127.0.0.11.
    Embedded,
}

/// Where the engine's own name server listens inside a container.
pub const EMBEDDED: &str = "127.0.0.11";

/// A container's resolv.conf; moby `daemon/libnetwork/internal/resolvconf`.
pub fn resolv_conf(record: &Record, machine: &Resolver, naming: Naming) -> String {
    let host = &record.host;
    let chosen = |list: &[String], default: &[String]| {
        if list.is_empty() { default.to_vec() } else { list.to_vec() }
    };
    let mut out = Resolver {
        servers: chosen(items(&host.dns), &machine.servers),
        searches: chosen(items(&host.dns_search), &machine.searches),
        options: chosen(items(&host.dns_options), &machine.options),
    };
    if out.searches == ["."] {
        out.searches.clear();
    }
    if naming == Naming::Embedded {
        out.servers = vec![EMBEDDED.to_owned()];
        if !out.options.iter().any(|o| o.starts_with("ndots:")) {
            out.options.push("ndots:0".to_owned());
        }
    } else if host.network_mode != "host" {
        // The machine's loopback is not the container's.
        out.servers.retain(|s| !s.starts_with("127.") && s != "::1");
        if out.servers.is_empty() {
            out.servers = vec!["8.8.8.8".to_owned(), "8.8.4.4".to_owned()];
        }
    }
    out.render()
}

const LOCAL: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
     fe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\n\
     ff02::2\tip6-allrouters\n";

/// A container's hosts file with its addresses and `--add-host` lines.
pub fn hosts<'a>(
    record: &Record,
    endpoints: impl Iterator<Item = &'a EndpointSettings>,
    host_gateway: &str,
) -> String {
    let mut out = LOCAL.to_owned();
    for extra in items(&record.host.extra_hosts) {
        if let Some((name, addr)) = extra.split_once([':', '=']) {
            let addr = addr.trim_matches(['[', ']']);
            let addr = if addr == "host-gateway" { host_gateway } else { addr };
            out.push_str(&format!("{addr}\t{name}\n"));
        }
    }
    let config = &record.config;
    let full = match config.domainname.as_str() {
        "" => config.hostname.clone(),
        domain => format!("{}.{domain} {}", config.hostname, config.hostname),
    };
    for endpoint in endpoints {
        for addr in [&endpoint.ip_address, &endpoint.global_ipv6_address] {
            if !addr.is_empty() {
                out.push_str(&format!("{addr}\t{full}\n"));
            }
        }
    }
    out
}

/// Changes a file's content without changing the file: the container keeps seeing it.
pub fn rewrite(path: &Path, content: &str) -> Result<()> {
    std::fs::write(path, content).doing(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_of_networks() {
        let machine = Resolver::parse("nameserver 127.0.0.53\nnameserver 10.0.0.2\nsearch corp\n");
        let mut record = Record::default();
        assert_eq!(
            resolv_conf(&record, &machine, Naming::Machine),
            "nameserver 10.0.0.2\nsearch corp\n"
        );
        assert_eq!(
            resolv_conf(&record, &machine, Naming::Embedded),
            "nameserver 127.0.0.11\nsearch corp\noptions ndots:0\n"
        );
        record.host.dns = Some(vec!["1.1.1.1".into()]);
        record.host.dns_search = Some(vec![".".into()]);
        assert_eq!(resolv_conf(&record, &machine, Naming::Machine), "nameserver 1.1.1.1\n");
    }

    #[test]
    fn hosts_file() {
        let mut record = Record::default();
        record.config.hostname = "web".into();
        record.host.extra_hosts = Some(vec!["db:1.2.3.4".into(), "up:host-gateway".into()]);
        let eth0 = EndpointSettings { ip_address: "172.17.0.2".into(), ..Default::default() };
        let text = hosts(&record, [&eth0].into_iter(), "172.17.0.1");
        assert!(text.ends_with("1.2.3.4\tdb\n172.17.0.1\tup\n172.17.0.2\tweb\n"), "{text}");
    }
}
