//! What each plugin says.

use super::world::{World, refusal};

/// Decisions for `documents`, in order.
fn decided(documents: &str) -> Vec<String> {
    World::new(documents).decide()
}

fn hopeless(reason: &str) -> Vec<String> {
    let reasons = format!("1 {reason}");
    vec![format!("p: {}", refusal(1, &reasons, "1 Preemption is not helpful for scheduling"))]
}

fn no_victims(reason: &str) -> Vec<String> {
    let reasons = format!("1 {reason}");
    vec![format!("p: {}", refusal(1, &reasons, "1 No preemption victims found for incoming pod"))]
}

#[test]
fn without_nodes_there_is_nothing_to_say_about_them() {
    assert_eq!(decided("{kind: Pod, name: p}"), ["p: no nodes available to schedule pods"]);
}

#[test]
fn the_emptier_node_is_chosen() {
    let got = decided(
        "{kind: Node, name: a}
         {kind: Node, name: b}
         {kind: Pod, name: x, cpu: '2', memory: 4Gi, at: a}
         {kind: Pod, name: p, cpu: '1', memory: 1Gi}",
    );
    assert_eq!(got, ["p -> b"]);
}

#[test]
fn everything_that_is_short_is_named_and_counted() {
    let got = decided(
        "{kind: Node, name: a, cpu: '1', memory: 1Gi}
         {kind: Node, name: b, cpu: '1'}
         {kind: Node, name: c, spec: {unschedulable: true}}
         {kind: Pod, name: p, cpu: '2', memory: 2Gi}",
    );
    let reasons = "1 Insufficient memory, 1 node(s) were unschedulable, 2 Insufficient cpu";
    let want = refusal(3, reasons, "3 Preemption is not helpful for scheduling");
    assert_eq!(got, [format!("p: {want}")]);
}

#[test]
fn a_node_takes_so_many_pods() {
    let got = decided(
        "{kind: Node, name: a, status: {allocatable: {pods: '1'}}}
         {kind: Pod, name: x, at: a}
         {kind: Pod, name: p}",
    );
    assert_eq!(got, no_victims("Too many pods"));
}

#[test]
fn extended_resources_are_counted_in_pieces() {
    let pod = |name: &str, gpus: &str| {
        format!(
            "{{kind: Pod, name: {name}, spec: {{containers: [{{name: c, resources: {{requests: \
             {{example.com/gpu: '{gpus}'}}}}}}]}}}}\n"
        )
    };
    let node = "{kind: Node, name: a, status: {allocatable: {example.com/gpu: '3'}}}\n";
    assert_eq!(
        decided(&format!("{node}{}{}", pod("o", "2"), pod("p", "2"))),
        ["o -> a".to_string(), no_victims("Insufficient example.com/gpu")[0].clone()]
    );
    assert_eq!(
        decided(&format!("{node}{}", pod("p", "4"))),
        hopeless("Insufficient example.com/gpu")
    );
}

#[test]
fn init_containers_and_sidecars_count_as_upstream_counts_them() {
    // Sidecar 1 + init 3 = 4 while starting; sidecar 1 + app 1 = 2 after.
    let pod = "{kind: Pod, name: p, spec: {initContainers: [\
        {name: s, restartPolicy: Always, resources: {requests: {cpu: '1'}}}, \
        {name: i, resources: {requests: {cpu: '3'}}}], \
        containers: [{name: c, resources: {requests: {cpu: '1'}}}]}}";
    assert_eq!(decided(&format!("{{kind: Node, name: a, cpu: '4'}}\n{pod}")), ["p -> a"]);
    assert_eq!(
        decided(&format!("{{kind: Node, name: a, cpu: '3900m'}}\n{pod}")),
        hopeless("Insufficient cpu")
    );
}

#[test]
fn taints_keep_away_who_does_not_tolerate_them() {
    let node = "{kind: Node, name: a, spec: {taints: [{key: k, value: v, effect: NoSchedule}]}}\n";
    let with = |tolerations: &str| {
        decided(&format!("{node}{{kind: Pod, name: p, spec: {{tolerations: [{tolerations}]}}}}"))
    };
    let refused = hopeless("node(s) had untolerated taint(s)");
    for (toleration, fits) in [
        ("", false),
        ("{key: k, operator: Exists}", true),
        ("{operator: Exists}", true),
        ("{key: k, value: v}", true),
        ("{key: k, value: w}", false),
        ("{key: k, operator: Exists, effect: NoExecute}", false),
        ("{key: other, operator: Exists}", false),
    ] {
        let want = if fits { vec!["p -> a".to_string()] } else { refused.clone() };
        assert_eq!(with(toleration), want, "{toleration}");
    }
}

#[test]
fn soft_taints_only_repel() {
    let got = decided(
        "{kind: Node, name: a, spec: {taints: [{key: k, effect: PreferNoSchedule}]}}
         {kind: Node, name: b}
         {kind: Pod, name: p}",
    );
    assert_eq!(got, ["p -> b"]);
}

#[test]
fn cordoned_nodes_take_only_who_tolerates_it() {
    let node = "{kind: Node, name: a, spec: {unschedulable: true}}\n";
    assert_eq!(
        decided(&format!("{node}{{kind: Pod, name: p}}")),
        hopeless("node(s) were unschedulable")
    );
    let tolerant = "{kind: Pod, name: p, spec: {tolerations: \
        [{key: node.kubernetes.io/unschedulable, operator: Exists, effect: NoSchedule}]}}";
    assert_eq!(decided(&format!("{node}{tolerant}")), ["p -> a"]);
}

#[test]
fn selectors_and_required_affinity_narrow_preferred_affinity_chooses() {
    let nodes = "{kind: Node, name: a, labels: {disk: hdd, size: '1'}}
        {kind: Node, name: b, labels: {disk: ssd, size: '9'}}\n";
    let with = |spec: &str| decided(&format!("{nodes}{{kind: Pod, name: p, spec: {spec}}}"));
    let required = |expression: &str| {
        with(&format!(
            "{{affinity: {{nodeAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: \
             {{nodeSelectorTerms: [{{matchExpressions: [{expression}]}}]}}}}}}}}"
        ))
    };
    assert_eq!(with("{nodeSelector: {disk: ssd}}"), ["p -> b"]);
    for (expression, node) in [
        ("{key: disk, operator: In, values: [ssd]}", "b"),
        ("{key: disk, operator: NotIn, values: [ssd]}", "a"),
        ("{key: size, operator: Gt, values: ['5']}", "b"),
        ("{key: size, operator: Lt, values: ['5']}", "a"),
    ] {
        assert_eq!(required(expression), [format!("p -> {node}")], "{expression}");
    }
    assert_eq!(
        required("{key: disk, operator: DoesNotExist}"),
        [format!(
            "p: {}",
            refusal(
                2,
                "2 node(s) didn't match Pod's node affinity/selector",
                "2 Preemption is not helpful for scheduling"
            )
        )]
    );
    let preferred = "{affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: \
        [{weight: 1, preference: {matchExpressions: [{key: disk, operator: In, values: [hdd]}]}}]}}}";
    assert_eq!(with(preferred), ["p -> a"]);
}

#[test]
fn pods_of_daemon_sets_look_at_their_node_only() {
    let pod = "{kind: Pod, name: p, cpu: '9', spec: {affinity: {nodeAffinity: \
        {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: \
        [{matchFields: [{key: metadata.name, operator: In, values: [b]}]}]}}}}}";
    let nodes = "{kind: Node, name: a}\n{kind: Node, name: b}\n";
    assert_eq!(
        decided(&format!("{nodes}{pod}")),
        [format!(
            "p: {}",
            refusal(
                2,
                "1 Insufficient cpu, 1 node(s) didn't satisfy plugin(s) [NodeAffinity]",
                "2 Preemption is not helpful for scheduling"
            )
        )]
    );
    assert_eq!(decided(&format!("{nodes}{}", pod.replace("'9'", "'1'"))), ["p -> b"]);
}

#[test]
fn host_ports_are_there_once_per_address_and_protocol() {
    let pod = |name: &str, port: &str| {
        format!(
            "{{kind: Pod, name: {name}, spec: {{containers: [{{name: c, ports: [{port}]}}]}}}}\n"
        )
    };
    let with = |first: &str, second: &str| {
        let got =
            decided(&format!("{{kind: Node, name: a}}\n{}{}", pod("o", first), pod("p", second)));
        got[1].clone()
    };
    let refused =
        no_victims("node(s) didn't have free ports for the requested pod ports")[0].clone();
    for (first, second, fits) in [
        ("{hostPort: 80}", "{hostPort: 80}", false),
        ("{hostPort: 80}", "{hostPort: 81}", true),
        ("{hostPort: 80}", "{hostPort: 80, protocol: UDP}", true),
        ("{hostPort: 80, hostIP: 10.0.0.1}", "{hostPort: 80, hostIP: 10.0.0.2}", true),
        ("{hostPort: 80, hostIP: 10.0.0.1}", "{hostPort: 80}", false),
        ("{containerPort: 80}", "{containerPort: 80}", true),
    ] {
        let want = if fits { "p -> a".to_string() } else { refused.clone() };
        assert_eq!(with(first, second), want, "{first} {second}");
    }
}

#[test]
fn images_attract() {
    let got = decided(
        "{kind: Node, name: a}
         {kind: Node, name: b, status: {images: [{names: ['i:latest'], sizeBytes: 900000000}]}}
         {kind: Pod, name: p}",
    );
    assert_eq!(got, ["p -> b"]);
}

// === other pods ===

const ZONES: &str = "{kind: Node, name: a, labels: {zone: z1, host: a}}
    {kind: Node, name: b, labels: {zone: z1, host: b}}
    {kind: Node, name: c, labels: {zone: z2, host: c}}\n";

fn affinity(kind: &str, app: &str, topology: &str) -> String {
    format!(
        "{{affinity: {{{kind}: {{requiredDuringSchedulingIgnoredDuringExecution: \
         [{{labelSelector: {{matchLabels: {{app: {app}}}}}, topologyKey: {topology}}}]}}}}}}"
    )
}

#[test]
fn affinity_goes_where_the_others_are() {
    let spec = affinity("podAffinity", "web", "zone");
    let got = decided(&format!(
        "{ZONES}{{kind: Pod, name: x, labels: {{app: web}}, at: c}}\n{{kind: Pod, name: p, spec: {spec}}}"
    ));
    assert_eq!(got, ["p -> c"]);
    let got = decided(&format!("{ZONES}{{kind: Pod, name: p, spec: {spec}}}"));
    let want = refusal(
        3,
        "3 node(s) didn't match pod affinity rules",
        "3 Preemption is not helpful for scheduling",
    );
    assert_eq!(got, [format!("p: {want}")]);
}

#[test]
fn the_first_of_a_group_that_attracts_itself_goes_anywhere_the_rest_follow() {
    let spec = affinity("podAffinity", "web", "host");
    let pods: String = (0..3)
        .map(|i| format!("{{kind: Pod, name: p{i}, labels: {{app: web}}, spec: {spec}}}\n"))
        .collect();
    let got = decided(&format!("{ZONES}{pods}"));
    let node = got[0].strip_prefix("p0 -> ").unwrap();
    assert_eq!(got[1..], [format!("p1 -> {node}"), format!("p2 -> {node}")]);
}

#[test]
fn anti_affinity_spreads_and_then_refuses() {
    let spec = affinity("podAntiAffinity", "web", "host");
    let pods: String = (0..4)
        .map(|i| format!("{{kind: Pod, name: p{i}, labels: {{app: web}}, spec: {spec}}}\n"))
        .collect();
    let got = decided(&format!("{ZONES}{pods}"));
    let mut nodes: Vec<&str> = got[..3].iter().map(|d| d.split(" -> ").nth(1).unwrap()).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["a", "b", "c"]);
    let want = refusal(
        3,
        "3 node(s) didn't match pod anti-affinity rules",
        "3 No preemption victims found for incoming pod",
    );
    assert_eq!(got[3], format!("p3: {want}"));
}

#[test]
fn pods_that_are_there_keep_others_away() {
    let spec = affinity("podAntiAffinity", "web", "zone");
    let guard = |on: &str| format!("{{kind: Pod, name: g{on}, at: {on}, spec: {spec}}}\n");
    let web = "{kind: Pod, name: p, labels: {app: web}}\n";
    assert_eq!(decided(&format!("{ZONES}{}{web}", guard("a"))), ["p -> c"]);
    let want = refusal(
        3,
        "3 node(s) didn't satisfy existing pods anti-affinity rules",
        "3 No preemption victims found for incoming pod",
    );
    assert_eq!(
        decided(&format!("{ZONES}{}{}{web}", guard("a"), guard("c"))),
        [format!("p: {want}")]
    );
}

#[test]
fn affinity_looks_into_the_namespaces_it_names() {
    let pods = "{kind: Namespace, name: other, labels: {team: t}}
        {kind: Pod, name: x, namespace: other, labels: {app: web}, at: c}\n";
    let with = |scope: &str| {
        let term = format!("{{labelSelector: {{}}, topologyKey: host{scope}}}");
        let got = decided(&format!(
            "{ZONES}{pods}{{kind: Pod, name: p, spec: {{affinity: {{podAffinity: \
             {{requiredDuringSchedulingIgnoredDuringExecution: [{term}]}}}}}}}}"
        ));
        got[0].starts_with("p -> c")
    };
    assert!(!with(", namespaces: [default2]"));
    assert!(with(", namespaces: [other]"));
    assert!(with(", namespaceSelector: {matchLabels: {team: t}}"));
    assert!(!with(", namespaceSelector: {matchLabels: {team: u}}"));
    assert!(with(", namespaceSelector: {}"));
}

#[test]
fn preferred_affinity_pulls_and_preferred_anti_affinity_pushes() {
    let preferred = |kind: &str| {
        format!(
            "{{affinity: {{{kind}: {{preferredDuringSchedulingIgnoredDuringExecution: [{{weight: 100, \
             podAffinityTerm: {{labelSelector: {{matchLabels: {{app: web}}}}, topologyKey: zone}}}}]}}}}}}"
        )
    };
    let with = |kind: &str, on: &str| {
        decided(&format!(
            "{ZONES}{{kind: Pod, name: x, labels: {{app: web}}, at: {on}}}\n\
             {{kind: Pod, name: p, spec: {}}}",
            preferred(kind)
        ))
    };
    assert_eq!(with("podAffinity", "c"), ["p -> c"]);
    assert_eq!(with("podAntiAffinity", "a"), ["p -> c"]);
}

// === spreading ===

fn spread(topology: &str, more: &str) -> String {
    format!(
        "{{topologySpreadConstraints: [{{maxSkew: 1, topologyKey: {topology}, labelSelector: \
         {{matchLabels: {{app: web}}}}, {more}}}]}}"
    )
}

fn web(count: usize, spec: &str) -> String {
    (0..count)
        .map(|i| format!("{{kind: Pod, name: p{i}, labels: {{app: web}}, spec: {spec}}}\n"))
        .collect()
}

fn per_node(decisions: &[String]) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for node in decisions.iter().filter_map(|d| d.split(" -> ").nth(1)) {
        *counts.entry(node.to_string()).or_default() += 1;
    }
    counts.into_iter().collect()
}

#[test]
fn hard_spreading_keeps_the_skew() {
    let spec = spread("zone", "whenUnsatisfiable: DoNotSchedule");
    let got = decided(&format!("{ZONES}{}", web(6, &spec)));
    let counts = per_node(&got);
    let of = |node: &str| counts.iter().find(|(n, _)| n == node).map_or(0, |(_, c)| *c);
    assert_eq!((of("a") + of("b"), of("c")), (3, 3), "{got:?}");
}

#[test]
fn what_would_skew_too_much_is_refused() {
    let spec = spread("zone", "whenUnsatisfiable: DoNotSchedule");
    let full = "{kind: Node, name: d, labels: {zone: z}, spec: {unschedulable: true}}\n";
    let got = decided(&format!("{ZONES}{full}{}", web(3, &spec)));
    let want = refusal(
        4,
        "1 node(s) were unschedulable, 3 node(s) didn't match pod topology spread constraints",
        "1 Preemption is not helpful for scheduling, 3 No preemption victims found for incoming pod",
    );
    assert_eq!(got[2], format!("p2: {want}"));
}

#[test]
fn nodes_without_the_label_are_no_place() {
    let spec = spread("rack", "whenUnsatisfiable: DoNotSchedule");
    let got = decided(&format!("{ZONES}{}", web(1, &spec)));
    let want = refusal(
        3,
        "3 node(s) didn't match pod topology spread constraints (missing required label)",
        "3 Preemption is not helpful for scheduling",
    );
    assert_eq!(got, [format!("p0: {want}")]);
}

#[test]
fn with_fewer_places_than_wanted_the_emptiest_counts_as_empty() {
    let spec = spread("zone", "whenUnsatisfiable: DoNotSchedule, minDomains: 3");
    let got = decided(&format!("{ZONES}{}", web(3, &spec)));
    assert!(got[..2].iter().all(|d| d.contains(" -> ")), "{got:?}");
    assert!(got[2].contains("topology spread constraints"), "{got:?}");
}

#[test]
fn soft_spreading_prefers_and_never_refuses() {
    let spec = spread("host", "whenUnsatisfiable: ScheduleAnyway");
    let got = decided(&format!("{ZONES}{}", web(6, &spec)));
    assert_eq!(per_node(&got), [("a".into(), 2), ("b".into(), 2), ("c".into(), 2)]);
    let unlabelled = "{kind: Node, name: d}\n";
    let got = decided(&format!("{ZONES}{unlabelled}{}", web(3, &spec)));
    assert_eq!(per_node(&got), [("a".into(), 1), ("b".into(), 1), ("c".into(), 1)]);
}

#[test]
fn spreading_counts_only_nodes_the_pod_may_go_to() {
    let spec = "{nodeSelector: {zone: z1}, topologySpreadConstraints: [{maxSkew: 1, topologyKey: host, \
        labelSelector: {matchLabels: {app: web}}, whenUnsatisfiable: DoNotSchedule}]}";
    let got = decided(&format!("{ZONES}{}", web(4, spec)));
    assert_eq!(per_node(&got), [("a".into(), 2), ("b".into(), 2)]);
}

// === claims ===

#[test]
fn claims_must_be_there_bound_and_reachable() {
    let with = |more: &str| {
        decided(&format!(
            "{ZONES}{more}\n{{kind: Pod, name: p, spec: {{volumes: [{{name: v, \
             persistentVolumeClaim: {{claimName: d}}}}]}}}}"
        ))
    };
    let outright = |why: &str| {
        let text = refusal(3, why, "3 Preemption is not helpful for scheduling");
        vec![format!("p: {text}")]
    };
    assert_eq!(with(""), outright("persistentvolumeclaim \"d\" not found"));
    let claim =
        "{kind: PersistentVolumeClaim, name: d, spec: {storageClassName: s, volumeName: IT}}";
    assert_eq!(
        with(&claim.replace("IT", "''")),
        outright("pod has unbound immediate PersistentVolumeClaims")
    );
    let late =
        "{kind: StorageClass, name: s, provisioner: x, volumeBindingMode: WaitForFirstConsumer}";
    assert!(with(&format!("{}\n{late}", claim.replace("IT", "''")))[0].starts_with("p -> "));
    let volume = "{kind: PersistentVolume, name: v, spec: {nodeAffinity: {required: {nodeSelectorTerms: \
        [{matchExpressions: [{key: host, operator: In, values: [b]}]}]}}}}";
    assert_eq!(with(&format!("{}\n{volume}", claim.replace("IT", "v"))), ["p -> b"]);
}

#[test]
fn other_schedulers_pods_and_gated_pods_are_left_alone() {
    let got = decided(
        "{kind: Node, name: a}
         {kind: Pod, name: o, spec: {schedulerName: other}}
         {kind: Pod, name: g, spec: {schedulingGates: [{name: x}]}}",
    );
    assert_eq!(got, Vec::<String>::new());
}
