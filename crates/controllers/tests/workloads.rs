//! StatefulSets, DaemonSets, Jobs, CronJobs and ReplicationControllers in the real loop.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::Cluster;
use meta::Value;
use serde_json::json;

fn with_nodes(count: usize) -> Cluster {
    let mut cluster = Cluster::new();
    for at in 1..=count {
        cluster.add_node(&format!("n{at}"));
    }
    cluster.settle();
    cluster
}

// === StatefulSet ===

const DB: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: default}
spec:
  replicas: 3
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, image: db:1}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

#[test]
fn a_stateful_set_grows_one_by_one() {
    let mut cluster = with_nodes(1);
    cluster.apply(DB);
    cluster.settle();
    assert_eq!(cluster.names("pods", "default"), ["db-0"]);
    cluster.run_pods("default", "n1");
    cluster.settle();
    assert_eq!(cluster.names("pods", "default"), ["db-0", "db-1"]);
    cluster.live("default", "n1");
    assert_eq!(cluster.names("pods", "default"), ["db-0", "db-1", "db-2"]);
    let claims = cluster.names("persistentvolumeclaims", "default");
    assert_eq!(claims, ["data-db-0", "data-db-1", "data-db-2"]);
    let status = cluster.get("statefulsets.apps/default/db")["status"].clone();
    assert_eq!(status["currentReplicas"], 3, "{status}");
    assert_eq!(status["currentRevision"], status["updateRevision"]);
    let pod = cluster.get("pods/default/db-1");
    assert_eq!(pod["spec"]["hostname"], "db-1");
    assert_eq!(pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"], "1");
    cluster.assert_fixpoint();
    roll_from_the_top(&mut cluster);
    shrink_from_the_top(&mut cluster);
}

fn roll_from_the_top(cluster: &mut Cluster) {
    let image = json!([{ "name": "c", "image": "db:2" }]);
    let body = json!({ "spec": {
        "template": { "spec": { "containers": image } },
        "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 2 } },
    } });
    cluster.patch("statefulsets.apps/default/db", body);
    cluster.live("default", "n1");
    let images = |cluster: &Cluster| -> Vec<String> {
        let all = cluster.list("pods", "default");
        all.iter().map(|p| p["spec"]["containers"][0]["image"].as_str().unwrap().into()).collect()
    };
    assert_eq!(images(cluster), ["db:1", "db:1", "db:2"]);
    let status = cluster.get("statefulsets.apps/default/db")["status"].clone();
    assert_ne!(status["currentRevision"], status["updateRevision"]);
    let body = json!({ "spec": { "updateStrategy": { "rollingUpdate": { "partition": 0 } } } });
    cluster.patch("statefulsets.apps/default/db", body);
    cluster.live("default", "n1");
    assert_eq!(images(cluster), ["db:2", "db:2", "db:2"]);
    assert_eq!(cluster.list("controllerrevisions.apps", "default").len(), 2);
    cluster.assert_fixpoint();
}

fn shrink_from_the_top(cluster: &mut Cluster) {
    cluster.patch("statefulsets.apps/default/db", json!({ "spec": { "replicas": 1 } }));
    cluster.settle();
    let going: Vec<_> = cluster
        .list("pods", "default")
        .into_iter()
        .filter(|p| p["metadata"]["deletionTimestamp"].is_string())
        .map(|p| p["metadata"]["name"].clone())
        .collect();
    assert_eq!(going, ["db-2"]);
    cluster.live("default", "n1");
    assert_eq!(cluster.names("pods", "default"), ["db-0"]);
    assert_eq!(cluster.list("persistentvolumeclaims", "default").len(), 3);
}

// === DaemonSet ===

const AGENT: &str = "
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: default}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: c, image: agent:1}]}
";

#[test]
fn a_daemon_on_every_node() {
    let mut cluster = with_nodes(3);
    cluster.apply(AGENT);
    cluster.live("default", "n1");
    assert_eq!(cluster.list("pods", "default").len(), 3);
    let status = cluster.get("daemonsets.apps/default/agent")["status"].clone();
    assert_eq!(status["numberAvailable"], 3, "{status}");
    cluster.assert_fixpoint();
    cluster.apply("{apiVersion: v1, kind: Node, metadata: {name: n4, labels: {gpu: \"1\"}}}");
    cluster.live("default", "n1");
    assert_eq!(cluster.list("pods", "default").len(), 4);
    // Only where the label is.
    let body = json!({ "spec": { "template": { "spec": { "nodeSelector": { "gpu": "1" } } } } });
    cluster.patch("daemonsets.apps/default/agent", body);
    cluster.live("default", "n1");
    let pods = cluster.list("pods", "default");
    assert_eq!(pods.len(), 1);
    assert_eq!(pods[0]["spec"]["nodeName"], "n4");
    assert_eq!(pods[0]["spec"]["nodeSelector"]["gpu"], "1");
    cluster.assert_fixpoint();
}

#[test]
fn daemons_that_fail_are_replaced() {
    let mut cluster = with_nodes(1);
    cluster.apply(AGENT);
    cluster.live("default", "n1");
    let first = cluster.names("pods", "default");
    cluster.patch_status(&format!("pods/default/{}", first[0]), json!({ "phase": "Failed" }));
    cluster.pass(6);
    cluster.live("default", "n1");
    let second = cluster.names("pods", "default");
    assert_eq!(second.len(), 1);
    assert_ne!(first, second);
}

// === Job ===

fn end_pod(cluster: &mut Cluster, name: &str, phase: &str) {
    let exit = i32::from(phase == "Failed");
    let ended = json!({ "exitCode": exit, "finishedAt": cluster.now.rfc3339() });
    let status = json!({
        "phase": phase,
        "conditions": [],
        "containerStatuses": [{ "name": "c", "image": "i", "imageID": "", "ready": false,
            "restartCount": 0, "state": { "terminated": ended } }],
    });
    cluster.patch_status(&format!("pods/default/{name}"), status);
    cluster.settle();
}

fn active(cluster: &Cluster) -> Vec<String> {
    let all = cluster.list("pods", "default");
    let runs = all.iter().filter(|p| {
        p["metadata"]["deletionTimestamp"].is_null()
            && !matches!(p["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
    });
    runs.map(|p| p["metadata"]["name"].as_str().unwrap().into()).collect()
}

fn condition(cluster: &Cluster, path: &str, kind: &str) -> Value {
    let object = cluster.get(path);
    let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|c| c["type"] == kind).unwrap_or_default()
}

fn job(spec: &str) -> String {
    format!(
        "
apiVersion: batch/v1
kind: Job
metadata: {{name: sum, namespace: default}}
spec:
  template:
    spec: {{restartPolicy: Never, containers: [{{name: c, image: i}}]}}
{spec}"
    )
}

#[test]
fn a_job_counts_every_pod_once() {
    let mut cluster = with_nodes(1);
    cluster.apply(&job("  completions: 3\n  parallelism: 2\n"));
    cluster.live("default", "n1");
    for left in [2, 2, 1] {
        let running = active(&cluster);
        assert_eq!(running.len(), left);
        end_pod(&mut cluster, &running[0], "Succeeded");
        cluster.live("default", "n1");
    }
    let status = cluster.get("jobs.batch/default/sum")["status"].clone();
    assert_eq!(status["succeeded"], 3, "{status}");
    assert_eq!(status["ready"], 0);
    assert_eq!(status["terminating"], 0);
    assert_eq!(
        condition(&cluster, "jobs.batch/default/sum", "Complete")["reason"],
        "CompletionsReached"
    );
    for pod in cluster.list("pods", "default") {
        assert!(pod["metadata"]["finalizers"].is_null(), "{pod}");
    }
    cluster.assert_fixpoint();
    cluster.delete_with(
        "jobs.batch/default/sum",
        api::DeleteOptions {
            propagation: Some(api::Propagation::Background),
            ..api::DeleteOptions::default()
        },
    );
    cluster.live("default", "n1");
    assert!(cluster.list("pods", "default").is_empty());
}

#[test]
fn a_job_that_fails_backs_off_and_gives_up() {
    let mut cluster = with_nodes(1);
    cluster.apply(&job("  backoffLimit: 1\n"));
    cluster.live("default", "n1");
    let first = active(&cluster);
    end_pod(&mut cluster, &first[0], "Failed");
    assert!(active(&cluster).is_empty(), "it waits ten seconds");
    cluster.pass(11);
    cluster.live("default", "n1");
    let second = active(&cluster);
    assert_eq!(second.len(), 1);
    end_pod(&mut cluster, &second[0], "Failed");
    cluster.live("default", "n1");
    let failed = condition(&cluster, "jobs.batch/default/sum", "Failed");
    assert_eq!(failed["reason"], "BackoffLimitExceeded");
    assert_eq!(cluster.get("jobs.batch/default/sum")["status"]["failed"], 2);
    cluster.assert_fixpoint();
}

#[test]
fn an_indexed_job_with_limits_per_index() {
    let mut cluster = with_nodes(1);
    cluster.apply(&job(
        "  completions: 3\n  parallelism: 3\n  completionMode: Indexed\n  backoffLimitPerIndex: 0\n",
    ));
    cluster.live("default", "n1");
    let running = active(&cluster);
    assert_eq!(running.len(), 3);
    let pod = cluster.get(&format!("pods/default/{}", running[1]));
    assert_eq!(pod["spec"]["hostname"], "sum-1");
    assert_eq!(
        pod["spec"]["containers"][0]["env"][0]["valueFrom"]["fieldRef"]["fieldPath"],
        "metadata.labels['batch.kubernetes.io/job-completion-index']"
    );
    end_pod(&mut cluster, &running[0], "Succeeded");
    end_pod(&mut cluster, &running[1], "Failed");
    end_pod(&mut cluster, &running[2], "Succeeded");
    cluster.live("default", "n1");
    let status = cluster.get("jobs.batch/default/sum")["status"].clone();
    assert_eq!(status["completedIndexes"], "0,2", "{status}");
    assert_eq!(status["failedIndexes"], "1");
    assert_eq!(condition(&cluster, "jobs.batch/default/sum", "Failed")["reason"], "FailedIndexes");
}

#[test]
fn a_job_is_suspended_and_resumed() {
    let mut cluster = with_nodes(1);
    cluster.apply(&job("  parallelism: 2\n  completions: 2\n  suspend: true\n"));
    cluster.live("default", "n1");
    assert!(active(&cluster).is_empty());
    assert_eq!(condition(&cluster, "jobs.batch/default/sum", "Suspended")["status"], "True");
    cluster.patch("jobs.batch/default/sum", json!({ "spec": { "suspend": false } }));
    cluster.live("default", "n1");
    assert_eq!(active(&cluster).len(), 2);
    cluster.patch("jobs.batch/default/sum", json!({ "spec": { "suspend": true } }));
    cluster.live("default", "n1");
    assert!(active(&cluster).is_empty());
    let status = cluster.get("jobs.batch/default/sum")["status"].clone();
    assert!(status["failed"].is_null(), "{status}");
    cluster.assert_fixpoint();
}

#[test]
fn a_finished_job_lives_as_long_as_asked() {
    let mut cluster = with_nodes(1);
    cluster.apply(&job("  ttlSecondsAfterFinished: 30\n"));
    cluster.live("default", "n1");
    let running = active(&cluster);
    end_pod(&mut cluster, &running[0], "Succeeded");
    cluster.pass(29);
    assert!(cluster.get("jobs.batch/default/sum").is_object());
    cluster.pass(2);
    cluster.live("default", "n1");
    assert!(cluster.get("jobs.batch/default/sum").is_null());
    assert!(cluster.list("pods", "default").is_empty());
}

// === CronJob ===

fn cron(spec: &str) -> String {
    format!(
        "
apiVersion: batch/v1
kind: CronJob
metadata: {{name: tick, namespace: default}}
spec:
  jobTemplate:
    spec:
      template: {{spec: {{restartPolicy: Never, containers: [{{name: c, image: i}}]}}}}
{spec}"
    )
}

#[test]
fn a_cron_job_every_minute() {
    let mut cluster = with_nodes(1);
    cluster.apply(&cron("  schedule: \"*/1 * * * ?\"\n"));
    cluster.pass(150);
    let minutes = cluster::START.secs() / 60;
    let wanted = [format!("tick-{}", minutes + 1), format!("tick-{}", minutes + 2)];
    assert_eq!(cluster.names("jobs.batch", "default"), wanted);
    let status = cluster.get("cronjobs.batch/default/tick")["status"].clone();
    assert_eq!(status["active"].as_array().unwrap().len(), 2);
    assert_eq!(status["lastScheduleTime"], "2026-01-01T00:02:00Z");
}

#[test]
fn a_cron_job_forbids_overlap() {
    let mut cluster = with_nodes(1);
    cluster.apply(&cron("  schedule: \"*/1 * * * *\"\n  concurrencyPolicy: Forbid\n"));
    cluster.pass(200);
    assert_eq!(cluster.list("jobs.batch", "default").len(), 1);
    cluster.live("default", "n1");
    let running = active(&cluster);
    end_pod(&mut cluster, &running[0], "Succeeded");
    cluster.pass(60);
    assert_eq!(cluster.list("jobs.batch", "default").len(), 2);
    let status = cluster.get("cronjobs.batch/default/tick")["status"].clone();
    assert_eq!(status["active"].as_array().unwrap().len(), 1, "{status}");
    assert!(status["lastSuccessfulTime"].is_string());
}

#[test]
fn a_cron_job_in_its_time_zone() {
    let mut cluster = with_nodes(1);
    // Midnight in Berlin is 23:00 UTC in winter.
    cluster.apply(&cron("  schedule: \"0 0 * * *\"\n  timeZone: Europe/Berlin\n"));
    cluster.pass(23 * 3600 - 10);
    assert!(cluster.list("jobs.batch", "default").is_empty());
    cluster.pass(20);
    let jobs = cluster.list("jobs.batch", "default");
    assert_eq!(jobs.len(), 1);
    assert_eq!(
        jobs[0]["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"],
        "2026-01-02T00:00:00+01:00"
    );
}

// === ReplicationController ===

#[test]
fn a_replication_controller() {
    let mut cluster = with_nodes(1);
    cluster.apply(
        "
apiVersion: v1
kind: ReplicationController
metadata: {name: old, namespace: default}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: old}}
    spec: {containers: [{name: c, image: i}]}
",
    );
    cluster.live("default", "n1");
    assert_eq!(cluster.list("pods", "default").len(), 2);
    let status = cluster.get("replicationcontrollers/default/old")["status"].clone();
    assert_eq!(status["availableReplicas"], 2, "{status}");
    cluster.assert_fixpoint();
    // A pod whose labels stop matching is let go and replaced.
    let name = cluster.names("pods", "default").remove(0);
    cluster.patch(
        &format!("pods/default/{name}"),
        json!({ "metadata": { "labels": { "app": "x" } } }),
    );
    cluster.live("default", "n1");
    assert_eq!(cluster.list("pods", "default").len(), 3);
    assert!(cluster.get(&format!("pods/default/{name}"))["metadata"]["ownerReferences"].is_null());
}
