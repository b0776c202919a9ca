//! The addresses of an instance: of its pods, its Services and its load balancers.
//!
//! Chosen when the instance starts for the first time, and kept with its data from then on. The defaults are taken
//! when nobody on this machine has them, else the next free ones; what was asked for or chosen before is never
//! exchanged: when somebody else has it meanwhile, the instance refuses to start.

use crate::failure::Failure;
use clap::{Arg, ArgMatches, value_parser};
use ipnet::{IpNet, Ipv4Net};
use net::Instance;
use serde_json::{Value, json};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// Where an instance's pods, Services and load balancers live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks {
    pub pods: Ipv4Net,
    pub services: Ipv4Net,
    pub balancers: Ipv4Net,
}

/// One kind of addresses.
struct Range {
    /// Name in the file, and in messages.
    name: &'static str,
    flag: &'static str,
    help: &'static str,
    /// What is chosen from, in order; the first one is the default.
    candidates: fn() -> Vec<Ipv4Net>,
}

static RANGES: [Range; 3] = [
    Range {
        name: "pods",
        flag: "pod-cidr",
        help: "Addresses of pods [default: 10.244.0.0/24, or the next free one]",
        candidates: || (244..=254).map(|i| subnet([10, i, 0, 0], 24)).collect(),
    },
    Range {
        name: "Services",
        flag: "service-cidr",
        help: "Addresses of Services [default: 10.96.0.0/12, or the next free one]",
        candidates: || {
            let further = (113..=127).map(|i| subnet([10, i, 0, 0], 16));
            std::iter::once(subnet([10, 96, 0, 0], 12)).chain(further).collect()
        },
    },
    Range {
        name: "load balancers",
        flag: "load-balancer-pool",
        help: "Addresses of Services of type LoadBalancer [default: 10.112.0.0/24, or the next free one]",
        candidates: || (0..=255).map(|i| subnet([10, 112, i, 0], 24)).collect(),
    },
];

const SERVICES: &Range = &RANGES[1];
/// A route to this much or more (a VPN's way to all of 10.0.0.0/8) leaves room: the more exact route is taken.
const WIDE: u8 = 8;
const FILE: &str = "networks.json";
const HINT: &str = "stop what has these addresses; or `boxship reset` this instance and start it with others \
                    (--pod-cidr, --service-cidr, --load-balancer-pool)";

fn subnet(ip: [u8; 4], bits: u8) -> Ipv4Net {
    Ipv4Net::new(Ipv4Addr::from(ip), bits).expect("a prefix of at most 32")
}

fn arg(range: &Range) -> Arg {
    Arg::new(range.flag)
        .long(range.flag)
        .value_name("CIDR")
        .help(range.help)
        .value_parser(value_parser!(Ipv4Net))
}

/// The arguments of an instance with a node.
pub fn args() -> [Arg; 3] {
    RANGES.each_ref().map(arg)
}

/// The argument of a control plane alone.
pub fn service_arg() -> Arg {
    arg(SERVICES)
}

/// Instances of one machine choose one after another. Held until what was chosen is visible as routes.
pub struct Turn {
    _lock: File,
}

impl Turn {
    pub fn take() -> Result<Self, Failure> {
        let path = Path::new("/run/boxship/networks.lock");
        let take = || {
            std::fs::create_dir_all(path.parent().unwrap_or(path))?;
            let file = File::options().create(true).append(true).open(path)?;
            file.lock().map(|()| file)
        };
        take()
            .map(|_lock| Self { _lock })
            .map_err(|e| Failure::new(format!("lock `{}`", path.display()), e))
    }

    /// The networks of the instance `name` with this data directory.
    pub fn choose(&self, args: &ArgMatches, name: &str, dir: &Path) -> Result<Networks, Failure> {
        let what = || format!("choose the networks of instance {name:?}");
        let taken = Instance::new(name).subnets_of_others().map_err(|e| Failure::new(what(), e))?;
        let chosen = pick_all(args, &kept(dir)?, &taken).map_err(|failure| failure.hint(HINT))?;
        let [pods, services, balancers] = chosen;
        keep(dir, &chosen)?;
        Ok(Networks { pods, services, balancers })
    }
}

/// The Service addresses of a control plane without a node: nothing on the machine can be in their way.
pub fn services_alone(args: &ArgMatches, dir: &Path) -> Result<Ipv4Net, Failure> {
    let kept = kept(dir)?;
    let chosen = pick(args, SERVICES, &kept, &[])?;
    keep_values(dir, &json!({ SERVICES.name: chosen.to_string() }))?;
    Ok(chosen)
}

fn pick_all(args: &ArgMatches, kept: &Value, taken: &[IpNet]) -> Result<[Ipv4Net; 3], Failure> {
    let mut taken: Vec<IpNet> = taken.to_vec();
    let mut chosen = [Ipv4Net::default(); 3];
    // What is certain comes first, so that a default does not sit on it.
    let certain = |range: &Range| {
        args.get_one::<Ipv4Net>(range.flag).is_some() || kept.get(range.name).is_some()
    };
    let (first, then): (Vec<usize>, Vec<usize>) = (0..3).partition(|i| certain(&RANGES[*i]));
    for i in first.into_iter().chain(then) {
        chosen[i] = pick(args, &RANGES[i], kept, &taken)?;
        taken.push(IpNet::V4(chosen[i]));
    }
    Ok(chosen)
}

fn pick(
    args: &ArgMatches,
    range: &Range,
    kept: &Value,
    taken: &[IpNet],
) -> Result<Ipv4Net, Failure> {
    let what = || format!("choose the addresses of {}", range.name);
    let asked = args.get_one::<Ipv4Net>(range.flag).map(Ipv4Net::trunc);
    let before = kept[range.name].as_str().and_then(|text| text.parse::<Ipv4Net>().ok());
    if let (Some(asked), Some(before)) = (asked, before)
        && asked != before
    {
        let why =
            format!("the instance has {before} since its first start, --{} is {asked}", range.flag);
        return Err(Failure::new(what(), why));
    }
    if let Some(wanted) = asked.or(before) {
        return match in_the_way(&wanted, taken) {
            Some(other) => {
                Err(Failure::new(what(), format!("{wanted} meets {other}, which is in use")))
            }
            None if wanted.prefix_len() > 28 => {
                Err(Failure::new(what(), format!("{wanted} is too small: at most /28")))
            }
            None => Ok(wanted),
        };
    }
    let mut candidates = (range.candidates)().into_iter();
    let free = candidates.find(|candidate| in_the_way(candidate, taken).is_none());
    free.ok_or_else(|| Failure::new(what(), "all that are chosen from are in use on this machine"))
}

fn in_the_way<'a>(wanted: &Ipv4Net, taken: &'a [IpNet]) -> Option<&'a IpNet> {
    let wanted = IpNet::V4(*wanted);
    let meets = |t: &&IpNet| t.contains(&wanted) || wanted.contains(*t);
    taken.iter().filter(|t| t.prefix_len() > WIDE).find(meets)
}

/// What was chosen at the first start; an empty map before.
fn kept(dir: &Path) -> Result<Value, Failure> {
    let path = dir.join(FILE);
    let failed = |e: &dyn std::fmt::Display| Failure::new(format!("read `{}`", path.display()), e);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| failed(&e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(json!({})),
        Err(e) => Err(failed(&e)),
    }
}

fn keep(dir: &Path, chosen: &[Ipv4Net; 3]) -> Result<(), Failure> {
    let pairs =
        RANGES.iter().zip(chosen).map(|(r, net)| (r.name.to_string(), net.to_string().into()));
    keep_values(dir, &Value::Object(pairs.collect()))
}

fn keep_values(dir: &Path, values: &Value) -> Result<(), Failure> {
    let (path, new) = (dir.join(FILE), dir.join("networks.json.new"));
    let write = || {
        std::fs::create_dir_all(dir)?;
        std::fs::write(&new, format!("{values:#}\n"))?;
        File::open(&new)?.sync_all()?;
        std::fs::rename(&new, &path)
    };
    write().map_err(|e| Failure::new(format!("write `{}`", path.display()), e))
}

/// The networks of the instance in a directory, for people.
pub fn kept_text(dir: &Path) -> String {
    let kept = kept(dir).unwrap_or_default();
    let text = |r: &Range| Some(format!("{} {}", r.name, kept.get(r.name)?.as_str()?));
    RANGES.iter().filter_map(text).collect::<Vec<_>>().join(", ")
}

/// What new instances keep away from.
pub fn others() -> Result<Vec<IpNet>, net::Error> {
    let all = net::host_subnets()?;
    Ok(all.into_iter().filter(|n| n.prefix_len() > WIDE && n.addr().is_ipv4()).collect())
}

/// The `n`th address of a subnet; the subnet's own when it has fewer.
pub fn nth(net: Ipv4Net, n: usize) -> IpAddr {
    IpAddr::V4(net.hosts().nth(n - 1).unwrap_or(net.network()))
}

#[cfg(test)]
#[path = "networks/tests.rs"]
mod tests;
