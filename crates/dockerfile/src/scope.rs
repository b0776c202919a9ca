//! Which variables an instruction sees (BuildKit `dockerfile2llb/convert.go`).

use std::collections::BTreeMap;

use oci::Platform;

use crate::expand::{Expander, Vars};

/// Usable without being declared; outside the cache's key and the history.
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

pub fn is_proxy(name: &str) -> bool {
    PROXIES.iter().any(|p| p.eq_ignore_ascii_case(name))
        && (name.chars().all(|c| !c.is_ascii_lowercase())
            || name.chars().all(|c| !c.is_ascii_uppercase()))
}

/// Names of [`platform_args`].
pub const PLATFORM_ARGS: &[&str] = &[
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETARCH",
    "TARGETVARIANT",
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETSTAGE",
];

/// The arguments every Dockerfile may declare without a value.
pub fn platform_args(target: &Platform, build: &Platform, stage: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (prefix, platform) in [("TARGET", target), ("BUILD", build)] {
        let mut put = |name: &str, value: String| out.insert(format!("{prefix}{name}"), value);
        put("PLATFORM", platform.to_string());
        put("OS", platform.os.clone());
        put("ARCH", platform.architecture.clone());
        put("VARIANT", platform.variant.clone());
    }
    out.insert("TARGETSTAGE".to_owned(), stage.to_owned());
    out
}

/// ENV and the declared ARGs; ENV wins.
pub struct Scope<'a> {
    pub env: &'a [String],
    pub args: &'a [(String, String)],
}

impl Vars for Scope<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let env = self.env.iter().find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key == name).then(|| value.to_owned())
        });
        let arg = || self.args.iter().rev().find(|(k, _)| k == name).map(|(_, v)| v.clone());
        env.or_else(arg)
    }
}

impl Scope<'_> {
    pub fn word(&self, text: &str, escape: char) -> Result<String, String> {
        Expander::new(escape, self).word(text)
    }

    pub fn words(&self, text: &str, escape: char) -> Result<Vec<String>, String> {
        Expander::new(escape, self).words(text)
    }

    pub fn body(&self, text: &str, escape: char) -> Result<String, String> {
        Expander::new(escape, self).body(text)
    }
}

/// `name=value` into a list of them, in place when the name is there.
pub fn set(env: &mut Vec<String>, name: &str, value: &str) {
    let pair = format!("{name}={value}");
    let there = |p: &String| p.split_once('=').map_or(p.as_str(), |(k, _)| k) == name;
    match env.iter().position(there) {
        Some(at) => env[at] = pair,
        None => env.push(pair),
    }
}
