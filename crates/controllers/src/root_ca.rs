//! Every namespace has the cluster's CA in a ConfigMap, which pods mount beside their tokens
//! (pkg/controller/certificates/rootcacertpublisher/publisher.go).
//!
//! The CA is read where the server publishes it for extension servers.

use crate::plan::{Plan, Row, Wake};
use crate::{calls, wakes};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use meta::Time;
use serde_json::json;
use store::{Change, Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "root-ca-cert-publisher",
    wakes: &[
        Wake { resource: ("", "namespaces"), keys: wakes::itself },
        Wake { resource: ("", "configmaps"), keys: wake_of_map },
    ],
    plan,
    refused: None,
    made: None,
};

const NAME: &str = "kube-root-ca.crt";
const SOURCE: (&str, &str) = ("kube-system", "extension-apiserver-authentication");
const DESCRIPTION: (&str, &str) = (
    "kubernetes.io/description",
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the \
     internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of \
     Kubernetes clusters.",
);

fn wake_of_map(view: &View, change: &Change) -> Vec<Key> {
    let key = &change.after.key;
    if &*key.name == NAME {
        wakes::its_namespace(view, change)
    } else if (&*key.namespace, &*key.name) == SOURCE {
        view.list(&Namespace::resource(), None).map(|object| object.key.clone()).collect()
    } else {
        Vec::new()
    }
}

fn plan(view: &View, key: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let source = view.read::<ConfigMap>(SOURCE.0, SOURCE.1);
    let ca = source.and_then(|map| map.data.as_ref()?.get("client-ca-file").cloned());
    let namespace = view.read::<Namespace>("", &key.name);
    let (Some(ca), Some(namespace)) = (ca, namespace) else { return plan };
    if calls::is_deleting(&namespace.metadata) {
        return plan;
    }
    let data = json!({ "ca.crt": ca });
    let annotations = json!({ DESCRIPTION.0: DESCRIPTION.1 });
    match view.read::<ConfigMap>(&key.name, NAME) {
        None => {
            let metadata = json!({ "name": NAME, "annotations": annotations });
            let body = json!({ "metadata": metadata, "data": data });
            plan.call(calls::create::<ConfigMap>(&key.name, body));
        }
        Some(map) => {
            let told = calls::annotation(&map.metadata, DESCRIPTION.0) == Some(DESCRIPTION.1);
            let difference = calls::difference(&calls::value(&map.data), &data);
            if difference.is_some() || !told {
                let data = difference.unwrap_or_else(|| json!({}));
                let body = json!({ "metadata": { "annotations": annotations }, "data": data });
                plan.call(calls::merge::<ConfigMap>(&map.metadata, body));
            }
        }
    }
    plan
}
