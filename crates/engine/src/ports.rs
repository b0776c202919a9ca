//! Port specifications: `80/tcp`, `8000-8010`.

/// `80`, `80/tcp`, `53/udp`, `9/sctp`: port and protocol (`tcp` when absent).
pub fn parse_port(text: &str) -> Option<(u16, &str)> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = if protocol.is_empty() { "tcp" } else { protocol };
    matches!(protocol, "tcp" | "udp" | "sctp").then_some(())?;
    Some((port.parse().ok()?, protocol))
}

/// `8000` or `8000-8010`, both ends included.
pub fn parse_range(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (low <= high).then_some((low, high))
}
