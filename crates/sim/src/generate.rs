//! Scenarios from seeds: workloads, what users do to them, and faults.

use crate::luck::Luck;
use crate::scenario::{Op, Scenario, Step};
use meta::Value;
use serde_json::json;

/// What every cluster starts with.
pub(crate) fn system() -> Vec<Value> {
    let namespace = |name: &str| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    let class = |name: &str, value: i64| {
        json!({ "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": { "name": name }, "value": value })
    };
    vec![
        namespace("default"),
        namespace("kube-system"),
        namespace("kube-node-lease"),
        namespace("side"),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "client-ca-file": "PEM" },
            "metadata": { "name": "extension-apiserver-authentication", "namespace": "kube-system" } }),
        class("low", -10),
        class("high", 1000),
    ]
}

/// The scenario of a seed.
pub fn scenario(seed: u64) -> Scenario {
    let mut luck = Luck::new(seed ^ 0x5eed_0f5c_e9a2_1057);
    let nodes = 2 + usize::try_from(luck.below(6)).unwrap_or(0);
    let mut world = Plot { luck, nodes, made: Vec::new(), steps: Vec::new() };
    let length = world.luck.between(60, 400);
    for _ in 0..world.luck.between(2, 6) {
        world.make(0);
    }
    let mut at = 0;
    while at < length {
        at += world.luck.between(0, 25);
        match world.luck.below(10) {
            0 => world.make(at),
            1..=5 => world.change(at),
            _ => world.fail(at),
        }
    }
    world.steps.sort_by_key(|step| step.at);
    Scenario { seed, nodes, steps: world.steps }
}

struct Plot {
    luck: Luck,
    nodes: usize,
    /// Paths of what was made.
    made: Vec<(&'static str, String)>,
    steps: Vec<Step>,
}

const MAKERS: &[(&str, fn(&mut Luck, &str) -> Value)] = &[
    ("deployments.apps", deployment),
    ("deployments.apps", deployment),
    ("statefulsets.apps", stateful_set),
    ("daemonsets.apps", daemon_set),
    ("jobs.batch", job),
    ("cronjobs.batch", cron_job),
    ("replicasets.apps", replica_set),
    ("resourcequotas", quota),
];

impl Plot {
    fn push(&mut self, at: i64, op: Op) {
        self.steps.push(Step { at, op });
    }

    fn node(&mut self) -> usize {
        usize::try_from(self.luck.below(self.nodes as u64)).unwrap_or(0)
    }

    /// A workload, often with a Service and a disruption budget.
    fn make(&mut self, at: i64) {
        let (resource, maker) = *self.luck.pick(MAKERS);
        let name = format!("w{}", self.made.len());
        let namespace = if self.luck.once_in(4) { "side" } else { "default" };
        let mut object = maker(&mut self.luck, &name);
        object["metadata"] = json!({ "name": name, "namespace": namespace });
        self.made.push((resource, format!("{namespace}/{name}")));
        self.push(at, Op::Create { object });
        let selector = json!({ "app": name });
        if self.luck.once_in(2) {
            let object = json!({ "apiVersion": "v1", "kind": "Service",
                "metadata": { "name": name, "namespace": namespace },
                "spec": { "selector": selector, "ports": [{ "port": 80 }] } });
            self.push(at, Op::Create { object });
        }
        if self.luck.once_in(3) {
            let bound = if self.luck.once_in(2) { "minAvailable" } else { "maxUnavailable" };
            let object = json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
                "metadata": { "name": name, "namespace": namespace },
                "spec": { "selector": { "matchLabels": selector }, bound: self.luck.below(3) } });
            self.push(at, Op::Create { object });
        }
    }

    fn change(&mut self, at: i64) {
        if self.made.is_empty() {
            return;
        }
        let (resource, place) = self.luck.pick(&self.made).clone();
        let path = format!("{resource}/{place}");
        let pick = self.luck.below(1000);
        let op = match self.luck.below(14) {
            0..=3 => Op::Patch { path, body: scale(resource, &mut self.luck) },
            4..=6 => Op::Patch { path, body: new_template(resource, &mut self.luck) },
            7 => Op::Patch { path, body: json!({ "spec": { "paused": true } }) },
            8 => Op::Patch { path, body: json!({ "spec": { "paused": false } }) },
            9 => {
                let cascade = *self.luck.pick(&["background", "foreground", "orphan"]);
                Op::Delete { path, cascade: cascade.into() }
            }
            10 | 11 => Op::Evict { pick },
            12 => Op::DeletePod { pick, grace: self.luck.between(0, 30) },
            _ => Op::Cordon { node: self.node(), on: self.luck.once_in(2) },
        };
        self.push(at, op);
    }

    fn fail(&mut self, at: i64) {
        let (node, pick) = (self.node(), self.luck.below(1000));
        let secs = self.luck.between(1, 90);
        let op = match self.luck.below(17) {
            0 | 1 => Op::Crash { writes: 1 + self.luck.below(120), secs: self.luck.between(0, 60) },
            2 => Op::Partition { node, secs },
            3 => Op::Partition { node, secs: secs + 300 },
            4 => Op::LoseNode { node, secs },
            5 => return self.flap(at, node),
            6 => Op::Delay { node, secs },
            7 => Op::LoseReplies { node, secs },
            8 => Op::Oom { pick },
            9 => Op::ClockJump { secs: self.luck.between(-20, 120) },
            10 => Op::Amnesia,
            11 => Op::StallControllers { secs },
            12 => Op::StallScheduler { secs },
            13 => Op::DiskFull { secs: secs / 2 },
            14 => Op::SyncsFail { count: 1 + self.luck.below(5) as u32 },
            15 => Op::Compact,
            _ => Op::Oom { pick },
        };
        self.push(at, op);
    }

    fn flap(&mut self, at: i64, node: usize) {
        for turn in 0..self.luck.between(2, 4) {
            self.push(at + turn * 70, Op::Partition { node, secs: 55 });
        }
    }
}

fn scale(resource: &str, luck: &mut Luck) -> Value {
    match resource {
        "jobs.batch" | "cronjobs.batch" => json!({ "spec": { "suspend": luck.once_in(2) } }),
        "resourcequotas" => {
            json!({ "spec": { "hard": { "pods": luck.between(2, 12).to_string() } } })
        }
        "daemonsets.apps" => new_template(resource, luck),
        _ => json!({ "spec": { "replicas": luck.below(9) } }),
    }
}

/// Another version of the program.
fn new_template(resource: &str, luck: &mut Luck) -> Value {
    let version = format!("{}", luck.below(4));
    match resource {
        "jobs.batch" => json!({ "spec": { "parallelism": luck.below(5) } }),
        "resourcequotas" => scale(resource, luck),
        "cronjobs.batch" => {
            json!({ "spec": { "concurrencyPolicy": *luck.pick(&["Allow", "Forbid", "Replace"]) } })
        }
        _ => {
            json!({ "spec": { "template": { "metadata": { "annotations": { "version": version } } } } })
        }
    }
}

// === workloads ===

fn template(luck: &mut Luck, app: &str) -> Value {
    let requests = json!({ "cpu": format!("{}m", 100 * (1 + luck.below(12))),
        "memory": format!("{}Mi", 128 * (1 + luck.below(10))) });
    let mut spec = json!({ "containers": [{ "name": "main", "image": "app:1",
        "resources": { "requests": requests } }] });
    spec["terminationGracePeriodSeconds"] = luck.between(0, 30).into();
    let labels = json!({ "matchLabels": { "app": app } });
    match luck.below(10) {
        0 => {
            spec["affinity"] = json!({ "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    { "labelSelector": labels, "topologyKey": "kubernetes.io/hostname" } ] } });
        }
        1 => {
            spec["topologySpreadConstraints"] = json!([{ "maxSkew": 1 + luck.below(2),
                "topologyKey": "topology.kubernetes.io/zone", "labelSelector": labels,
                "whenUnsatisfiable": *luck.pick(&["DoNotSchedule", "ScheduleAnyway"]) }]);
        }
        2 => spec["priorityClassName"] = "high".into(),
        3 => spec["priorityClassName"] = "low".into(),
        _ => {}
    }
    json!({ "metadata": { "labels": { "app": app } }, "spec": spec })
}

/// A count or a percentage.
fn share(luck: &mut Luck) -> Value {
    if luck.once_in(2) { luck.below(4).into() } else { format!("{}%", 10 * luck.below(8)).into() }
}

fn deployment(luck: &mut Luck, app: &str) -> Value {
    let (surge, mut away) = (share(luck), share(luck));
    if (surge == 0 || surge == "0%") && (away == 0 || away == "0%") {
        away = 1.into();
    }
    let strategy = if luck.once_in(6) {
        json!({ "type": "Recreate" })
    } else {
        json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": surge, "maxUnavailable": away } })
    };
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": {
        "replicas": luck.below(9),
        "selector": { "matchLabels": { "app": app } },
        "strategy": strategy,
        "minReadySeconds": if luck.once_in(3) { luck.below(15) } else { 0 },
        "revisionHistoryLimit": luck.below(4),
        "progressDeadlineSeconds": 100 + luck.below(600),
        "template": template(luck, app),
    } })
}

fn replica_set(luck: &mut Luck, app: &str) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": {
        "replicas": luck.below(6),
        "selector": { "matchLabels": { "app": app } },
        "template": template(luck, app),
    } })
}

fn stateful_set(luck: &mut Luck, app: &str) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {
        "replicas": luck.below(5),
        "serviceName": app,
        "podManagementPolicy": *luck.pick(&["OrderedReady", "Parallel"]),
        "selector": { "matchLabels": { "app": app } },
        "updateStrategy": { "type": "RollingUpdate",
            "rollingUpdate": { "partition": if luck.once_in(4) { luck.below(3) } else { 0 } } },
        "template": template(luck, app),
    } })
}

fn daemon_set(luck: &mut Luck, app: &str) -> Value {
    let rolling = if luck.once_in(3) {
        json!({ "maxSurge": 1 + luck.below(2), "maxUnavailable": 0 })
    } else {
        json!({ "maxSurge": 0, "maxUnavailable": 1 + luck.below(2) })
    };
    let mut template = template(luck, app);
    let spec = &mut template["spec"];
    spec["affinity"] = Value::Null;
    spec["topologySpreadConstraints"] = Value::Null;
    json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "spec": {
        "selector": { "matchLabels": { "app": app } },
        "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": rolling },
        "template": template,
    } })
}

fn job_spec(luck: &mut Luck, app: &str) -> Value {
    let mut template = template(luck, app);
    template["spec"]["restartPolicy"] = (*luck.pick(&["Never", "OnFailure"])).into();
    if luck.once_in(4) {
        let code = luck.below(3).to_string();
        template["metadata"]["annotations"] = json!({ "simulated.boxship.io/exit-code": code });
        // A pod that restarts on the spot would never end.
        template["spec"]["restartPolicy"] = "Never".into();
    }
    json!({
        "completions": 1 + luck.below(6),
        "parallelism": 1 + luck.below(4),
        "completionMode": *luck.pick(&["NonIndexed", "Indexed"]),
        "backoffLimit": luck.below(4),
        "template": template,
    })
}

fn job(luck: &mut Luck, app: &str) -> Value {
    let mut spec = job_spec(luck, app);
    if luck.once_in(4) {
        spec["ttlSecondsAfterFinished"] = luck.below(60).into();
    }
    if luck.once_in(4) {
        spec["activeDeadlineSeconds"] = (20 + luck.below(200)).into();
    }
    json!({ "apiVersion": "batch/v1", "kind": "Job", "spec": spec })
}

fn cron_job(luck: &mut Luck, app: &str) -> Value {
    let mut spec = job_spec(luck, app);
    spec["completions"] = 1.into();
    spec["parallelism"] = 1.into();
    json!({ "apiVersion": "batch/v1", "kind": "CronJob", "spec": {
        "schedule": "*/1 * * * *",
        "concurrencyPolicy": *luck.pick(&["Allow", "Forbid", "Replace"]),
        "jobTemplate": { "spec": spec },
    } })
}

fn quota(luck: &mut Luck, _: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ResourceQuota",
        "spec": { "hard": { "pods": luck.between(2, 12).to_string() } } })
}
