//! Environment, downward API, names and cgroups.

use super::world::{pod, policy};
use crate::{
    CgroupLimits, Resolver, Sources, command_args, container_env, expand, hosts_file, limits,
};
use crate::{fqdn, hostname, resolver};
use k8s_openapi::api::core::v1::{Container, Pod};
use meta::{Resource, Value};
use serde_json::json;
use store::{Draft, Expect, Head, Heads, Key, Op, Options, Store, Txn, View, Volatile};

fn view(objects: Value) -> View {
    let heads = Heads { version: 1, parse: |_, _| Head::default() };
    let store = Store::inline(Box::new(Volatile), Options::new(heads)).unwrap();
    for object in objects.as_array().unwrap() {
        let resource = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
        let text = |key: &str| object["metadata"][key].as_str().unwrap();
        let key = Key::new(&Resource::new("", &resource), text("namespace"), text("name"));
        let draft = Draft::new(key, Head::default(), object.clone());
        store.commit(Txn { ops: vec![Op::Put { draft, expect: Expect::Any }] }).unwrap();
    }
    store.view()
}

fn container(value: Value) -> Container {
    serde_json::from_value(value).unwrap()
}

fn env_of(pod: &Pod, wanted: Value, objects: Value) -> Result<Vec<(String, String)>, String> {
    let (view, policy, ips) = (view(objects), policy(), ["10.0.0.9".to_string()]);
    let sources = Sources { pod, view: &view, policy: &policy, pod_ips: &ips };
    container_env(&container(wanted), &sources)
}

#[test]
fn references_expand_as_upstreams_do() {
    let lookup = |name: &str| (name == "A").then(|| "1".to_string());
    for (text, want) in [
        ("$(A)", "1"),
        ("x$(A)y$(A)", "x1y1"),
        ("$(B)", "$(B)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$$$$(A)", "$$(A)"),
        ("$", "$"),
        ("$A", "$A"),
        ("$(A", "$(A"),
        ("$()", "$()"),
        ("a$$", "a$"),
        ("$(A)$(A", "1$(A"),
        ("é$(A)ü", "é1ü"),
    ] {
        assert_eq!(expand(text, lookup), want, "{text}");
    }
}

#[test]
fn variables_build_on_those_before_them_and_on_services() {
    let service = |name: &str, namespace: &str, ip: &str| {
        json!({ "kind": "Service",
        "metadata": { "name": name, "namespace": namespace },
        "spec": { "clusterIP": ip, "ports": [{ "name": "web-ui", "port": 80 }] } })
    };
    let env = env_of(
        &pod(json!({ "containers": [] })),
        json!({ "name": "c", "env": [
            { "name": "A", "value": "1" },
            { "name": "B", "value": "$(A)-$(MY_DB_SERVICE_HOST)-$(C)" },
            { "name": "C", "value": "late" },
        ] }),
        json!([
            service("kubernetes", "default", "10.96.0.1"),
            service("my-db", "default", "10.96.0.7"),
            service("none", "default", "None"),
            service("far", "other", "10.96.0.8"),
        ]),
    )
    .unwrap();
    assert_eq!(
        env[..3],
        [
            ("A".into(), "1".into()),
            ("B".into(), "1-10.96.0.7-$(C)".into()),
            ("C".into(), "late".into())
        ]
    );
    let of = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    assert_eq!(of("KUBERNETES_SERVICE_HOST"), Some("10.96.0.1"));
    assert_eq!(of("MY_DB_SERVICE_PORT_WEB_UI"), Some("80"));
    assert_eq!(of("MY_DB_PORT"), Some("tcp://10.96.0.7:80"));
    assert_eq!(of("MY_DB_PORT_80_TCP_ADDR"), Some("10.96.0.7"));
    assert_eq!((of("NONE_SERVICE_HOST"), of("FAR_SERVICE_HOST")), (None, None));
}

#[test]
fn maps_and_secrets_give_values_or_say_what_is_missing() {
    let objects = json!([
        { "kind": "ConfigMap", "metadata": { "name": "m", "namespace": "default" }, "data": { "k": "v" } },
        { "kind": "Secret", "metadata": { "name": "s", "namespace": "default" }, "data": { "k": "czNjcmV0" } },
    ]);
    let one = |from: Value| {
        let wanted = json!({ "name": "c", "env": [{ "name": "X", "valueFrom": from }] });
        env_of(&pod(json!({ "containers": [] })), wanted, objects.clone())
            .map(|env| env.first().map(|(_, v)| v.clone()))
    };
    assert_eq!(
        one(json!({ "configMapKeyRef": { "name": "m", "key": "k" } })),
        Ok(Some("v".into()))
    );
    assert_eq!(
        one(json!({ "secretKeyRef": { "name": "s", "key": "k" } })),
        Ok(Some("s3cret".into()))
    );
    assert_eq!(
        one(json!({ "configMapKeyRef": { "name": "m", "key": "z" } })),
        Err("couldn't find key z in ConfigMap default/m".into())
    );
    assert_eq!(
        one(json!({ "secretKeyRef": { "name": "z", "key": "k" } })),
        Err("secret \"z\" not found".into())
    );
    assert_eq!(
        one(json!({ "secretKeyRef": { "name": "z", "key": "k", "optional": true } })),
        Ok(None)
    );
    let whole =
        json!({ "name": "c", "envFrom": [{ "prefix": "P_", "configMapRef": { "name": "m" } }] });
    let env = env_of(&pod(json!({ "containers": [] })), whole, objects).unwrap();
    assert_eq!(env, [("P_k".to_string(), "v".to_string())]);
}

#[test]
fn fields_of_the_pod_as_text() {
    let mut pod = pod(json!({ "serviceAccountName": "sa", "containers": [{ "name": "c" }] }));
    pod.metadata.labels =
        Some([("a".into(), "1".into()), ("b".into(), "x\"y\\z\n\u{1}é".into())].into());
    let one = |path: &str| {
        let from = json!({ "fieldRef": { "fieldPath": path } });
        let wanted = json!({ "name": "c", "env": [{ "name": "X", "valueFrom": from }] });
        env_of(&pod, wanted, json!([])).map(|env| env[0].1.clone())
    };
    for (path, want) in [
        ("metadata.name", "p"),
        ("metadata.namespace", "default"),
        ("metadata.uid", "u"),
        ("metadata.labels['a']", "1"),
        ("metadata.labels['none']", ""),
        ("metadata.labels", "a=\"1\"\nb=\"x\\\"y\\\\z\\n\\x01é\""),
        ("spec.nodeName", "node"),
        ("spec.serviceAccountName", "sa"),
        ("status.hostIP", "192.0.2.1"),
        ("status.podIP", "10.0.0.9"),
        ("status.podIPs", "10.0.0.9"),
    ] {
        assert_eq!(one(path).as_deref(), Ok(want), "{path}");
    }
    assert_eq!(one("spec.bogus"), Err("unsupported fieldPath: spec.bogus".into()));
}

#[test]
fn limits_and_requests_are_divided_and_rounded_up() {
    let resources = json!({ "limits": { "memory": "100Mi" }, "requests": { "cpu": "250m" } });
    let one = |resource: &str, divisor: &str| {
        let from = json!({ "resourceFieldRef": { "resource": resource, "divisor": divisor } });
        let wanted = json!({ "name": "c", "resources": resources, "env": [{ "name": "X", "valueFrom": from }] });
        env_of(&pod(json!({ "containers": [] })), wanted, json!([])).map(|env| env[0].1.clone())
    };
    for (resource, divisor, want) in [
        ("requests.cpu", "0", "1"),
        ("requests.cpu", "1m", "250"),
        ("limits.memory", "1Mi", "100"),
        ("limits.memory", "1Gi", "1"),
        ("limits.memory", "0", "104857600"),
        ("limits.cpu", "0", "4"),
        ("requests.memory", "1", "104857600"),
    ] {
        assert_eq!(one(resource, divisor).as_deref(), Ok(want), "{resource} / {divisor}");
    }
    assert!(one("bogus", "0").is_err());
}

#[test]
fn commands_see_the_environment() {
    let env = [("A".to_string(), "1".to_string()), ("A".to_string(), "2".to_string())];
    let made = command_args(
        &container(json!({ "name": "c", "command": ["run", "$(A)"], "args": [] })),
        &env,
    );
    assert_eq!(made, (Some(vec!["run".into(), "2".into()]), None));
}

#[test]
fn resolvers_follow_the_policy() {
    let machine = Resolver {
        servers: vec!["192.0.2.53".into()],
        searches: vec!["lan".into()],
        options: vec!["edns0".into()],
    };
    let of = |spec: Value| {
        let got = resolver(&pod(spec), &policy(), &machine);
        format!(
            "{} | {} | {}",
            got.servers.join(" "),
            got.searches.join(" "),
            got.options.join(" ")
        )
    };
    let cluster =
        "10.96.0.10 | default.svc.cluster.local svc.cluster.local cluster.local lan | ndots:5";
    let own = "192.0.2.53 | lan | edns0";
    for (spec, want) in [
        (json!({ "containers": [] }), cluster),
        (json!({ "containers": [], "hostNetwork": true }), own),
        (
            json!({ "containers": [], "hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet" }),
            cluster,
        ),
        (json!({ "containers": [], "dnsPolicy": "Default" }), own),
        (
            json!({ "containers": [], "dnsPolicy": "None", "dnsConfig": {
                "nameservers": ["1.1.1.1", "1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"], "searches": ["x"],
                "options": [{ "name": "ndots", "value": "2" }, { "name": "use-vc" }] } }),
            "1.1.1.1 2.2.2.2 3.3.3.3 | x | ndots:2 use-vc",
        ),
        (
            json!({ "containers": [], "dnsPolicy": "Default", "dnsConfig": { "options": [{ "name": "edns0" }] } }),
            own,
        ),
    ] {
        assert_eq!(of(spec.clone()), want, "{spec}");
    }
}

#[test]
fn names_and_hosts() {
    let own = pod(json!({ "containers": [], "hostname": "web-0", "subdomain": "web",
        "hostAliases": [{ "ip": "10.1.1.1", "hostnames": ["a", "b"] }] }));
    assert_eq!(hostname(&own, &policy()), "web-0");
    assert_eq!(fqdn(&own, &policy()), "web-0.web.default.svc.cluster.local");
    let hosts = hosts_file(&own, &policy(), &["10.0.0.9".into()], "");
    assert_eq!(
        hosts,
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\n\
         fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n\
         10.0.0.9\tweb-0.web.default.svc.cluster.local\tweb-0\n\
         \n# Entries added by HostAliases.\n10.1.1.1\ta\tb\n"
    );
    let host = pod(json!({ "containers": [], "hostNetwork": true }));
    assert_eq!(hostname(&host, &policy()), "node");
    let hosts = hosts_file(&host, &policy(), &[], "127.0.0.1 localhost\n");
    assert_eq!(hosts, "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n");
    let mut long = pod(json!({ "containers": [] }));
    long.metadata.name = Some(format!("{}-tail", "a".repeat(62)));
    assert_eq!(hostname(&long, &policy()), "a".repeat(62));
}

#[test]
fn cgroups_get_what_requests_and_limits_say() {
    let of = |class: &str, resources: Value| {
        let mut pod = pod(json!({ "containers": [] }));
        pod.status = serde_json::from_value(json!({ "qosClass": class })).unwrap();
        limits(&pod, &container(json!({ "name": "c", "resources": resources })), &policy())
    };
    let made = |cpu_shares, cpu_quota, memory_bytes, oom_score_adj| CgroupLimits {
        cpu_shares,
        cpu_quota,
        cpu_period: if cpu_quota == 0 { 0 } else { 100_000 },
        memory_bytes,
        oom_score_adj,
    };
    assert_eq!(of("BestEffort", json!({})), made(2, 0, 0, 1000));
    let all = json!({ "limits": { "cpu": "500m", "memory": "1Gi" }, "requests": { "cpu": "500m", "memory": "1Gi" } });
    assert_eq!(of("Guaranteed", all), made(512, 50_000, 1 << 30, -997));
    assert_eq!(
        of("Burstable", json!({ "requests": { "cpu": "1", "memory": "2Gi" } })),
        made(1024, 0, 0, 750)
    );
    assert_eq!(of("Burstable", json!({ "limits": { "cpu": "1m" } })), made(2, 1000, 0, 999));
    assert_eq!(
        of("Burstable", json!({ "requests": { "cpu": "500", "memory": "8Gi" } })),
        made(262_144, 0, 0, 3)
    );
}
