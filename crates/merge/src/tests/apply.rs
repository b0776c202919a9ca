//! Server-side apply and the ownership every write leaves behind
//! (structured-merge-diff `merge/*_test.go`, apimachinery `pkg/util/managedfields/managedfieldstest/`, by meaning).

use super::{Desk, config_map};
use crate::{Force, Step};
use meta::{Reason, Value};
use serde_json::json;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn deployment(spec: Value) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d" }, "spec": spec })
}

fn pod(spec: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" }, "spec": spec })
}

fn service(spec: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "s" }, "spec": spec })
}

#[test]
fn updaters_own_containers_they_create_appliers_only_what_they_set() {
    let mut updated = Desk::new("v1", "ConfigMap");
    updated.update("u", config_map(json!({ "a": "1" })));
    assert_eq!(updated.owners(), ["u Update: .data .data.a"]);
    let mut applied = Desk::new("v1", "ConfigMap");
    applied.apply("a", config_map(json!({ "a": "1" })));
    assert_eq!(applied.owners(), ["a Apply: .data.a"]);
}

#[test]
fn entries_have_every_field_of_upstreams() {
    let mut desk = Desk::new("v1", "ConfigMap");
    desk.apply("a", config_map(json!({ "k": "1" })));
    assert_eq!(
        desk.entries(),
        [json!({
            "manager": "a", "operation": "Apply", "apiVersion": "v1", "time": "2026-01-01T00:00:01Z",
            "fieldsType": "FieldsV1", "fieldsV1": { "f:data": { "f:k": {} } },
        })]
    );
}

#[test]
fn a_conflict_names_manager_version_time_and_field() {
    let mut desk = Desk::new("apps/v1", "Deployment");
    desk.update("scaler", deployment(json!({ "replicas": 1 })));
    let problem =
        desk.try_apply("me", deployment(json!({ "replicas": 2 })), Force::No).unwrap_err();
    assert_eq!(problem.reason, Reason::Conflict);
    assert_eq!(
        problem.message,
        "Apply failed with 1 conflict: conflict with \"scaler\" using apps/v1 at \
         2026-01-01T00:00:01Z: .spec.replicas"
    );
    let cause = problem.details.unwrap().causes.remove(0);
    assert_eq!(cause.reason, "FieldManagerConflict");
    assert_eq!(cause.field, ".spec.replicas");
    assert_eq!(cause.message, "conflict with \"scaler\" using apps/v1 at 2026-01-01T00:00:01Z");
}

#[test]
fn many_conflicts_are_grouped_by_manager_and_appliers_have_no_time() {
    let mut desk = Desk::new("v1", "ConfigMap");
    desk.apply("b", config_map(json!({ "x": "1", "y": "1" })));
    desk.apply("a", config_map(json!({ "z": "1" })));
    let all = config_map(json!({ "x": "2", "y": "2", "z": "2" }));
    let problem = desk.try_apply("me", all, Force::No).unwrap_err();
    assert_eq!(
        problem.message,
        "Apply failed with 3 conflicts: conflicts with \"a\":\n- .data.z\nconflicts with \"b\":\n\
         - .data.x\n- .data.y"
    );
}

#[test]
fn force_takes_over_and_the_same_value_is_shared() {
    let mut desk = Desk::new("v1", "ConfigMap");
    desk.apply("a", config_map(json!({ "x": "1", "y": "1" })));
    desk.apply("b", config_map(json!({ "x": "1" })));
    assert_eq!(desk.owners(), ["b Apply: .data.x", "a Apply: .data.x .data.y"]);
    desk.try_apply("b", config_map(json!({ "x": "2" })), Force::Yes).unwrap();
    assert_eq!(desk.owners(), ["a Apply: .data.y", "b Apply: .data.x"]);
}

#[test]
fn what_is_no_longer_applied_goes_unless_somebody_else_owns_it() {
    let mut desk = Desk::new("v1", "ConfigMap");
    desk.apply("a", config_map(json!({ "x": "1", "y": "1" })));
    desk.apply("b", config_map(json!({ "y": "1" })));
    desk.apply("a", config_map(json!({ "z": "1" })));
    assert_eq!(desk.live()["data"], json!({ "y": "1", "z": "1" }));
    assert_eq!(desk.owners(), ["b Apply: .data.y", "a Apply: .data.z"]);
    desk.apply(
        "a",
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" } }),
    );
    assert_eq!(desk.live()["data"], json!({ "y": "1" }));
    assert_eq!(desk.owners(), ["b Apply: .data.y"]);
}

#[test]
fn what_nobody_owned_stays_when_an_applier_lets_go_around_it() {
    let mut desk = Desk::new("apps/v1", "Deployment");
    let with = |containers: Value| {
        deployment(json!({ "template": { "spec": { "containers": containers } } }))
    };
    desk.apply(
        "a",
        with(json!([{ "name": "web", "image": "i" }, { "name": "side", "image": "s" }])),
    );
    let mut live = desk.live().clone();
    live["spec"]["template"]["spec"]["containers"][0]["tty"] = true.into();
    desk.update("u", live);
    desk.apply("a", with(json!([{ "name": "web" }])));
    assert_eq!(
        desk.live()["spec"]["template"]["spec"]["containers"],
        json!([{ "name": "web", "tty": true }])
    );
}

#[test]
fn keyed_lists_merge_by_their_keys_defaults_included() {
    let mut desk = Desk::new("v1", "Service");
    desk.apply(
        "a",
        service(json!({ "ports": [{ "port": 80 }, { "port": 53, "protocol": "UDP" }] })),
    );
    desk.apply(
        "b",
        service(json!({ "ports": [{ "port": 80, "protocol": "TCP", "name": "web" }] })),
    );
    let ports = &desk.live()["spec"]["ports"];
    assert_eq!(ports.as_array().unwrap().len(), 2, "{ports}");
    let fields: Vec<Value> =
        desk.entries().iter().map(|e| e["fieldsV1"]["f:spec"].clone()).collect();
    let key = r#"k:{"port":80,"protocol":"TCP"}"#;
    assert_eq!(fields[0]["f:ports"][key], json!({ ".": {}, "f:port": {} }));
    assert_eq!(
        fields[1]["f:ports"][key],
        json!({ ".": {}, "f:name": {}, "f:port": {}, "f:protocol": {} })
    );
    let clash = service(json!({ "ports": [{ "port": 80, "name": "other" }] }));
    let problem = desk.try_apply("c", clash, Force::No).unwrap_err();
    assert_eq!(
        problem.message,
        "Apply failed with 1 conflict: conflict with \"b\": \
         .spec.ports[port=80,protocol=\"TCP\"].name"
    );
}

#[test]
fn the_applied_order_wins_and_others_items_keep_their_place() {
    let mut desk = Desk::new("v1", "Pod");
    let list = |names: &[&str]| {
        pod(json!({ "containers":
        names.iter().map(|n| json!({ "name": n })).collect::<Vec<_>>() }))
    };
    let names = |desk: &Desk| -> Vec<String> {
        let all = desk.live()["spec"]["containers"].as_array().unwrap().clone();
        all.iter().map(|c| c["name"].as_str().unwrap().to_string()).collect()
    };
    desk.apply("a", list(&["1", "2", "3"]));
    desk.apply("b", list(&["3", "x", "1"]));
    assert_eq!(names(&desk), ["2", "3", "x", "1"]);
    desk.apply("b", list(&[]));
    assert_eq!(names(&desk), ["2", "3", "1"]);
}

#[test]
fn sets_are_owned_item_by_item() {
    let mut desk = Desk::new("v1", "ConfigMap");
    let with = |finalizers: &[&str]| {
        json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "c", "finalizers": finalizers } })
    };
    desk.apply("a", with(&["x", "y"]));
    desk.apply("b", with(&["y", "z"]));
    assert_eq!(desk.live()["metadata"]["finalizers"], json!(["x", "y", "z"]));
    desk.apply("a", with(&[]));
    assert_eq!(desk.live()["metadata"]["finalizers"], json!(["y", "z"]));
    assert_eq!(
        desk.owners(),
        [r#"b Apply: .metadata.finalizers[="y"] .metadata.finalizers[="z"]"#]
    );
}

#[test]
fn atomic_lists_and_maps_have_one_owner() {
    let mut desk = Desk::new("v1", "Pod");
    let with = |arg: &str, disk: &str| {
        pod(json!({
        "containers": [{ "name": "w", "args": ["run", arg] }], "nodeSelector": { "disk": disk } }))
    };
    desk.apply("a", with("1", "ssd"));
    let problem = desk.try_apply("b", with("2", "hdd"), Force::No).unwrap_err();
    let fields: Vec<_> = problem.details.unwrap().causes.into_iter().map(|c| c.field).collect();
    assert_eq!(fields, [r#".spec.containers[name="w"].args"#, ".spec.nodeSelector"]);
    desk.try_apply("b", with("2", "hdd"), Force::Yes).unwrap();
    assert_eq!(desk.live()["spec"]["nodeSelector"], json!({ "disk": "hdd" }));
}

#[test]
fn appliers_own_the_empty_maps_they_set() {
    let mut desk = Desk::new("v1", "Pod");
    desk.apply("a", pod(json!({ "volumes": [{ "name": "v", "emptyDir": {} }] })));
    assert_eq!(
        desk.entries()[0]["fieldsV1"]["f:spec"]["f:volumes"][r#"k:{"name":"v"}"#],
        json!({ ".": {}, "f:emptyDir": {}, "f:name": {} })
    );
    desk.apply("b", pod(json!({ "volumes": [{ "name": "v", "emptyDir": {} }] })));
    desk.apply("a", pod(json!({ "hostname": "h" })));
    assert_eq!(desk.live()["spec"]["volumes"], json!([{ "name": "v", "emptyDir": {} }]));
}

#[test]
fn what_nobody_managed_belongs_to_before_first_apply() {
    let mut desk = Desk::new("v1", "ConfigMap");
    desk.live = Some(config_map(json!({ "a": "1", "b": "1" })));
    desk.update("u", config_map(json!({ "a": "1", "b": "2" })));
    assert_eq!(desk.owners(), Vec::<String>::new(), "nobody is managed before the first apply");
    desk.apply("me", config_map(json!({ "a": "1" })));
    assert_eq!(
        desk.owners(),
        ["me Apply: .data.a", "before-first-apply Update: .data .data.a .data.b"]
    );
}

#[test]
fn an_update_takes_what_it_changes_and_frees_what_it_removes() {
    let mut desk = Desk::new("v1", "ConfigMap");
    desk.apply("a", config_map(json!({ "x": "1", "y": "1", "z": "1" })));
    desk.update("u", config_map(json!({ "x": "1", "y": "2", "n": "1" })));
    assert_eq!(desk.owners(), ["a Apply: .data.x", "u Update: .data.n .data.y"]);
}

#[test]
fn an_unchanged_write_leaves_the_times_alone() {
    let mut desk = Desk::new("v1", "ConfigMap");
    desk.apply("a", config_map(json!({ "x": "1" })));
    let before = desk.live().clone();
    desk.update("u", config_map(json!({ "x": "1" })));
    desk.apply("a", config_map(json!({ "x": "1" })));
    assert_eq!(desk.live(), &before);
}

#[test]
fn identity_belongs_to_nobody() {
    let mut desk = Desk::new("v1", "ConfigMap");
    desk.update("u", json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "c", "namespace": "n", "uid": "1", "generation": 3, "labels": { "a": "1" },
            "creationTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "4" },
    }));
    assert_eq!(desk.owners(), ["u Update: .metadata.labels .metadata.labels.a"]);
}

#[test]
fn ignored_fields_are_nobodys_and_stay_their_owners() {
    let mut desk = Desk::new("apps/v1", "Deployment");
    desk.subresource = "status";
    let mut object = deployment(json!({ "replicas": 1 }));
    object["status"] = json!({ "replicas": 1 });
    desk.update("controller", object.clone());
    desk.subresource = "";
    desk.ignored.insert(&[Step::Field("status".into())]);
    object["status"] = json!({ "replicas": 2 });
    desk.update("user", object.clone());
    desk.apply("me", object);
    assert_eq!(
        desk.owners(),
        ["me Apply: .spec.replicas", "controller/status Update: .spec.replicas .status.replicas"]
    );
}

#[test]
fn writes_to_a_subresource_have_entries_of_their_own() {
    let mut desk = Desk::new("apps/v1", "Deployment");
    desk.update("m", deployment(json!({ "replicas": 1 })));
    desk.subresource = "scale";
    desk.update("m", deployment(json!({ "replicas": 2 })));
    assert_eq!(desk.owners(), ["m/scale Update: .spec.replicas"]);
    desk.subresource = "";
    let problem =
        desk.try_apply("me", deployment(json!({ "replicas": 3 })), Force::No).unwrap_err();
    assert!(problem.message.contains(r#""m" with subresource "scale" using apps/v1"#));
}

#[test]
fn the_eleventh_updater_makes_the_oldest_ancient() {
    let mut desk = Desk::new("v1", "ConfigMap");
    let mut data = json!({});
    for i in 0..10 {
        data[format!("k{i}")] = "1".into();
        desk.update(&format!("m{i}"), config_map(data.clone()));
    }
    assert_eq!(desk.entries().len(), 10);
    data["k10"] = "1".into();
    desk.update("m10", config_map(data));
    let owners = desk.owners();
    assert_eq!(owners.len(), 10);
    assert_eq!(owners[0], "ancient-changes Update: .data .data.k0 .data.k1");
    assert_eq!(owners[9], "m10 Update: .data.k10");
    desk.apply("a", config_map(json!({ "k0": "1" })));
    assert_eq!(desk.entries().len(), 11, "appliers do not count");
}

#[test]
fn managed_fields_can_be_reset_and_damaged_ones_are_ignored() {
    let mut desk = Desk::new("v1", "ConfigMap");
    desk.update("u", config_map(json!({ "a": "1" })));
    let mut object = config_map(json!({ "a": "1" }));
    object["metadata"]["managedFields"] = json!([{ "manager": "x", "operation": "Bogus" }]);
    desk.update("v", object.clone());
    assert_eq!(desk.owners(), ["u Update: .data .data.a"]);
    object["metadata"]["managedFields"] = json!([{}]);
    desk.update("v", object);
    assert_eq!(desk.owners(), Vec::<String>::new());
}

#[test]
fn what_is_applied_must_be_of_the_requests_version_and_unmanaged() {
    let mut desk = Desk::new("v1", "ConfigMap");
    let mut config = config_map(json!({}));
    config["apiVersion"] = "v2".into();
    assert_eq!(
        desk.try_apply("a", config, Force::No).unwrap_err().message,
        "Incorrect version specified in apply patch. Specified patch version: v2, expected: v1"
    );
    let mut config = config_map(json!({}));
    config["metadata"]["managedFields"] = json!([{ "manager": "x" }]);
    assert_eq!(
        desk.try_apply("a", config, Force::No).unwrap_err().message,
        "metadata.managedFields must be nil"
    );
}

// === kubectl's move from client-side apply ===

fn client_side(replicas: i64) -> Value {
    let mut object = deployment(json!({ "replicas": replicas }));
    let text = format!("{object}\n");
    object["metadata"]["annotations"] = json!({ LAST_APPLIED: text });
    object
}

#[test]
fn kubectl_takes_over_what_its_client_side_apply_had_set() {
    let mut desk = Desk::new("apps/v1", "Deployment");
    desk.update("kubectl-client-side-apply", client_side(1));
    let config = deployment(json!({ "replicas": 2 }));
    let problem = desk.try_apply("other", config.clone(), Force::No).unwrap_err();
    assert_eq!(problem.reason, Reason::Conflict, "only kubectl may");
    desk.apply("kubectl", config);
    assert_eq!(desk.live()["spec"]["replicas"], 2);
    let annotation = &desk.live()["metadata"]["annotations"][LAST_APPLIED];
    let last: Value = serde_json::from_str(annotation.as_str().unwrap()).unwrap();
    assert_eq!(last["spec"]["replicas"], 2, "the annotation follows");
    assert_eq!(desk.owners()[0], "kubectl Apply: .spec.replicas");
}

#[test]
fn kubectl_does_not_take_over_what_was_changed_since() {
    let mut desk = Desk::new("apps/v1", "Deployment");
    desk.update("kubectl-client-side-apply", client_side(1));
    let mut scaled = client_side(1);
    scaled["spec"]["replicas"] = 5.into();
    desk.update("scaler", scaled);
    let problem =
        desk.try_apply("kubectl", deployment(json!({ "replicas": 2 })), Force::No).unwrap_err();
    assert!(problem.message.contains("conflict with \"scaler\""), "{}", problem.message);
}

// === what does not fit the schema ===

#[test]
fn misfits_are_named_by_path_and_text() {
    let ty = super::type_of("apps/v1", "Deployment");
    let config = json!({ "spec": { "replicas": "3", "bogus": 1, "template": { "spec": { "containers": [
        { "name": "c", "imagee": "x", "ports": [{ "containerPort": 80 }, { "containerPort": 80 }] },
        { "image": "x" } ] } } } });
    let found = crate::misfits(&config, crate::At(Some(&ty)));
    let at = ".spec.template.spec.containers";
    assert_eq!(
        found,
        [
            ".spec.bogus: field not declared in schema".to_string(),
            ".spec.replicas: expected numeric (int or float), got string".into(),
            format!(r#"{at}[name="c"].imagee: field not declared in schema"#),
            format!(
                r#"{at}[name="c"].ports: duplicate entries for key [containerPort=80,protocol="TCP"]"#
            ),
            format!(
                r#"{at}: element 1: associative list with keys has an element that omits key field "name" (and doesn't have default value)"#
            ),
        ]
    );
}

// === schemas that change ===

#[test]
fn owners_from_before_a_map_became_atomic_own_all_of_it() {
    let mut desk = Desk::new("v1", "Pod");
    let mut live = pod(json!({ "nodeSelector": { "a": "1", "b": "1" } }));
    let entry = |manager: &str, fields: Value| {
        json!({
        "manager": manager, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": { "f:spec": { "f:nodeSelector": fields } } })
    };
    live["metadata"]["managedFields"] =
        json!([entry("x", json!({ "f:a": {} })), entry("y", json!({ "f:b": {} }))]);
    desk.live = Some(live.clone());
    desk.update("u", live);
    assert_eq!(desk.owners(), ["x Apply: .spec.nodeSelector", "y Apply: .spec.nodeSelector"]);
}

#[test]
fn owners_from_before_a_map_became_granular_own_no_more_than_they_said() {
    let mut desk = Desk::new("v1", "ConfigMap");
    let mut live = config_map(json!({ "a": "1", "b": "1" }));
    live["metadata"]["managedFields"] = json!([{
        "manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": { "f:data": {} } }]);
    desk.live = Some(live);
    desk.apply("y", config_map(json!({ "a": "1" })));
    assert_eq!(desk.owners()[0], "x Apply: .data", "{:?}", desk.owners());
}
