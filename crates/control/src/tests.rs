//! Turns over a store in memory with toy controllers, and the scheduling loop.

#![allow(clippy::unwrap_used)]

use crate::{Scheduling, Turn};
use api::{AllowAll, Api, Call, CallNext, CallOutcome, Env, NoTokens, Patch, PatchKind, Verb};
use controllers::{Note, Plan, Row, Wake, Warning};
use meta::{Gvr, Identity, Resource, Time, Value};
use serde_json::json;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use store::{Change, Key, Log, LogError, Options, Record, Store, View, Volatile};

const START: Time = Time::from_secs(1_767_225_600);

thread_local! {
    /// What was planned on this thread: row, key, milliseconds since the start.
    static PLANNED: RefCell<Vec<(&'static str, String, i64)>> = const { RefCell::new(Vec::new()) };
}

fn planned(row: &'static str, key: &Key, now: Time) {
    PLANNED.with_borrow_mut(|all| all.push((row, key.name.to_string(), now.ms_since(START))));
}

/// What was planned since the last call.
fn plans() -> Vec<(&'static str, String, i64)> {
    PLANNED.take()
}

struct Desk {
    api: Arc<Api>,
    store: Store,
}

impl Desk {
    fn new() -> Self {
        Self::over(Store::inline(Box::new(Volatile), Options::new(api::heads())).unwrap())
    }

    fn over(store: Store) -> Self {
        let desk = Self { api: Arc::new(Api::new(Box::new(AllowAll), Box::new(NoTokens))), store };
        desk.create("", "namespaces", "", json!({ "metadata": { "name": "default" } }));
        desk
    }

    fn turn<const N: usize>(&self, rows: [&'static Row; N]) -> Turn {
        plans();
        let table: &'static [&'static Row] = Box::leak(Box::new(rows));
        Turn::new(self.api.clone(), self.store.clone(), table, entropy())
    }

    fn create(&self, group: &str, plural: &str, namespace: &str, body: Value) {
        self.call(Call::new(Verb::Create(body), Gvr::new(group, "v1", plural), namespace, ""));
    }

    fn map(&self, name: &str) {
        self.create("", "configmaps", "default", json!({ "metadata": { "name": name } }));
    }

    fn call(&self, call: Call) {
        let identity = Identity { name: "admin".into(), ..Identity::default() };
        let env = Env { identity: &identity, now: START, entropy: entropy()(), user_agent: "test" };
        match self.api.call(&call, &env, &self.store.view()) {
            CallOutcome::Done(result) => drop(result.unwrap()),
            CallOutcome::Commit(mut pending) => {
                let txn = std::mem::take(&mut pending.txn);
                match self.api.settle_call(pending, self.store.commit(txn)) {
                    CallNext::Done(result) => drop(result.unwrap()),
                    CallNext::Retry => panic!("nobody else writes"),
                }
            }
        }
    }

    fn read(&self, plural: &str) -> Vec<Value> {
        self.store.view().list(&Resource::new("", plural), None).map(|o| o.value()).collect()
    }
}

/// Different every time, the same in every run of a test.
fn entropy() -> crate::Entropy {
    thread_local!(static COUNT: RefCell<u64> = const { RefCell::new(0) });
    Box::new(|| {
        let count = COUNT.with_borrow_mut(|count| {
            *count += 1;
            *count
        });
        let mut out = [0; 32];
        for (i, byte) in out.iter_mut().enumerate() {
            let mixed = count.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(i as u32 * 5);
            *byte = mixed.to_le_bytes()[0];
        }
        out
    })
}

fn settle(turn: &mut Turn, now: Time) {
    for _ in 0..1000 {
        if !turn.turn(now) {
            return;
        }
    }
    panic!("no end: {:?}", plans());
}

// === toy controllers ===

fn inputs(_: &View, change: &Change) -> Vec<Key> {
    let input = change.after.key.name.starts_with("in-");
    input.then(|| change.after.key.clone()).into_iter().collect()
}

static MAPS: [Wake; 1] = [Wake { resource: ("", "configmaps"), keys: inputs }];

fn copy_call(key: &Key) -> Call {
    let body = json!({ "metadata": { "name": format!("out-{}", key.name) } });
    Call::new(Verb::Create(body), Gvr::new("", "v1", "configmaps"), "default", "")
}

/// Makes a copy of every input, and wants to look again a second later.
fn copy(view: &View, key: &Key, now: Time) -> Plan {
    planned("copy", key, now);
    let mut plan = Plan::nothing();
    let out = Key::new(&key.resource, &key.namespace, &format!("out-{}", key.name));
    if view.get(&out).is_none() {
        plan.call(copy_call(key));
    }
    plan.wake_at(now.plus_ms(1000));
    plan
}

static COPY: Row = Row { name: "copy", wakes: &MAPS, plan: copy, refused: None, made: Some(told) };

fn told(_: &View, key: &Key, _: &Call, made: &Value) -> Option<Note> {
    let about =
        json!({ "kind": "ConfigMap", "namespace": "default", "name": &*key.name, "uid": "u" });
    let message = format!("Created {}", made["metadata"]["name"].as_str()?);
    Some(Note { about, warning: Warning::Normal, reason: "Copied", message })
}

/// Is always refused: the namespace does not exist.
fn stubborn(_: &View, key: &Key, now: Time) -> Plan {
    planned("stubborn", key, now);
    let mut call = copy_call(key);
    call.namespace = "nowhere".into();
    Plan { calls: vec![call], ..Plan::nothing() }
}

fn answer(_: &View, key: &Key, refused: &[(Call, meta::Problem)], now: Time) -> Plan {
    planned("answer", key, now);
    let about =
        json!({ "kind": "ConfigMap", "namespace": "default", "name": &*key.name, "uid": "u" });
    let mut plan = Plan::nothing();
    plan.note(about, Warning::Warning, "Refused", refused[0].1.message.clone());
    plan
}

static STUBBORN: Row =
    Row { name: "stubborn", wakes: &MAPS, plan: stubborn, refused: Some(answer), made: None };

/// Does nothing.
fn idle(_: &View, key: &Key, now: Time) -> Plan {
    planned("idle", key, now);
    Plan::nothing()
}

static IDLE: Row = Row { name: "idle", wakes: &MAPS, plan: idle, refused: None, made: None };
static IDLE_TOO: Row = Row { name: "too", wakes: &MAPS, plan: idle_too, refused: None, made: None };

fn idle_too(_: &View, key: &Key, now: Time) -> Plan {
    planned("too", key, now);
    Plan::nothing()
}

fn broken(_: &View, key: &Key, now: Time) -> Plan {
    planned("broken", key, now);
    panic!("a plan that panics");
}

static BROKEN: Row = Row { name: "broken", wakes: &MAPS, plan: broken, refused: None, made: None };

// === turns ===

#[test]
fn a_change_makes_a_key_due_and_its_plan_happens() {
    let desk = Desk::new();
    let mut turn = desk.turn([&COPY]);
    settle(&mut turn, START);
    assert_eq!(plans(), []);
    assert!(turn.is_quiet());
    desk.map("in-a");
    desk.map("other");
    settle(&mut turn, START);
    assert_eq!(plans(), [("copy", "in-a".into(), 0)]);
    let names: Vec<_> =
        desk.read("configmaps").iter().map(|m| m["metadata"]["name"].to_string()).collect();
    assert_eq!(names, ["\"in-a\"", "\"other\"", "\"out-in-a\""]);
}

#[test]
fn what_was_there_before_the_start_is_planned_too() {
    let desk = Desk::new();
    desk.map("in-a");
    let mut turn = desk.turn([&IDLE]);
    settle(&mut turn, START);
    assert_eq!(plans(), [("idle", "in-a".into(), 0)]);
}

#[test]
fn wakes_ring_at_their_time_and_once() {
    let desk = Desk::new();
    desk.map("in-a");
    let mut turn = desk.turn([&COPY]);
    settle(&mut turn, START);
    assert_eq!(turn.next_timer(), Some(START.plus_ms(1000)));
    settle(&mut turn, START.plus_ms(999));
    settle(&mut turn, START.plus_ms(1000));
    assert_eq!(plans(), [("copy", "in-a".into(), 0), ("copy", "in-a".into(), 1000)]);
    assert_eq!(turn.next_timer(), Some(START.plus_ms(2000)));
}

#[test]
fn a_refused_plan_backs_off_and_its_row_may_answer() {
    let desk = Desk::new();
    desk.map("in-a");
    let mut turn = desk.turn([&STUBBORN]);
    let mut now = START;
    for wait in [5, 10, 20, 40] {
        settle(&mut turn, now);
        let at = now.ms_since(START);
        assert_eq!(plans(), [("stubborn", "in-a".into(), at), ("answer", "in-a".into(), at)]);
        assert_eq!(turn.next_timer(), Some(now.plus_ms(wait)));
        now = now.plus_ms(wait);
    }
    let events = desk.read("events");
    assert_eq!(events.len(), 1, "the same words are one event");
    assert_eq!(events[0]["count"], 4);
    assert_eq!(events[0]["reason"], "Refused");
    assert_eq!(events[0]["source"]["component"], "stubborn");
    assert_eq!(events[0]["lastTimestamp"], events[0]["firstTimestamp"], "within one second");
}

#[test]
fn what_was_made_is_told() {
    let desk = Desk::new();
    desk.map("in-a");
    let mut turn = desk.turn([&COPY]);
    settle(&mut turn, START);
    let events = desk.read("events");
    assert_eq!(events[0]["message"], "Created out-in-a");
    assert_eq!(events[0]["involvedObject"]["name"], "in-a");
}

#[test]
fn rows_take_turns() {
    let desk = Desk::new();
    for i in 0..200 {
        desk.map(&format!("in-{i:03}"));
    }
    let mut turn = desk.turn([&IDLE, &IDLE_TOO]);
    turn.turn(START);
    let first = plans();
    assert_eq!(first.len(), 256, "a turn ends so that changes and answers are looked at");
    for pair in first.chunks(2) {
        assert_eq!((pair[0].0, pair[1].0), ("idle", "too"));
    }
}

#[test]
fn a_plan_that_panics_harms_only_its_key() {
    let desk = Desk::new();
    desk.map("in-a");
    let mut turn = desk.turn([&BROKEN, &IDLE]);
    settle(&mut turn, START);
    let rows: Vec<_> = plans().into_iter().map(|(row, ..)| row).collect();
    assert_eq!(rows, ["broken", "idle"]);
    assert_eq!(turn.next_timer(), Some(START.plus_ms(5)));
}

// === answers that take their time ===

/// A log whose appends wait for the test.
struct Gate(Receiver<()>);

impl Log for Gate {
    fn append(&mut self, _: &[Record<'_>]) -> Result<(), LogError> {
        self.0.recv().map_err(|_| LogError { message: "the test is over".into(), transient: false })
    }

    fn replay(
        &mut self,
        _: &mut dyn FnMut(Record<'_>) -> Result<(), LogError>,
    ) -> Result<u64, LogError> {
        Ok(0)
    }
}

fn gated(open: usize) -> (Desk, Sender<()>) {
    let (gate, passes) = channel();
    (0..open).for_each(|_| gate.send(()).unwrap());
    let store = Store::open(Box::new(Gate(passes)), Options::new(api::heads())).unwrap();
    (Desk::over(store), gate)
}

#[test]
fn a_key_is_not_planned_again_before_its_calls_are_answered() {
    // The namespace and the input pass; the copy waits.
    let (desk, gate) = gated(2);
    desk.map("in-a");
    let mut turn = desk.turn([&COPY]);
    turn.drive_here();
    settle(&mut turn, START);
    // Not even when its timer rings.
    settle(&mut turn, START.plus_ms(1000));
    settle(&mut turn, START.plus_ms(5000));
    assert_eq!(plans(), [("copy", "in-a".into(), 0)]);
    assert!(!turn.is_quiet());
    // The copy, and the event about it.
    gate.send(()).unwrap();
    gate.send(()).unwrap();
    while !turn.is_quiet() {
        if !turn.turn(START.plus_ms(5000)) {
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
    }
    assert_eq!(plans(), [("copy", "in-a".into(), 5000)], "and then once, with what it missed");
}

// === scheduling ===

/// A node that is ready: new ones carry the not-ready taint until the node controller, which does not run here,
/// takes it away.
fn node(desk: &Desk, name: &str, cpu: &str) {
    desk.create("", "nodes", "", json!({ "metadata": { "name": name } }));
    let body = json!({ "spec": { "taints": null } });
    let patch = Verb::Patch(Patch { kind: PatchKind::Merge, body });
    desk.call(Call::new(patch, Gvr::new("", "v1", "nodes"), "", name));
    let body =
        json!({ "status": { "allocatable": { "cpu": cpu, "memory": "4Gi", "pods": "10" } } });
    let patch = Verb::Patch(Patch { kind: PatchKind::Merge, body });
    desk.call(Call::new(patch, Gvr::new("", "v1", "nodes"), "", name).on("status"));
}

fn pod(name: &str, cpu: &str, priority: i64) -> Value {
    let mut pod = json!({ "metadata": { "name": name }, "spec": { "containers": [{ "name": "c",
        "image": "i", "resources": { "requests": { "cpu": cpu } } }] } });
    if priority != 0 {
        pod["spec"]["priorityClassName"] = "high".into();
    }
    pod
}

fn scheduled(desk: &Desk, loop_: &mut Scheduling, now: Time) {
    for _ in 0..100 {
        if !loop_.turn(now) {
            return;
        }
    }
    panic!("no end: {:?}", desk.read("events"));
}

fn where_is(desk: &Desk, name: &str) -> Value {
    let pods = desk.read("pods");
    let found = pods.iter().find(|p| p["metadata"]["name"] == name);
    found.map_or(Value::Null, |p| p["spec"]["nodeName"].clone())
}

fn with_account() -> Desk {
    let desk = Desk::new();
    desk.create("", "serviceaccounts", "default", json!({ "metadata": { "name": "default" } }));
    desk
}

#[test]
fn pods_are_bound_through_the_api() {
    let desk = with_account();
    let mut scheduling = Scheduling::new(desk.api.clone(), desk.store.clone(), entropy());
    node(&desk, "n", "2");
    desk.create("", "pods", "default", pod("p", "1", 0));
    scheduled(&desk, &mut scheduling, START);
    assert_eq!(where_is(&desk, "p"), "n");
    let conditions = &desk.read("pods")[0]["status"]["conditions"];
    assert_eq!(
        (&conditions[0]["type"], &conditions[0]["status"]),
        (&json!("PodScheduled"), &json!("True"))
    );
    let events = desk.read("events");
    assert_eq!(events[0]["message"], "Successfully assigned default/p to n");
    assert_eq!(events[0]["reason"], "Scheduled");
    assert!(scheduling.is_quiet());
}

#[test]
fn what_cannot_be_scheduled_is_told_and_tried_again_when_it_can() {
    let desk = with_account();
    let mut scheduling = Scheduling::new(desk.api.clone(), desk.store.clone(), entropy());
    node(&desk, "n", "2");
    desk.create("", "pods", "default", pod("p", "3", 0));
    scheduled(&desk, &mut scheduling, START);
    let condition = desk.read("pods")[0]["status"]["conditions"][0].clone();
    assert_eq!(condition["reason"], "Unschedulable");
    let want = "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: \
        0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    assert_eq!(condition["message"], want);
    assert_eq!(desk.read("events")[0]["reason"], "FailedScheduling");
    node(&desk, "big", "8");
    scheduled(&desk, &mut scheduling, START.plus_ms(1000));
    assert_eq!(where_is(&desk, "p"), "big");
}

#[test]
fn the_more_important_take_the_place_of_others() {
    let desk = with_account();
    let mut scheduling = Scheduling::new(desk.api.clone(), desk.store.clone(), entropy());
    let class = json!({ "metadata": { "name": "high" }, "value": 1000 });
    desk.create("scheduling.k8s.io", "priorityclasses", "", class);
    node(&desk, "n", "2");
    desk.create("", "pods", "default", pod("low", "2", 0));
    scheduled(&desk, &mut scheduling, START);
    desk.create("", "pods", "default", pod("vip", "2", 1));
    scheduled(&desk, &mut scheduling, START);
    let pods = desk.read("pods");
    let low = pods.iter().find(|p| p["metadata"]["name"] == "low").unwrap();
    assert!(low["metadata"]["deletionTimestamp"].is_string(), "{low}");
    let told = low["status"]["conditions"].as_array().unwrap();
    assert!(told.iter().any(|c| c["reason"] == "PreemptionByScheduler"), "{told:?}");
    let vip = pods.iter().find(|p| p["metadata"]["name"] == "vip").unwrap();
    assert_eq!(vip["status"]["nominatedNodeName"], "n");
}
