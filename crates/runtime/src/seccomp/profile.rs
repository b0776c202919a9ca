//! Profiles in docker's JSON format (moby/profiles `seccomp/seccomp.go`).

use super::{Action, Condition, Filter, Op, Program, assemble};
use crate::error::{Error, Result};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    listener_path: String,
    #[serde(default)]
    syscalls: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    name: String,
    #[serde(default)]
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Terms,
    #[serde(default)]
    excludes: Terms,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Terms {
    caps: Vec<String>,
    arches: Vec<String>,
    min_kernel: String,
}

/// Compiles a profile for a container with these capabilities.
pub fn profile_program(json: &str, capabilities: u64) -> Result<Program> {
    let profile: Profile = serde_json::from_str(json)
        .map_err(|e| Error::invalid(format!("decoding seccomp profile failed: {e}")))?;
    refuse_inexpressible(&profile)?;
    let otherwise = action(&profile.default_action, profile.default_errno_ret)?;
    let mut filter = Filter::new(otherwise);
    let mut warnings = Vec::new();
    for entry in &profile.syscalls {
        if !applies(entry, capabilities) {
            continue;
        }
        let action = action(&entry.action, entry.errno_ret)?;
        let conditions =
            entry.args.iter().flatten().map(condition).collect::<Result<Vec<Condition>>>()?;
        for name in entry.names.iter().chain(Some(&entry.name).filter(|name| !name.is_empty())) {
            if !filter.add(name, action, conditions.clone()) && action != Action::ALLOW {
                warnings.push(format!("seccomp: this machine has no system call `{name}`"));
            }
        }
    }
    Ok(Program { code: assemble::program(&filter), warnings })
}

fn refuse_inexpressible(profile: &Profile) -> Result<()> {
    if !profile.listener_path.is_empty() {
        return Err(Error::invalid("seccomp: user notification is not supported"));
    }
    if let Some(flag) = profile.flags.iter().find(|flag| *flag != "SECCOMP_FILTER_FLAG_TSYNC") {
        return Err(Error::invalid(format!("seccomp: flag `{flag}` is not supported")));
    }
    let native = |name: &String| name == "SCMP_ARCH_X86_64" || name == "SCMP_ARCH_NATIVE";
    match profile.architectures.is_empty() || profile.architectures.iter().any(native) {
        true => Ok(()),
        false => Err(Error::invalid("seccomp: the profile does not cover this architecture")),
    }
}

fn action(name: &str, errno: Option<u32>) -> Result<Action> {
    let data = errno.unwrap_or(libc::EPERM as u32);
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::ALLOW,
        "SCMP_ACT_ERRNO" => Action::errno(data),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action(0),
        "SCMP_ACT_KILL_PROCESS" => Action(0x8000_0000),
        "SCMP_ACT_TRAP" => Action(0x0003_0000),
        "SCMP_ACT_TRACE" => Action(0x7ff0_0000 | (data & 0xffff)),
        "SCMP_ACT_LOG" => Action(0x7ffc_0000),
        other => return Err(Error::invalid(format!("seccomp: action `{other}` is not supported"))),
    })
}

fn condition(argument: &Argument) -> Result<Condition> {
    if argument.index > 5 {
        return Err(Error::invalid("seccomp: a system call has arguments 0 to 5"));
    }
    let (op, value) = match argument.op.as_str() {
        "SCMP_CMP_EQ" => (Op::Eq, argument.value),
        "SCMP_CMP_NE" => (Op::Ne, argument.value),
        "SCMP_CMP_LT" => (Op::Lt, argument.value),
        "SCMP_CMP_LE" => (Op::Le, argument.value),
        "SCMP_CMP_GT" => (Op::Gt, argument.value),
        "SCMP_CMP_GE" => (Op::Ge, argument.value),
        // libseccomp: the first value is the mask, the second what must remain.
        "SCMP_CMP_MASKED_EQ" => (Op::Masked(argument.value), argument.value_two),
        other => return Err(Error::invalid(format!("seccomp: comparison `{other}` is unknown"))),
    };
    Ok(Condition { argument: argument.index, op, value })
}

/// Upstream: all included capabilities, none of the excluded; architectures by Go's names.
fn applies(entry: &Entry, capabilities: u64) -> bool {
    let has = |cap: &String| {
        crate::caps::mask(std::slice::from_ref(cap)).is_ok_and(|mask| mask & capabilities != 0)
    };
    let here = |arch: &String| arch == "amd64";
    let (yes, no) = (&entry.includes, &entry.excludes);
    yes.caps.iter().all(has)
        && !no.caps.iter().any(has)
        && (yes.arches.is_empty() || yes.arches.iter().any(here))
        && !no.arches.iter().any(here)
        && (yes.min_kernel.is_empty() || kernel() >= version(&yes.min_kernel))
        && (no.min_kernel.is_empty() || kernel() < version(&no.min_kernel))
}

fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn kernel() -> (u32, u32) {
    version(&std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default())
}
