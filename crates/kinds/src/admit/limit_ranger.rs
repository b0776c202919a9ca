//! LimitRanger (upstream `plugin/pkg/admission/limitranger/admission.go`): defaults and bounds of a namespace.

use crate::admission::{Admit, Extras};
use crate::check::{Node, resources::parse};
use crate::core::pod_defaults::each;
use crate::table::{list, plain, text};
use meta::{Problem, Quantity, Resource, Value};
use std::collections::BTreeMap;

fn ranges(admit: &Admit<'_>) -> Vec<Value> {
    let resource = Resource::new("", "limitranges");
    admit.view.list(&resource, Some(admit.namespace)).map(|o| o.value()).collect()
}

/// What containers leave out is set.
pub(super) fn mutate(v: &mut Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    if !admit.creates("pods") {
        return Ok(());
    }
    let mut set = Vec::new();
    for range in ranges(admit) {
        for item in list(&range, "spec.limits").iter().filter(|i| i["type"] == "Container") {
            for kind in ["containers", "initContainers"] {
                each(&mut v["spec"], kind).for_each(|c| set.extend(fill(c, item, kind)));
            }
        }
    }
    if !set.is_empty() {
        let said = format!("LimitRanger plugin set: {}", set.join("; "));
        v["metadata"]["annotations"]["kubernetes.io/limit-ranger"] = said.into();
    }
    Ok(())
}

/// mergeContainerResources
fn fill(container: &mut Value, item: &Value, kind: &str) -> Vec<String> {
    let name = text(container, "name");
    let noun = if kind == "containers" { "container" } else { "init container" };
    let mut said = Vec::new();
    for (word, part, from) in
        [("request", "requests", "defaultRequest"), ("limit", "limits", "default")]
    {
        let defaults = Node::root(item).at(from);
        let mut set = Vec::new();
        for (resource, amount) in defaults.entries() {
            if container["resources"][part][resource].is_null() {
                container["resources"][part][resource] = amount.value.clone();
                set.push(resource);
            }
        }
        if !set.is_empty() {
            said.push(format!("{} {word} for {noun} {name}", set.join(", ")));
        }
    }
    said
}

/// What is out of bounds is refused.
pub(super) fn validate(v: &Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    let claim = admit.creates("persistentvolumeclaims");
    if !claim && !admit.creates("pods") {
        return Ok(());
    }
    for range in ranges(admit) {
        let mut wrong = Vec::new();
        for item in list(&range, "spec.limits") {
            match text(item, "type").as_str() {
                "PersistentVolumeClaim" if claim => {
                    let asked = amounts(&[&v["spec"]["resources"]["requests"]]);
                    bounds(item, &asked, &asked, &mut wrong);
                }
                "Container" if !claim => containers(v).into_iter().for_each(|c| {
                    let (requests, limits) =
                        (&c["resources"]["requests"], &c["resources"]["limits"]);
                    bounds(item, &amounts(&[requests]), &amounts(&[limits]), &mut wrong);
                }),
                "Pod" if !claim => {
                    bounds(item, &pod_total(v, "requests"), &pod_total(v, "limits"), &mut wrong);
                }
                _ => {}
            }
        }
        wrong.dedup();
        let why = match wrong.as_slice() {
            [] => continue,
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        return Err(Problem::forbidden(admit.resource, &text(v, "metadata.name"), &why));
    }
    Ok(())
}

fn containers(pod: &Value) -> Vec<&Value> {
    list(pod, "spec.containers").iter().chain(list(pod, "spec.initContainers")).collect()
}

pub(super) type Amounts = BTreeMap<String, Quantity>;

/// The sum of some maps of quantities.
pub(super) fn amounts(maps: &[&Value]) -> Amounts {
    let mut out = Amounts::new();
    for (name, value) in maps.iter().filter_map(|m| m.as_object()).flatten() {
        let Some(amount) = parse(value) else { continue };
        match out.get_mut(name) {
            Some(sum) => sum.add(&amount),
            None => drop(out.insert(name.clone(), amount)),
        }
    }
    out
}

/// PodRequests and PodLimits: containers and sidecars together, or the largest init container.
pub(super) fn pod_total(pod: &Value, part: &str) -> Amounts {
    let of = |c: &'_ Value| c["resources"][part].clone();
    let mut running: Vec<Value> = list(pod, "spec.containers").iter().map(of).collect();
    let mut peaks = Vec::new();
    let mut sidecars = Vec::new();
    for init in list(pod, "spec.initContainers") {
        if init["restartPolicy"] == "Always" {
            sidecars.push(of(init));
            running.push(of(init));
        } else {
            let mut together: Vec<&Value> = sidecars.iter().collect();
            let own = of(init);
            together.push(&own);
            peaks.push(amounts(&together));
        }
    }
    let mut out = amounts(&running.iter().collect::<Vec<_>>());
    for (name, peak) in peaks.into_iter().flatten() {
        let slot = out.entry(name).or_insert_with(|| peak.clone());
        if *slot < peak {
            *slot = peak;
        }
    }
    let overhead = amounts(&[&pod["spec"]["overhead"]]);
    for (name, more) in overhead {
        if let Some(sum) = out.get_mut(&name) {
            sum.add(&more);
        } else if part == "requests" {
            out.insert(name, more);
        }
    }
    out
}

fn bounds(item: &Value, requests: &Amounts, limits: &Amounts, wrong: &mut Vec<String>) {
    let kind = text(item, "type");
    for (name, least) in Node::root(item).at("min").entries() {
        let (Some(min), shown) = (parse(least.value), plain(least.value)) else { continue };
        let start = format!("minimum {name} usage per {kind} is {shown}");
        match (requests.get(name), limits.get(name)) {
            (None, _) => wrong.push(format!("{start}.  No request is specified")),
            (Some(r), _) if *r < min => wrong.push(format!("{start}, but request is {r}")),
            (_, Some(l)) if *l < min => wrong.push(format!("{start}, but limit is {l}")),
            _ => {}
        }
    }
    for (name, most) in Node::root(item).at("max").entries() {
        let (Some(max), shown) = (parse(most.value), plain(most.value)) else { continue };
        let start = format!("maximum {name} usage per {kind} is {shown}");
        match (requests.get(name), limits.get(name)) {
            (_, None) => wrong.push(format!("{start}.  No limit is specified")),
            (_, Some(l)) if *l > max => wrong.push(format!("{start}, but limit is {l}")),
            (Some(r), _) if *r > max => wrong.push(format!("{start}, but request is {r}")),
            _ => {}
        }
    }
    for (name, most) in Node::root(item).at("maxLimitRequestRatio").entries() {
        ratio(&kind, name, &most, (requests, limits), wrong);
    }
}

fn ratio(
    kind: &str,
    name: &str,
    most: &Node<'_>,
    (requests, limits): (&Amounts, &Amounts),
    wrong: &mut Vec<String>,
) {
    let start = format!("{name} max limit to request ratio per {kind} is {}", plain(most.value));
    let of = |map: &Amounts| map.get(name).map_or(0.0, Quantity::as_f64);
    let (request, limit) = (of(requests), of(limits));
    let max = parse(most.value).map_or(f64::MAX, |q| q.as_f64());
    if request == 0.0 {
        wrong.push(format!("{start}, but no request is specified or request is 0."));
    } else if limit == 0.0 {
        wrong.push(format!("{start}, but no limit is specified or limit is 0."));
    } else if limit / request > max {
        wrong.push(format!("{start}, but provided ratio is {:.6}.", limit / request));
    }
}
