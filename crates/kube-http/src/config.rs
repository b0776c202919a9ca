//! Limits and times, with upstream's defaults.

use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Config {
    /// Larger bodies are refused with 413.
    pub body_bytes: usize,
    /// `--max-requests-inflight`: reads at the same time; watches and streams do not count.
    pub reads: usize,
    /// `--max-mutating-requests-inflight`.
    pub writes: usize,
    /// `--request-timeout`: for all but watches and streams.
    pub request_timeout: Duration,
    /// `--min-request-timeout`: a watch without a timeout of its own lives between this and twice this long.
    pub watch_timeout: Duration,
    /// How often a watch that asked for bookmarks gets one.
    pub bookmark_every: Duration,
    /// A client that has not finished its TLS handshake by then is cut off.
    pub handshake_timeout: Duration,
    /// How long shutdown waits for requests under way.
    pub drain: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            body_bytes: 3 << 20,
            reads: 400,
            writes: 200,
            request_timeout: Duration::from_secs(60),
            watch_timeout: Duration::from_secs(1800),
            bookmark_every: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(5),
        }
    }
}
