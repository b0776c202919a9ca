#![allow(clippy::unwrap_used)]

//! YAML in, messages out; every case goes through the defaults of its kind first.

mod extensions;

use crate::{KindRow, TABLE};
use meta::{Fault, Value};

fn row(kind: &str) -> &'static KindRow {
    TABLE.iter().find(|row| row.kind == kind).unwrap()
}

fn object(yaml: &str) -> Value {
    let mut value = schema::yaml_to_json(yaml.as_bytes()).unwrap().value;
    let row = row(value["kind"].as_str().unwrap());
    let ty = schema::named(row.versions[0].message).unwrap();
    schema::apply_defaults(&mut value, &ty);
    if let Some(default) = row.hooks.default {
        default(&mut value);
    }
    value
}

fn faults(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut faults = Vec::new();
    row(new["kind"].as_str().unwrap()).hooks.check.unwrap()(new, old, &mut faults);
    faults.iter().map(Fault::to_string).collect()
}

/// A pod whose spec has one good container and what `more` says, in flow style.
fn pod(more: &str) -> String {
    format!(
        "{{kind: Pod, metadata: {{name: p}}, spec: {{containers: [{{name: c, image: i}}], {more}}}}}"
    )
}

fn container(more: &str) -> String {
    format!(
        "{{kind: Pod, metadata: {{name: p}}, spec: {{containers: [{{name: c, image: i, {more}}}]}}}}"
    )
}

fn workload(kind: &str, more: &str) -> String {
    format!(
        "{{kind: {kind}, metadata: {{name: w}}, spec: {{selector: {{matchLabels: {{a: b}}}}, template: \
         {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: c, image: i}}]}}}}, {more}}}}}"
    )
}

fn service(more: &str) -> String {
    format!("{{kind: Service, metadata: {{name: s}}, spec: {{{more}}}}}")
}

fn ingress(more: &str) -> String {
    format!("{{kind: Ingress, metadata: {{name: i}}, spec: {{{more}}}}}")
}

#[track_caller]
fn refused(cases: &[(String, &str)]) {
    for (yaml, want) in cases {
        assert_eq!(faults(&object(yaml), None).join("\n"), *want, "{yaml}");
    }
}

#[test]
fn samples_are_valid() {
    for row in TABLE.iter().filter(|r| !r.sample.is_empty() && r.hooks.check.is_some()) {
        let mut value = object(row.sample);
        if row.scope == crate::Scope::Namespaced {
            value["metadata"]["namespace"] = "default".into();
        }
        if row.kind == "Job" {
            value["metadata"]["uid"] = "u".into();
        }
        if let Some(prepare) = row.hooks.prepare {
            prepare(&mut value, None);
        }
        assert_eq!(faults(&value, None), Vec::<String>::new(), "{}", row.kind);
        assert_eq!(faults(&value, Some(&value)), Vec::<String>::new(), "{}", row.kind);
    }
}

#[test]
fn containers() {
    refused(&[
        ("{kind: Pod, spec: {}}".into(), "spec.containers: Required value"),
        (
            "{kind: Pod, spec: {containers: [{image: i}]}}".into(),
            "spec.containers[0].name: Required value",
        ),
        (
            "{kind: Pod, spec: {containers: [{name: c}]}}".into(),
            "spec.containers[0].image: Required value",
        ),
        (
            "{kind: Pod, spec: {containers: [{name: c, image: i}, {name: c, image: i}]}}".into(),
            "spec.containers[1].name: Duplicate value: \"c\"",
        ),
        (
            container("imagePullPolicy: Often"),
            "spec.containers[0].imagePullPolicy: Unsupported value: \"Often\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
        ),
        (container("ports: [{}]"), "spec.containers[0].ports[0].containerPort: Required value"),
        (
            container("ports: [{containerPort: 70000}]"),
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            container("ports: [{containerPort: 1, name: a}, {containerPort: 2, name: a}]"),
            "spec.containers[0].ports[1].name: Duplicate value: \"a\"",
        ),
        (
            container("ports: [{containerPort: 1, hostPort: 9}, {containerPort: 2, hostPort: 9}]"),
            "spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//9\"",
        ),
        (
            container("env: [{name: a=b}]"),
            "spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='",
        ),
        (
            container("env: [{name: A, value: x, valueFrom: {secretKeyRef: {name: s, key: k}}}]"),
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
        ),
        (
            container("env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.foo}}}]"),
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.foo\": error converting fieldPath: field label not supported: spec.foo",
        ),
        (
            container("volumeMounts: [{name: v, mountPath: /v}]"),
            "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
        ),
        (
            container("resources: {limits: {cpu: 1}, requests: {cpu: 2}}"),
            "spec.containers[0].resources.requests: Invalid value: 2: must be less than or equal to cpu limit of 1",
        ),
        (
            container("resources: {requests: {memory: -1Mi}}"),
            "spec.containers[0].resources.requests[memory]: Invalid value: \"-1Mi\": must be greater than or equal to 0",
        ),
        (
            container("livenessProbe: {}"),
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
        ),
        (
            container("livenessProbe: {httpGet: {path: /}}"),
            "spec.containers[0].livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            container("livenessProbe: {exec: {command: [a]}, successThreshold: 2}"),
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            container("securityContext: {privileged: true, allowPrivilegeEscalation: false}"),
            "spec.containers[0].securityContext: Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        ),
    ]);
}

#[test]
fn pods() {
    refused(&[
        (
            pod("restartPolicy: Sometimes"),
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\"",
        ),
        (
            pod("volumes: [{name: v}, {name: v, secret: {}}]"),
            "spec.volumes[1].secret.secretName: Required value\nspec.volumes[1].name: Duplicate value: \"v\"",
        ),
        (
            pod("volumes: [{name: v, emptyDir: {}, hostPath: {path: /x}}]"),
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
        ),
        (
            pod("volumes: [{name: v, hostPath: {path: /a/../b}}]"),
            "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
        ),
        (
            pod("volumes: [{name: v, configMap: {name: m, defaultMode: 4096}}]"),
            "spec.volumes[0].configMap.defaultMode: Invalid value: 4096: must be a number between 0 and 0777 (octal), both inclusive",
        ),
        (
            pod("volumes: [{name: v, projected: {sources: [{}]}}]"),
            "spec.volumes[0].projected.sources[0]: Required value: must specify a volume type",
        ),
        (
            pod("tolerations: [{key: a, operator: Exists, value: b}]"),
            "spec.tolerations[0].operator: Invalid value: \"Exists\": value must be empty when `operator` is 'Exists'",
        ),
        (
            pod(
                "topologySpreadConstraints: [{maxSkew: 0, topologyKey: z, whenUnsatisfiable: DoNotSchedule}]",
            ),
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than 0",
        ),
        (
            pod("dnsPolicy: None"),
            "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
        ),
        (
            pod("activeDeadlineSeconds: 0"),
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ),
        (
            pod(
                "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: {}}]}}",
            ),
            "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty",
        ),
        (
            pod("initContainers: [{name: c, image: i}]"),
            "spec.initContainers[0].name: Duplicate value: \"c\"",
        ),
        (
            pod("schedulingGates: [{name: a}], nodeName: node-a"),
            "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
        ),
    ]);
}

#[test]
fn updates_of_pods() {
    let old = object(&pod("nodeName: node-a"));
    let mut new = old.clone();
    new["spec"]["containers"][0]["image"] = "other".into();
    new["spec"]["tolerations"] = serde_json::json!([{ "key": "a", "operator": "Exists" }]);
    assert_eq!(faults(&new, Some(&old)), Vec::<String>::new());
    new["spec"]["nodeName"] = "node-b".into();
    let said = faults(&new, Some(&old)).join("\n");
    assert!(said.starts_with("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"), "{said}");
    assert!(said.ends_with("- .nodeName: \"node-a\"\n+ .nodeName: \"node-b\""), "{said}");
    new["spec"]["containers"] =
        serde_json::json!([{ "name": "c", "image": "i" }, { "name": "d", "image": "i" }]);
    let said = faults(&object(&new.to_string()), Some(&old));
    assert_eq!(said, ["spec.containers: Forbidden: pod updates may not add or remove containers"]);
}

#[test]
fn workloads() {
    let mismatch = |kind: &str| {
        format!(
            "{{kind: {kind}, spec: {{selector: {{matchLabels: {{a: x}}}}, template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: c, image: i}}]}}}}}}}}"
        )
    };
    let labels = "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`";
    refused(&[
        (mismatch("Deployment"), labels),
        (mismatch("ReplicaSet"), labels),
        (mismatch("StatefulSet"), labels),
        (mismatch("DaemonSet"), labels),
        (
            "{kind: Deployment, spec: {template: {spec: {containers: [{name: c, image: i}]}}}}"
                .into(),
            "spec.selector: Required value",
        ),
        (
            workload("Deployment", "replicas: -1"),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            workload("StatefulSet", "replicas: -1"),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            workload("Deployment", "strategy: {type: Recreate, rollingUpdate: {}}"),
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            workload("Deployment", "strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}"),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ),
        (
            workload("Deployment", "strategy: {rollingUpdate: {maxSurge: some}}"),
            "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"some\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        ),
        (
            workload("Deployment", "minReadySeconds: 9, progressDeadlineSeconds: 9"),
            "spec.progressDeadlineSeconds: Invalid value: 9: must be greater than minReadySeconds",
        ),
        (
            workload("DaemonSet", "updateStrategy: {rollingUpdate: {maxUnavailable: 0}}"),
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
        ),
    ]);
}

#[test]
fn selectors_are_immutable() {
    for kind in ["Deployment", "ReplicaSet", "DaemonSet"] {
        let (old, mut new) = (object(&workload(kind, "")), object(&workload(kind, "")));
        new["spec"]["selector"]["matchLabels"] = serde_json::json!({ "z": "z" });
        new["spec"]["template"]["metadata"]["labels"] = serde_json::json!({ "z": "z" });
        let want =
            "spec.selector: Invalid value: {\"matchLabels\":{\"z\":\"z\"}}: field is immutable";
        assert_eq!(faults(&new, Some(&old)), [want], "{kind}");
    }
    let (old, mut new) =
        (object(&workload("StatefulSet", "")), object(&workload("StatefulSet", "")));
    new["spec"]["serviceName"] = "other".into();
    assert!(
        faults(&new, Some(&old))[0].starts_with("spec: Forbidden: updates to statefulset spec")
    );
}

#[test]
fn jobs() {
    let text = |policy: &str| {
        format!(
            "{{kind: Job, metadata: {{name: j, uid: u}}, spec: {{template: {{spec: {{{policy} containers: [{{name: c, image: i}}]}}}}}}}}"
        )
    };
    let ready = |policy: &str| {
        let mut job = object(&text(policy));
        row("Job").hooks.prepare.unwrap()(&mut job, None);
        job
    };
    assert_eq!(
        faults(&ready(""), None),
        [
            "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""
        ]
    );
    let old = ready("restartPolicy: Never,");
    let mut new = old.clone();
    new["spec"]["parallelism"] = 3.into();
    assert_eq!(faults(&new, Some(&old)), Vec::<String>::new());
    new["spec"]["completions"] = 7.into();
    assert_eq!(
        faults(&new, Some(&old)),
        ["spec.completions: Invalid value: 7: field is immutable"]
    );
    let mut new = old.clone();
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "x".into();
    assert!(faults(&new, Some(&old))[0].ends_with("field is immutable"));
}

#[test]
fn schedules() {
    for good in ["* * * * *", "*/5 0-3 1,15 jan-mar mon-fri", "@daily", "@every 1h30m"] {
        assert_eq!(super::cron::parse(good), Ok(()), "{good}");
    }
    for (bad, why) in [
        ("x", "expected exactly 5 fields, found 1: [x]"),
        ("61 * * * *", "end of range (61) above maximum (59): 61"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("@never", "unrecognized descriptor: @never"),
    ] {
        assert_eq!(super::cron::parse(bad), Err(why.to_string()), "{bad}");
    }
}

#[test]
fn services() {
    refused(&[
        (service(""), "spec.ports: Required value"),
        (
            service("ports: [{port: 0}]"),
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive\nspec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (service("ports: [{port: 1}, {port: 2, name: b}]"), "spec.ports[0].name: Required value"),
        (
            service("ports: [{port: 1, name: b}, {port: 2, name: b}]"),
            "spec.ports[1].name: Duplicate value: \"b\"",
        ),
        (
            service("ports: [{port: 1, protocol: X}]"),
            "spec.ports[0].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ),
        (
            service("type: Odd, ports: [{port: 1}]"),
            "spec.type: Unsupported value: \"Odd\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
        ),
        (service("type: ExternalName"), "spec.externalName: Required value"),
        (
            service("ports: [{port: 1, nodePort: 30000}]"),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            service("ports: [{port: 1}], externalTrafficPolicy: Local"),
            "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services",
        ),
        (
            service("ports: [{port: 1}], loadBalancerClass: a/b"),
            "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
    ]);
}

#[test]
fn ingresses() {
    let path = |more: &str| {
        ingress(&format!("rules: [{{http: {{paths: [{{pathType: Prefix, path: /, {more}}}]}}}}]"))
    };
    refused(&[
        (
            ingress(""),
            "spec: Invalid value: []: either `defaultBackend` or `rules` must be specified",
        ),
        (
            path(""),
            "spec.rules[0].http.paths[0].backend: Invalid value: \"\": resource or service backend is required",
        ),
        (
            path("backend: {service: {name: s}}"),
            "spec.rules[0].http.paths[0].backend: Required value: port name or number is required",
        ),
        (
            ingress("rules: [{host: 1.2.3.4}]"),
            "spec.rules[0].host: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address",
        ),
        (
            ingress(
                "rules: [{http: {paths: [{pathType: Exact, path: a, backend: {service: {name: s, port: {number: 1}}}}]}}]",
            ),
            "spec.rules[0].http.paths[0].path: Invalid value: \"a\": must be an absolute path",
        ),
    ]);
}

#[test]
fn the_rest() {
    refused(&[
        ("{kind: ConfigMap, data: {'a b': x}}".into(), "data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"),
        ("{kind: Secret, type: kubernetes.io/tls}".into(), "data[tls.crt]: Required value\ndata[tls.key]: Required value"),
        ("{kind: NetworkPolicy, spec: {podSelector: {}, ingress: [{from: [{}]}]}}".into(), "spec.ingress[0].from[0]: Required value: must specify a peer"),
        ("{kind: NetworkPolicy, spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}]}}".into(), "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`"),
        ("{kind: PersistentVolumeClaim, spec: {accessModes: [ReadWriteOnce]}}".into(), "spec.resources[storage]: Required value"),
        ("{kind: PersistentVolume, spec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}}}".into(), "spec: Required value: must specify a volume type"),
        ("{kind: ClusterRole, rules: [{verbs: [get]}]}".into(), "rules[0].apiGroups: Required value: resource rules must supply at least one api group\nrules[0].resources: Required value: resource rules must supply at least one resource"),
        ("{kind: ClusterRoleBinding, roleRef: {kind: Role, name: r}}".into(), "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\""),
        ("{kind: PodDisruptionBudget, spec: {minAvailable: 1, maxUnavailable: 120%}}".into(), "spec: Invalid value: {\"maxUnavailable\":\"120%\",\"minAvailable\":1}: minAvailable and maxUnavailable cannot be both set\nspec.maxUnavailable: Invalid value: \"120%\": must not be greater than 100%"),
        ("{kind: HorizontalPodAutoscaler, spec: {maxReplicas: 0, scaleTargetRef: {kind: D, name: d}, metrics: [{type: Pods}]}}".into(), "spec.maxReplicas: Invalid value: 0: must be greater than 0\nspec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`\nspec.metrics[0].pods: Required value: must populate information for the given metric source"),
        ("{kind: PriorityClass, metadata: {name: p}, value: 1000000001}".into(), "value: Forbidden: maximum allowed value of a user defined priority is 1000000000"),
        ("{kind: LimitRange, spec: {limits: [{type: Pod, min: {cpu: 2}, max: {cpu: 1}}]}}".into(), "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"),
    ]);
}
