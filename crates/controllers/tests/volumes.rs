//! Claims and volumes in the real loop.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::Cluster;
use serde_json::json;

const VOLUME: &str = "
apiVersion: v1
kind: PersistentVolume
metadata: {name: v}
spec:
  capacity: {storage: 2Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: /data}
";

fn claim(name: &str, class: &str) -> String {
    format!(
        "
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}, namespace: default}}
spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}, \
        storageClassName: \"{class}\"}}
"
    )
}

fn phase(cluster: &Cluster, path: &str) -> String {
    cluster.get(path)["status"]["phase"].as_str().unwrap_or_default().into()
}

#[test]
fn a_claim_gets_the_volume_that_fits_and_gives_it_back() {
    let mut cluster = Cluster::new();
    cluster.apply(VOLUME);
    cluster.settle();
    assert_eq!(phase(&cluster, "persistentvolumes/v"), "Available");
    cluster.apply(&claim("a", ""));
    cluster.apply(&claim("b", ""));
    cluster.settle();
    assert_eq!(phase(&cluster, "persistentvolumes/v"), "Bound");
    assert_eq!(phase(&cluster, "persistentvolumeclaims/default/a"), "Bound");
    assert_eq!(phase(&cluster, "persistentvolumeclaims/default/b"), "Pending");
    let bound = cluster.get("persistentvolumeclaims/default/a");
    assert_eq!(bound["status"]["capacity"]["storage"], "2Gi");
    cluster.assert_fixpoint();
    cluster.delete("persistentvolumeclaims/default/a");
    cluster.settle();
    assert!(cluster.get("persistentvolumeclaims/default/a").is_null());
    assert_eq!(phase(&cluster, "persistentvolumes/v"), "Released");
    // Retained data goes to nobody else.
    assert_eq!(phase(&cluster, "persistentvolumeclaims/default/b"), "Pending");
    cluster.assert_fixpoint();
}

#[test]
fn a_used_claim_stays_until_its_pod_ends() {
    let mut cluster = Cluster::new();
    cluster.apply("{apiVersion: v1, kind: Node, metadata: {name: n1}}");
    cluster.apply(&claim("a", ""));
    cluster.settle();
    cluster.apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default}, spec: {containers: \
         [{name: c, image: i}], volumes: [{name: d, persistentVolumeClaim: {claimName: a}}]}}",
    );
    cluster.live("default", "n1");
    cluster.delete("persistentvolumeclaims/default/a");
    cluster.settle();
    assert!(cluster.get("persistentvolumeclaims/default/a").is_object());
    cluster.patch_status("pods/default/p", json!({ "phase": "Succeeded" }));
    cluster.settle();
    assert!(cluster.get("persistentvolumeclaims/default/a").is_null());
}

#[test]
fn provisioners_are_asked_when_a_node_is_chosen() {
    let mut cluster = Cluster::new();
    cluster.apply(
        "
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: late}
provisioner: example.com/disk
volumeBindingMode: WaitForFirstConsumer
",
    );
    cluster.apply(&claim("a", "late"));
    cluster.settle();
    let asked = "volume.kubernetes.io/storage-provisioner";
    let path = "persistentvolumeclaims/default/a";
    assert!(cluster.get(path)["metadata"]["annotations"][asked].is_null());
    let node = json!({ "volume.kubernetes.io/selected-node": "n1" });
    cluster.patch(path, json!({ "metadata": { "annotations": node } }));
    cluster.settle();
    assert_eq!(cluster.get(path)["metadata"]["annotations"][asked], "example.com/disk");
    // What the provisioner does.
    let volume = "
apiVersion: v1
kind: PersistentVolume
metadata: {name: made, annotations: {pv.kubernetes.io/provisioned-by: example.com/disk}}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Delete
  storageClassName: late
  hostPath: {path: /data}
  claimRef: {namespace: default, name: a}
";
    cluster.apply(volume);
    cluster.settle();
    assert_eq!(phase(&cluster, path), "Bound");
    assert_eq!(phase(&cluster, "persistentvolumes/made"), "Bound");
    cluster.assert_fixpoint();
}

#[test]
fn an_ephemeral_volume_lives_with_its_pod() {
    let mut cluster = Cluster::new();
    cluster.apply("{apiVersion: v1, kind: Node, metadata: {name: n1}}");
    cluster.apply(
        "
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: default}
spec:
  containers: [{name: c, image: i}]
  volumes:
  - name: scratch
    ephemeral:
      volumeClaimTemplate:
        spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
",
    );
    cluster.live("default", "n1");
    assert_eq!(cluster.names("persistentvolumeclaims", "default"), ["p-scratch"]);
    cluster.delete("pods/default/p");
    cluster.live("default", "n1");
    assert!(cluster.list("persistentvolumeclaims", "default").is_empty());
}
