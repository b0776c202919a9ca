//! Platforms, their text form `os/arch[/variant]`, and which one fits a host.
//! Rules: containerd `platforms` (`platforms.go`, `database.go`, `compare.go`).

use crate::Descriptor;
use crate::manifest::Extra;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an image runs on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Platform {
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub os: String,
    #[serde(default, rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    #[serde(default, rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
    #[serde(flatten)]
    pub extra: Extra,
}

impl Platform {
    pub fn new(os: &str, architecture: &str, variant: &str) -> Self {
        Self {
            os: os.into(),
            architecture: architecture.into(),
            variant: variant.into(),
            ..Self::default()
        }
        .normalized()
    }

    /// The platform this binary was built for.
    pub fn host() -> Self {
        Self::new(std::env::consts::OS, std::env::consts::ARCH, "")
    }

    /// `os`, `arch`, `os/arch` or `os/arch/variant`; missing parts are the host's.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is an invalid platform: must be os[/arch[/variant]]");
        let parts: Vec<&str> = text.split('/').collect();
        let plain = |p: &&str| {
            !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        if !parts.iter().all(plain) {
            return Err(bad());
        }
        let host = Self::host();
        match parts[..] {
            [one] if known_os(one) => Ok(Self::new(one, &host.architecture, "")),
            [one] if known_arch(one) => Ok(Self::new(&host.os, one, "")),
            [one] => Err(format!("{one:?}: unknown operating system or architecture")),
            [os, arch] => Ok(Self::new(os, arch, "")),
            [os, arch, variant] => Ok(Self::new(os, arch, variant)),
            _ => Err(bad()),
        }
    }

    /// Go's names, and the variant that goes without saying.
    pub fn normalized(mut self) -> Self {
        self.os = match self.os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".into(),
            other => other.into(),
        };
        let arch = self.architecture.to_ascii_lowercase();
        let variant = self.variant.to_ascii_lowercase();
        let (arch, variant) = match (arch.as_str(), variant.as_str()) {
            ("i386" | "i686" | "x86", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "v1" | "") => ("amd64", ""),
            ("x86_64" | "x86-64" | "amd64", v) => ("amd64", v),
            ("aarch64" | "arm64", "8" | "v8" | "") => ("arm64", ""),
            ("aarch64" | "arm64", v) => ("arm64", v),
            ("armhf", _) => ("arm", "v7"),
            ("armel", _) => ("arm", "v6"),
            ("arm", "" | "7") => ("arm", "v7"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "6") => ("arm", "v6"),
            ("powerpc64le" | "ppc64el", v) => ("ppc64le", v),
            (a, v) => (a, v),
        };
        (self.architecture, self.variant) = (arch.into(), variant.into());
        self
    }

    /// How well `self` (offered) serves `wanted`: lower is better, `None` not at all. Older
    /// variants of one architecture run on newer hosts.
    pub fn fitness(&self, wanted: &Self) -> Option<u32> {
        let (have, want) = (self.clone().normalized(), wanted.clone().normalized());
        if have.os != want.os {
            return None;
        }
        if have.architecture == want.architecture {
            let (h, w) = (variant_rank(&have), variant_rank(&want));
            return match have.variant == want.variant {
                true => Some(0),
                false => (h <= w).then(|| w - h),
            };
        }
        let compat = [("amd64", "386", 100), ("arm64", "arm", 100)];
        compat
            .iter()
            .find(|(w, h, _)| *w == want.architecture && *h == have.architecture)
            .map(|(_, _, cost)| cost + 10 - variant_rank(&have).min(10))
    }

    pub fn matches(&self, wanted: &Self) -> bool {
        self.fitness(wanted).is_some()
    }
}

fn variant_rank(p: &Platform) -> u32 {
    let default = match p.architecture.as_str() {
        "arm64" => 8,
        "amd64" => 1,
        _ => 0,
    };
    p.variant
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(default)
}

fn known_os(name: &str) -> bool {
    matches!(name, "linux" | "windows" | "darwin" | "macos" | "freebsd" | "wasip1")
}

fn known_arch(name: &str) -> bool {
    const KNOWN: &[&str] = &[
        "386", "i386", "amd64", "x86_64", "x86-64", "arm", "armhf", "armel", "arm64", "aarch64",
        "ppc64le", "riscv64", "s390x", "loong64", "mips64le", "mips64", "mips", "wasm",
    ];
    KNOWN.contains(&name)
}

/// The manifest of `index` entries that serves `wanted` best; the first among equals. Entries
/// without a platform are taken when nothing else is (single-image indexes), attestations never.
pub fn select<'a>(manifests: &'a [Descriptor], wanted: &Platform) -> Option<&'a Descriptor> {
    let real = |d: &&Descriptor| {
        d.annotations.get("vnd.docker.reference.type").is_none_or(|t| t != "attestation-manifest")
            && d.artifact_type.is_none()
    };
    let ranked = manifests.iter().filter(real).filter_map(|d| match &d.platform {
        Some(p) if p.os == "unknown" => None,
        Some(p) => p.fitness(wanted).map(|f| (f, d)),
        None => Some((u32::MAX, d)),
    });
    ranked.min_by_key(|(fitness, _)| *fitness).map(|(_, d)| d)
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    #[test]
    fn texts() {
        let rows = [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64/v1", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("arm64", &format!("{}/arm64", std::env::consts::OS)),
        ];
        for (text, want) in rows {
            assert_eq!(Platform::parse(text).unwrap().to_string(), want);
        }
        for bad in ["", "linux//", "a/b/c/d", "linux/am d64", "plan"] {
            assert!(Platform::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn best_of_an_index() {
        let entry = |n: &str, os: &str, arch: &str, variant: &str| {
            let mut d = Descriptor::new("", Digest::sha256(n.as_bytes()), 1);
            d.platform = Some(Platform::new(os, arch, variant));
            d
        };
        let all = [
            entry("att", "unknown", "unknown", ""),
            entry("win", "windows", "amd64", ""),
            entry("arm5", "linux", "arm", "v5"),
            entry("arm7", "linux", "arm", "v7"),
            entry("amd", "linux", "amd64", ""),
        ];
        let pick = |p: &str| select(&all, &Platform::parse(p).unwrap()).map(|d| d.digest.clone());
        assert_eq!(pick("linux/amd64"), Some(Digest::sha256(b"amd")));
        assert_eq!(pick("linux/arm/v6"), Some(Digest::sha256(b"arm5")));
        assert_eq!(pick("linux/arm/v8"), Some(Digest::sha256(b"arm7")));
        assert_eq!(pick("linux/s390x"), None);
    }
}
