//! Identifiers, and the names containers get when nobody names them.

use crate::error::{EngineError, Result};

/// 64 hex digits, never all decimal in the first 12 (they serve as host names and must not look
/// like numbers; moby `pkg/stringid`).
pub fn fresh_id() -> String {
    loop {
        let id = hex::encode(random::<32>());
        if id[..12].bytes().any(|b| !b.is_ascii_digit()) {
            return id;
        }
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel's random source never fails after boot");
    bytes
}

/// The first 12 digits.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, as moby `daemon/names`.
pub fn is_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let bytes = name.as_bytes();
    bytes.len() >= 2 && bytes[0].is_ascii_alphanumeric() && bytes.iter().all(|b| inner(*b))
}

/// A container name without its leading slash, checked.
pub fn container_name(name: &str) -> Result<String> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    if is_name(bare) {
        return Ok(bare.to_owned());
    }
    Err(EngineError::invalid(format!(
        "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )))
}

/// Two words and, from the second try on, a digit: `calm_harbour`.
pub fn random_name(attempt: u32) -> String {
    let [a, b, c] = random::<3>();
    let first = MOODS[usize::from(a) % MOODS.len()];
    let second = SHIPS[usize::from(b) % SHIPS.len()];
    match attempt {
        0 => format!("{first}_{second}"),
        _ => format!("{first}_{second}{}", c % 10),
    }
}

const MOODS: &[&str] = &[
    "agile", "amber", "ample", "apt", "bold", "brave", "brisk", "bright", "calm", "candid",
    "cheery", "civil", "clear", "clever", "coral", "cosy", "crisp", "daring", "deft", "eager",
    "early", "easy", "fair", "fleet", "fond", "frank", "free", "fresh", "gentle", "glad", "golden",
    "grand", "happy", "hardy", "honest", "jolly", "keen", "kind", "lively", "loyal", "lucid",
    "lucky", "merry", "mild", "modest", "neat", "noble", "patient", "placid", "plucky", "polite",
    "prime", "proud", "quick", "quiet", "rapid", "ready", "serene", "sharp", "silent", "smart",
    "snug", "solid", "sound", "spry", "stable", "steady", "stout", "sunny", "swift", "tidy",
    "true", "trusty", "upbeat", "vivid", "warm", "wise", "witty", "young", "zesty",
];
const SHIPS: &[&str] = &[
    "anchor",
    "barge",
    "barque",
    "beacon",
    "bell",
    "bilge",
    "boom",
    "bosun",
    "bow",
    "brig",
    "bulkhead",
    "buoy",
    "cabin",
    "canal",
    "canoe",
    "capstan",
    "cargo",
    "clipper",
    "coaster",
    "compass",
    "cove",
    "crane",
    "crate",
    "crew",
    "current",
    "cutter",
    "deck",
    "dhow",
    "dinghy",
    "dock",
    "dory",
    "dredger",
    "ferry",
    "fleet",
    "freighter",
    "frigate",
    "funnel",
    "galley",
    "gangway",
    "gull",
    "harbour",
    "hatch",
    "helm",
    "hold",
    "hull",
    "island",
    "jetty",
    "junk",
    "keel",
    "ketch",
    "knot",
    "lagoon",
    "lantern",
    "lighter",
    "lock",
    "lugger",
    "mast",
    "mooring",
    "oar",
    "packet",
    "pier",
    "pilot",
    "port",
    "prow",
    "quay",
    "raft",
    "reef",
    "rigging",
    "rudder",
    "sail",
    "schooner",
    "sextant",
    "skiff",
    "sloop",
    "spar",
    "stern",
    "tanker",
    "tide",
    "tiller",
    "trawler",
    "tug",
    "wharf",
    "winch",
    "yawl",
];

#[cfg(test)]
mod tests {
    use super::{container_name, fresh_id, random_name};

    #[test]
    fn names() {
        assert_eq!(container_name("/web-1").unwrap(), "web-1");
        for bad in ["", "/", "a", "-ab", "a/b", "a b", "ä1", "../x"] {
            assert!(container_name(bad).is_err(), "{bad}");
        }
        assert!(container_name(&random_name(1)).is_ok());
        assert_eq!(fresh_id().len(), 64);
    }
}
