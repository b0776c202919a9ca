//! The Node authorizer: a node reads only what its pods refer to.
//!
//! Follows `plugin/pkg/auth/authorizer/node/node_authorizer.go`, but asks the snapshot instead of keeping a
//! graph: the pods of one node are an index away.

use crate::access::{Access, Decision};
use crate::json::{items, text};
use crate::rbac::Rule;
use meta::{Identity, Resource, Value};
use store::{Key, View};

pub const GROUP: &str = "system:nodes";
const PREFIX: &str = "system:node:";

/// What one node asks: the shape every row of the table below answers.
struct Question<'a> {
    node: &'a str,
    access: &'a Access<'a>,
    view: &'a View,
}

/// `Err` is why not.
type Answer = Result<(), String>;

/// A resource whose access depends on the node.
struct Row {
    group: &'static str,
    resource: &'static str,
    answer: fn(&Question<'_>) -> Option<Answer>,
}

/// `None` from a row leaves the question to the static rules of the role `system:node`.
const ROWS: &[Row] = &[
    Row { group: "", resource: "secrets", answer: |q| Some(read(q, names_secret)) },
    Row { group: "", resource: "configmaps", answer: |q| Some(read(q, names_config_map)) },
    Row { group: "", resource: "persistentvolumeclaims", answer: |q| Some(claim(q)) },
    Row { group: "", resource: "persistentvolumes", answer: |q| Some(volume(q)) },
    Row {
        group: "resource.k8s.io",
        resource: "resourceclaims",
        answer: |q| Some(resource_claim(q)),
    },
    Row { group: "storage.k8s.io", resource: "volumeattachments", answer: |q| Some(attachment(q)) },
    Row { group: "", resource: "serviceaccounts", answer: |q| Some(create_token(q)) },
    Row { group: "coordination.k8s.io", resource: "leases", answer: |q| Some(lease(q)) },
    Row { group: "storage.k8s.io", resource: "csinodes", answer: |q| Some(csi_node(q)) },
    Row { group: "resource.k8s.io", resource: "resourceslices", answer: |q| Some(slice(q)) },
    Row { group: "", resource: "nodes", answer: node },
    Row { group: "", resource: "pods", answer: pod },
];

pub fn decide(user: &Identity, access: &Access<'_>, view: &View, rules: &[Rule]) -> Decision {
    let Some(name) = user.name.strip_prefix(PREFIX).filter(|_| user.is_in(GROUP)) else {
        return Decision::NoOpinion(String::new());
    };
    if name.is_empty() {
        return Decision::NoOpinion(format!("unknown node for user {:?}", user.name));
    }
    let row = ROWS.iter().find(|row| {
        access.is_resource() && row.group == access.group && row.resource == access.resource
    });
    let question = Question { node: name, access, view };
    match row.and_then(|row| (row.answer)(&question)) {
        Some(Ok(())) => Decision::Allow(String::new()),
        Some(Err(why)) => Decision::NoOpinion(why),
        None if rules.iter().any(|rule| rule.admits(access, &access.combined())) => {
            Decision::Allow(String::new())
        }
        None => Decision::NoOpinion(String::new()),
    }
}

fn when(holds: bool, why: &str) -> Answer {
    if holds { Ok(()) } else { Err(why.to_string()) }
}

fn related(q: &Question<'_>, holds: bool) -> Answer {
    when(!q.access.name.is_empty(), "No Object name found")?;
    let why = format!("no relationship found between node '{}' and this object", q.node);
    when(holds, &why)
}

/// Whether one of the node's pods in the object's namespace satisfies `test`.
fn any_pod(q: &Question<'_>, test: impl Fn(&Value) -> bool) -> bool {
    let pods = q.view.by_field(&Resource::new("", "pods"), "spec.nodeName", q.node);
    let namespace = q.access.namespace;
    pods.filter(|p| namespace.is_empty() || *p.key.namespace == *namespace)
        .any(|p| test(&p.value()))
}

fn read(q: &Question<'_>, names: fn(&Value, &str) -> bool) -> Answer {
    let reads = matches!(q.access.verb, "get" | "list" | "watch");
    when(reads, "can only read resources of this type")?;
    when(q.access.subresource.is_empty(), "cannot read subresource")?;
    when(!q.access.namespace.is_empty(), "can only read namespaced object of this type")?;
    related(q, any_pod(q, |pod| names(pod, q.access.name)))
}

fn get_only(q: &Question<'_>) -> Answer {
    when(q.access.verb == "get", "can only get individual resources of this type")?;
    when(q.access.subresource.is_empty(), "cannot get subresource")
}

fn claim(q: &Question<'_>) -> Answer {
    if q.access.subresource == "status" {
        let writes = matches!(q.access.verb, "update" | "patch");
        when(writes, "can only get/update/patch this type")?;
    } else {
        get_only(q)?;
    }
    related(q, any_pod(q, |pod| names_claim(pod, q.access.name)))
}

fn volume(q: &Question<'_>) -> Answer {
    get_only(q)?;
    let key = Key::new(&Resource::new("", "persistentvolumes"), "", q.access.name);
    let held = q.view.get(&key).is_some_and(|volume| {
        let value = volume.value();
        let reference =
            (text(&value, "/spec/claimRef/namespace"), text(&value, "/spec/claimRef/name"));
        let pods = q.view.by_field(&Resource::new("", "pods"), "spec.nodeName", q.node);
        let mut pods = pods.filter(|pod| *pod.key.namespace == *reference.0);
        pods.any(|pod| names_claim(&pod.value(), reference.1))
    });
    related(q, held)
}

fn resource_claim(q: &Question<'_>) -> Answer {
    get_only(q)?;
    related(
        q,
        any_pod(q, |pod| {
            let name = q.access.name;
            let spec = items(pod, "/spec/resourceClaims");
            let made = items(pod, "/status/resourceClaimStatuses");
            spec.iter().chain(made).any(|c| text(c, "/resourceClaimName") == name)
        }),
    )
}

fn attachment(q: &Question<'_>) -> Answer {
    get_only(q)?;
    let key = Key::new(&Resource::new("storage.k8s.io", "volumeattachments"), "", q.access.name);
    let found = q.view.get(&key).map(|o| o.value());
    related(q, found.is_some_and(|value| text(&value, "/spec/nodeName") == q.node))
}

fn create_token(q: &Question<'_>) -> Answer {
    let individual = q.access.verb == "create" && !q.access.name.is_empty();
    when(individual, "can only create tokens for individual service accounts")?;
    let token = q.access.subresource == "token";
    when(token, "can only create token subresource of serviceaccount")?;
    related(q, any_pod(q, |pod| text(pod, "/spec/serviceAccountName") == q.access.name))
}

const OWN_VERBS: [&str; 5] = ["get", "create", "update", "patch", "delete"];

fn lease(q: &Question<'_>) -> Answer {
    let known = OWN_VERBS.contains(&q.access.verb);
    when(known, "can only get, create, update, patch, or delete a node lease")?;
    let home = q.access.namespace == "kube-node-lease";
    when(home, "can only access leases in the \"kube-node-lease\" system namespace")?;
    let own = q.access.verb == "create" || q.access.name == q.node;
    when(own, "can only access node lease with the same name as the requesting node")
}

fn csi_node(q: &Question<'_>) -> Answer {
    let known = OWN_VERBS.contains(&q.access.verb);
    when(known, "can only get, create, update, patch, or delete a CSINode")?;
    when(q.access.subresource.is_empty(), "cannot authorize CSINode subresources")?;
    let own = q.access.verb == "create" || q.access.name == q.node;
    when(own, "can only access CSINode with the same name as the requesting node")
}

fn slice(q: &Question<'_>) -> Answer {
    when(q.access.subresource.is_empty(), "cannot authorize ResourceSlice subresources")?;
    match q.access.verb {
        "create" => Ok(()),
        "get" | "update" | "patch" | "delete" => {
            let resource = Resource::new("resource.k8s.io", "resourceslices");
            let found = q.view.get(&Key::new(&resource, "", q.access.name)).map(|o| o.value());
            related(q, found.is_some_and(|value| text(&value, "/spec/nodeName") == q.node))
        }
        "watch" | "list" | "deletecollection" => when(
            selects(q.access.field_selector, &["nodeName", "spec.nodeName"], q.node),
            "can only list/watch/deletecollection resourceslices with nodeName field selector",
        ),
        _ => Err("only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection".into()),
    }
}

/// Reads of other nodes are refused; writes are left to the NodeRestriction admission.
fn node(q: &Question<'_>) -> Option<Answer> {
    let why =
        format!("node '{}' cannot read '{}', only its own Node object", q.node, q.access.name);
    match (q.access.subresource, q.access.verb) {
        ("", "get") => Some(when(q.access.name == q.node, &why)),
        ("", "list" | "watch") => {
            let own = q.access.name == q.node
                || selects(q.access.field_selector, &["metadata.name"], q.node);
            let why = format!("node '{}' cannot read all nodes, only its own Node object", q.node);
            Some(when(own, &why))
        }
        _ => None,
    }
}

fn pod(q: &Question<'_>) -> Option<Answer> {
    match (q.access.subresource, q.access.verb) {
        ("", "get") => {
            let own = any_pod(q, |pod| text(pod, "/metadata/name") == q.access.name);
            Some(related(q, own))
        }
        ("", "list" | "watch") => Some(when(
            selects(q.access.field_selector, &["spec.nodeName"], q.node),
            "can only list/watch pods with spec.nodeName field selector",
        )),
        _ => None,
    }
}

/// Whether a field selector demands one of `fields` to equal `value`.
fn selects(selector: &str, fields: &[&str], value: &str) -> bool {
    selector.split(',').filter_map(|term| term.split_once('=')).any(|(field, wanted)| {
        fields.contains(&field) && wanted.strip_prefix('=').unwrap_or(wanted) == value
    })
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["/spec/containers", "/spec/initContainers", "/spec/ephemeralContainers"]
        .into_iter()
        .flat_map(|list| items(pod, list))
}

/// All places of a pod (volumes, projected sources, environment) where `pointers` may name an object.
fn named_in(pod: &Value, name: &str, volume: &[&str], projected: &str, env: [&str; 2]) -> bool {
    let volumes = items(pod, "/spec/volumes");
    let environment = |c: &Value| {
        items(c, "/env").iter().any(|e| text(e, env[0]) == name)
            || items(c, "/envFrom").iter().any(|e| text(e, env[1]) == name)
    };
    volumes.iter().any(|v| {
        volume.iter().any(|at| text(v, at) == name)
            || items(v, "/projected/sources").iter().any(|s| text(s, projected) == name)
    }) || containers(pod).any(environment)
}

fn names_secret(pod: &Value, name: &str) -> bool {
    const VOLUME: &[&str] = &[
        "/secret/secretName",
        "/csi/nodePublishSecretRef/name",
        "/cephfs/secretRef/name",
        "/iscsi/secretRef/name",
        "/rbd/secretRef/name",
        "/flexVolume/secretRef/name",
        "/azureFile/secretName",
        "/scaleIO/secretRef/name",
        "/storageos/secretRef/name",
    ];
    let env = ["/valueFrom/secretKeyRef/name", "/secretRef/name"];
    items(pod, "/spec/imagePullSecrets").iter().any(|s| text(s, "/name") == name)
        || named_in(pod, name, VOLUME, "/secret/name", env)
}

fn names_config_map(pod: &Value, name: &str) -> bool {
    let env = ["/valueFrom/configMapKeyRef/name", "/configMapRef/name"];
    named_in(pod, name, &["/configMap/name"], "/configMap/name", env)
}

/// A claim by name, or the one made for an ephemeral volume (`<pod>-<volume>`).
fn names_claim(pod: &Value, name: &str) -> bool {
    let own = text(pod, "/metadata/name");
    items(pod, "/spec/volumes").iter().any(|v| {
        text(v, "/persistentVolumeClaim/claimName") == name
            || (v.get("ephemeral").is_some() && format!("{own}-{}", text(v, "/name")) == name)
    })
}
