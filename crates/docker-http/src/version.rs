//! API versions: which ones are spoken, and the refusals outside that window.

use std::fmt;

use crate::refusal::Refusal;

/// `1.50` as (1, 50).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion(pub u16, pub u16);

pub const MAX: ApiVersion = ApiVersion(1, 50);
pub const MIN: ApiVersion = ApiVersion(1, 24);
/// The Docker release whose behaviour this face follows; clients parse it.
pub const DOCKER_RELEASE: &str = "28.2.2";

impl ApiVersion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        (digits(major) && digits(minor)).then_some(())?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Splits `/v1.43/info` into the version and `/info`; paths without a version get the newest.
///
/// Texts: moby `daemon/server/middleware/version.go`.
pub fn negotiate(path: &str) -> Result<(ApiVersion, &str), Refusal> {
    let Some((version, rest)) = split(path) else {
        return Ok((MAX, path));
    };
    if version > MAX {
        return Err(Refusal::bad_request(format!(
            "client version {version} is too new. Maximum supported API version is {MAX}"
        )));
    }
    if version < MIN {
        return Err(Refusal::bad_request(format!(
            "client version {version} is too old. Minimum supported API version is {MIN}, \
             please upgrade your client to a newer version"
        )));
    }
    Ok((version, rest))
}

fn split(path: &str) -> Option<(ApiVersion, &str)> {
    let tail = path.strip_prefix("/v")?;
    let end = tail.find('/')?;
    Some((ApiVersion::parse(&tail[..end])?, &tail[end..]))
}

#[cfg(test)]
mod tests {
    use super::{ApiVersion, MAX, negotiate};

    #[test]
    fn window() {
        assert_eq!(negotiate("/v1.41/info").unwrap(), (ApiVersion(1, 41), "/info"));
        assert_eq!(negotiate("/info").unwrap(), (MAX, "/info"));
        assert_eq!(negotiate("/volumes/a").unwrap(), (MAX, "/volumes/a"));
        let old = negotiate("/v1.9/info").unwrap_err();
        assert!(old.message.starts_with("client version 1.9 is too old."), "{}", old.message);
        let new = negotiate("/v9.9/info").unwrap_err();
        assert!(new.message.starts_with("client version 9.9 is too new."), "{}", new.message);
    }
}
