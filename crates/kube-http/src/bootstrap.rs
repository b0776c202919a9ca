//! What a cluster holds before its first client: the system namespaces, the RBAC policy, and how
//! extension servers recognise this one.

use crate::exchange::now;
use api::{Api, Call, CallNext, CallOutcome, Env, PendingCall, Verb};
use auth::Wanted;
use meta::{Gvr, Identity, Problem, Value};
use pki::Pki;
use serde_json::json;
use store::{Key, Store};

const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];
/// Whoever races with us for an object gets out of the way within this many rounds.
const ROUNDS: usize = 10;

/// How many objects were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied(pub usize);

/// Creates what is missing. All writes of a step are in flight together, so that they share few syncs.
///
/// # Errors
/// The first object that could not be written, and why.
pub async fn bootstrap(api: &Api, store: &Store, pki: &Pki) -> Result<Applied, Problem> {
    let mut written = 0;
    for _ in 0..ROUNDS {
        let steps: [&dyn Fn() -> Vec<Call>; 3] = [
            &|| namespaces(store).into_iter().chain(system(store)).collect(),
            &|| policy(store).into_iter().chain(recognition(store, pki)).collect(),
            &|| auth::aggregate(&store.view()).into_iter().map(to_call).collect(),
        ];
        let calls = steps.iter().map(|step| step()).find(|calls| !calls.is_empty());
        let calls = calls.unwrap_or_default();
        if calls.is_empty() {
            return Ok(Applied(written));
        }
        written += apply(api, store, &calls).await?;
    }
    Err(Problem::internal("the bootstrap policy does not settle: somebody else keeps changing it"))
}

fn namespaces(store: &Store) -> Vec<Call> {
    let (view, gvr) = (store.view(), Gvr::new("", "v1", "namespaces"));
    let missing =
        NAMESPACES.iter().filter(|n| view.get(&Key::new(&gvr.resource(), "", n)).is_none());
    missing
        .map(|name| {
            let value = json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name },
            });
            Call::new(Verb::Create(value), gvr.clone(), "", "")
        })
        .collect()
}

/// The priority classes and the service range of every cluster.
fn system(store: &Store) -> Vec<Call> {
    let view = store.view();
    let is_missing = |(gvr, value): &(Gvr, Value)| {
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        view.get(&Key::new(&gvr.resource(), "", name)).is_none()
    };
    let missing = kinds::system_objects().into_iter().filter(is_missing);
    missing.map(|(gvr, value)| Call::new(Verb::Create(value), gvr, "", "")).collect()
}

fn policy(store: &Store) -> Vec<Call> {
    auth::reconcile(&store.view()).into_iter().map(to_call).collect()
}

fn to_call(wanted: Wanted) -> Call {
    let Wanted { resource, namespace, name, exists, value } = wanted;
    match exists {
        true => Call::new(Verb::Update(value), resource, &namespace, &name),
        false => Call::new(Verb::Create(value), resource, &namespace, ""),
    }
}

/// The ConfigMap `extension-apiserver-authentication`
/// (upstream `pkg/controlplane/controller/clusterauthenticationtrust`).
fn recognition(store: &Store, pki: &Pki) -> Option<Call> {
    let (name, gvr) = ("extension-apiserver-authentication", Gvr::new("", "v1", "configmaps"));
    let stored =
        store.view().get(&Key::new(&gvr.resource(), "kube-system", name)).map(|o| o.value());
    let data = json!({
        "client-ca-file": pki.ca(),
        "requestheader-allowed-names": "[\"front-proxy-client\"]",
        "requestheader-client-ca-file": pki.front_proxy_ca(),
        "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
        "requestheader-group-headers": "[\"X-Remote-Group\"]",
        "requestheader-uid-headers": "[\"X-Remote-Uid\"]",
        "requestheader-username-headers": "[\"X-Remote-User\"]",
    });
    let mut value = stored.clone().unwrap_or_else(|| {
        let metadata = json!({ "name": name, "namespace": "kube-system" });
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata })
    });
    value["data"] = data;
    match stored {
        Some(stored) if stored == value => None,
        Some(_) => Some(Call::new(Verb::Update(value), gvr, "kube-system", name)),
        None => Some(Call::new(Verb::Create(value), gvr, "kube-system", "")),
    }
}

/// Plans every call on one snapshot, hands all transactions over, then waits for all of them.
async fn apply(api: &Api, store: &Store, calls: &[Call]) -> Result<usize, Problem> {
    let identity = Identity {
        name: "system:apiserver".into(),
        groups: vec![auth::MASTERS.into()],
        ..Identity::default()
    };
    let mut waiting: Vec<(PendingCall, store::Pending)> = Vec::new();
    for call in calls {
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy).map_err(Problem::internal)?;
        let env = Env { identity: &identity, now: now(), entropy, user_agent: "boxship" };
        match api.call(call, &env, &store.view()) {
            CallOutcome::Done(result) => settled(call, result)?,
            CallOutcome::Commit(mut pending) => {
                let sent = store.request(std::mem::take(&mut pending.txn));
                waiting.push((pending, sent));
            }
        }
    }
    let written = waiting.len();
    for (pending, sent) in waiting {
        match api.settle_call(pending, sent.await) {
            CallNext::Done(result) => drop(result?),
            // The next round plans it again.
            CallNext::Retry => {}
        }
    }
    Ok(written)
}

fn settled(call: &Call, result: Result<Value, Problem>) -> Result<(), Problem> {
    result.map(drop).map_err(|mut problem| {
        problem.message = format!("{}: {}", call.resource.resource(), problem.message);
        problem
    })
}
