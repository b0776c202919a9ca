//! `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY` as Go reads them (`httpproxy/proxy.go`).

use http::Uri;
use std::net::IpAddr;

#[derive(Debug, Clone, Default)]
pub(super) struct Proxies {
    http: Option<Uri>,
    https: Option<Uri>,
    exempt: Vec<String>,
}

impl Proxies {
    pub fn from_env() -> Self {
        let get = |name: &str| {
            let lower = std::env::var(name.to_lowercase());
            lower.or_else(|_| std::env::var(name)).ok().filter(|v| !v.is_empty())
        };
        let no_proxy = get("NO_PROXY").unwrap_or_default();
        Self {
            http: get("HTTP_PROXY").and_then(|v| parse(&v)),
            https: get("HTTPS_PROXY").and_then(|v| parse(&v)),
            exempt: no_proxy.split(',').map(|p| p.trim().to_lowercase()).collect(),
        }
    }

    /// The proxy for `target`, if one is to be used. Loopback is never proxied.
    pub fn of(&self, target: &Uri) -> Option<&Uri> {
        let proxy = match target.scheme_str() {
            Some("https") => self.https.as_ref(),
            _ => self.http.as_ref(),
        }?;
        let host = target.host()?.trim_matches(['[', ']']).to_lowercase();
        let exempt = is_loopback(&host) || self.exempt.iter().any(|rule| matches(rule, &host));
        (!exempt).then_some(proxy)
    }
}

fn parse(value: &str) -> Option<Uri> {
    let full = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    full.parse().ok().filter(|uri: &Uri| uri.host().is_some())
}

pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn matches(rule: &str, host: &str) -> bool {
    if rule.is_empty() {
        return false;
    }
    if rule == "*" {
        return true;
    }
    if let (Some((net, bits)), Ok(ip)) = (rule.split_once('/'), host.parse::<IpAddr>()) {
        return in_net(ip, net, bits);
    }
    let rule = rule.split(':').next().unwrap_or(rule).trim_start_matches("*.");
    let suffix = rule.trim_start_matches('.');
    host == suffix || host.strip_suffix(suffix).is_some_and(|head| head.ends_with('.'))
}

fn in_net(ip: IpAddr, net: &str, bits: &str) -> bool {
    let (Ok(net), Ok(bits)) = (net.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    let wide = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let ((a, width), (b, other)) = (wide(ip), wide(net));
    width == other && bits <= width && (bits == 0 || (a ^ b) >> (128 - bits) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_exempt() {
        let proxies = Proxies {
            http: parse("proxy:3128"),
            https: parse("http://proxy:3129"),
            exempt: ["corp.example", "10.0.0.0/8", ".dot.example"].map(String::from).to_vec(),
        };
        let port = |url: &str| proxies.of(&url.parse().unwrap()).and_then(Uri::port_u16);
        assert_eq!(port("http://a.example/"), Some(3128));
        assert_eq!(port("https://a.example/"), Some(3129));
        for url in [
            "https://corp.example",
            "https://x.corp.example:5000",
            "http://10.1.2.3",
            "http://localhost:5000",
            "http://127.0.0.1",
            "http://[::1]:5",
            "http://a.dot.example",
        ] {
            assert_eq!(port(url), None, "{url}");
        }
        assert_eq!(port("http://notcorp.example"), Some(3128));
        assert_eq!(port("http://11.1.2.3"), Some(3128));
    }
}
