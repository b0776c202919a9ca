//! Plays a scenario: who acts when, what fails, and who looks on.

use crate::converge;
use crate::kubelet::Kubelet;
use crate::luck::Luck;
use crate::mirror::Mirror;
use crate::oracle::ORACLES;
use crate::scenario::{Op, Scenario};
use crate::server::Server;
use crate::user;
use api::Call;
use controllers::simulated::Pace;
use k8s_openapi::api::core::v1::Pod;
use meta::{Resource, Time};
use store::{Key, View};
use typed::Kind;

/// What an oracle did not like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub rule: &'static str,
    pub detail: String,
    /// Seconds from the start.
    pub at: i64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub violation: Option<Violation>,
    /// Writes of the store: the same in every run of a scenario.
    pub revision: u64,
    pub virtual_secs: i64,
    pub crashes: u32,
}

/// 2026-01-01T00:00:00Z
const START: Time = Time::from_secs(1_767_225_600);
/// Rounds of all actors without the clock moving: somebody answers to himself.
const ROUNDS_MAX: u32 = 3000;
/// How long a healed cluster may take.
const CONVERGE_SECS: i64 = 2400;
const PATIENCE_SECS: i64 = 15;

pub(crate) struct World {
    pub server: Server,
    pub kubelets: Vec<Kubelet>,
    pub mirror: Mirror,
    pub now: Time,
    pace: Pace,
    luck: Luck,
    /// Down until then, and what had been acknowledged.
    down: Option<(Time, View)>,
    back_after_secs: i64,
    controllers_stall: Time,
    scheduler_stall: Time,
    disk_full_until: Option<Time>,
    crashes: u32,
}

/// Plays the scenario to its end or to the first violation.
pub fn run(scenario: &Scenario) -> Outcome {
    let mut world = match World::new(scenario) {
        Ok(world) => world,
        Err(error) => {
            return Outcome {
                violation: Some(Violation { rule: "start", detail: error.to_string(), at: 0 }),
                revision: 0,
                virtual_secs: 0,
                crashes: 0,
            };
        }
    };
    let violation = world.play(scenario).err();
    Outcome {
        violation,
        revision: world.mirror.revision,
        virtual_secs: world.now.secs() - START.secs(),
        crashes: world.crashes,
    }
}

impl World {
    fn new(scenario: &Scenario) -> Result<Self, store::LogError> {
        let mut luck = Luck::new(scenario.seed);
        let server = Server::start(luck.next())?;
        Ok(Self {
            server,
            kubelets: (0..scenario.nodes).map(Kubelet::new).collect(),
            mirror: Mirror::default(),
            now: START,
            pace: pace(&mut luck),
            luck,
            down: None,
            back_after_secs: 0,
            controllers_stall: START,
            scheduler_stall: START,
            disk_full_until: None,
            crashes: 0,
        })
    }

    fn play(&mut self, scenario: &Scenario) -> Result<(), Violation> {
        for object in crate::generate::system() {
            self.user(user::create(&object));
        }
        self.pass_to(START.plus_secs(20))?;
        for step in &scenario.steps {
            self.pass_to(START.plus_secs(20 + step.at))?;
            self.perform(&step.op)?;
        }
        self.pass_to(self.now.plus_secs(30))?;
        self.heal()?;
        converge::demand(self)
    }

    pub fn violation(&self, rule: &'static str, detail: String) -> Violation {
        Violation { rule, detail, at: self.now.secs() - START.secs() }
    }

    // === time ===

    /// Lets everybody act until then.
    pub fn pass_to(&mut self, at: Time) -> Result<(), Violation> {
        loop {
            self.act_until_idle()?;
            match self.next_event() {
                Some(next) if next <= at => self.now = self.now.plus_ms(1).max(next),
                _ => break,
            }
        }
        self.now = self.now.max(at);
        self.act_until_idle()
    }

    fn next_event(&self) -> Option<Time> {
        if let Some((until, _)) = &self.down {
            return Some(*until);
        }
        let turn = self.server.controllers.next_timer().map(|at| at.max(self.controllers_stall));
        let scheduler = self.server.scheduler.next_timer().map(|at| at.max(self.scheduler_stall));
        let stalls =
            [self.controllers_stall, self.scheduler_stall].into_iter().filter(|at| *at > self.now);
        let kubelets = self.kubelets.iter().filter_map(|k| {
            let away = Some(k.away_until).filter(|at| *at > self.now);
            away.or(k.timer)
        });
        turn.into_iter()
            .chain(scheduler)
            .chain(stalls)
            .chain(kubelets)
            .chain(self.disk_full_until)
            .min()
    }

    fn act_until_idle(&mut self) -> Result<(), Violation> {
        for _ in 0..ROUNDS_MAX {
            if !self.round()? {
                return Ok(());
            }
        }
        Err(self
            .violation("no livelock", format!("no rest after {ROUNDS_MAX} rounds in one instant")))
    }

    /// Everybody once, in any order. Returns whether anybody did anything.
    fn round(&mut self) -> Result<bool, Violation> {
        self.fate()?;
        if self.down.is_some() {
            return Ok(false);
        }
        let mut actors: Vec<usize> = (0..self.kubelets.len() + 2).collect();
        self.luck.shuffle(&mut actors);
        let mut busy = false;
        for actor in actors {
            busy |= match actor {
                0 => self.controllers_stall <= self.now && self.server.controllers.turn(self.now),
                1 => self.scheduler_stall <= self.now && self.server.scheduler.turn(self.now),
                node => self.kubelets[node - 2].act(&mut self.server, &self.pace, self.now),
            };
            self.observe()?;
            if self.server.has_crashed() {
                self.crash();
                return Ok(false);
            }
        }
        Ok(busy)
    }

    /// What ends by itself.
    fn fate(&mut self) -> Result<(), Violation> {
        if self.disk_full_until.is_some_and(|until| until <= self.now) {
            self.disk_full_until = None;
            self.server.disk.set_capacity(None);
        }
        match &self.down {
            Some((until, _)) if *until <= self.now => self.restart(),
            _ => Ok(()),
        }
    }

    // === what is seen ===

    /// Judges every change since the last look.
    fn observe(&mut self) -> Result<(), Violation> {
        let view = self.server.view();
        if view.revision() == self.mirror.revision {
            return Ok(());
        }
        let changes = view.changes(self.mirror.revision).map_err(|_| {
            self.violation(
                "watch equals history",
                "history is gone under a watcher that kept up".into(),
            )
        })?;
        for change in changes.iter() {
            for oracle in ORACLES.iter().filter(|o| o.cares(&change.after.key.resource)) {
                (oracle.check)(&self.mirror, change).map_err(|detail| {
                    self.violation(oracle.rule, format!("{:?}: {detail}", change.after.key))
                })?;
            }
            self.mirror.apply(change);
            self.kubelets.iter_mut().for_each(|kubelet| kubelet.notice(change));
        }
        if view.revision().is_multiple_of(32) {
            self.compare(&view)?;
        }
        Ok(())
    }

    pub fn compare(&self, view: &View) -> Result<(), Violation> {
        match self.mirror.differs_from(view) {
            Some(detail) => Err(self.violation("watch equals history", detail)),
            None => Ok(()),
        }
    }

    // === the process dies ===

    fn crash(&mut self) {
        self.crashes += 1;
        self.down = Some((self.now.plus_secs(self.back_after_secs), self.server.view()));
    }

    fn restart(&mut self) -> Result<(), Violation> {
        let Some((_, before)) = self.down.take() else { return Ok(()) };
        match self.server.restart() {
            Ok(()) => {}
            // The disk still fails; whoever supervises the process starts it again.
            Err(error) if error.transient => {
                self.down = Some((self.now.plus_secs(1), before));
                return Ok(());
            }
            Err(error) => return Err(self.violation("starts after a crash", error.to_string())),
        }
        let after = self.server.view();
        if let Some(detail) = lost(&before, &after) {
            return Err(self.violation("what was acknowledged is there", detail));
        }
        self.mirror = Mirror::of(&after);
        self.kubelets.iter_mut().for_each(|kubelet| kubelet.wake_at(self.now));
        Ok(())
    }

    // === what happens ===

    fn user(&mut self, call: Option<Call>) {
        // Users live with refusals: the object is gone, the quota is used up, the server is down.
        if let (Some(call), None) = (call, &self.down) {
            let _ = self.server.call(("admin", "kubectl"), &call, self.now);
        }
    }

    fn perform(&mut self, op: &Op) -> Result<(), Violation> {
        match op {
            Op::Create { object } => self.user(user::create(object)),
            Op::Patch { path, body } => self.user(user::patch(path, body)),
            Op::Delete { path, cascade } => self.user(user::delete(path, cascade)),
            Op::DeletePod { pick, grace } => {
                let pod = self.pod(*pick).map(|pod| user::delete_pod(&pod, *grace));
                self.user(pod);
            }
            Op::Evict { pick } => {
                let pod = self.pod(*pick).map(|pod| user::evict(&pod));
                self.user(pod);
            }
            Op::Cordon { node, on } => {
                let body = serde_json::json!({ "spec": { "unschedulable": on } });
                self.user(user::patch(&format!("nodes/n{node}"), &body));
            }
            Op::Oom { pick } => {
                let killed = self
                    .pod(*pick)
                    .and_then(|key| self.mirror.read::<Pod>(&key.namespace, &key.name));
                let running = killed.filter(|pod| {
                    pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running")
                });
                self.user(running.and_then(|pod| user::oom(&pod, self.now)));
            }
            fault => self.fault(fault),
        }
        self.observe()
    }

    fn fault(&mut self, op: &Op) {
        let until = |secs: &i64| self.now.plus_secs(*secs);
        match op {
            Op::Crash { writes, secs } if self.down.is_none() => {
                self.server.crash_in(*writes);
                self.back_after_secs = *secs;
            }
            Op::Partition { node, secs } => self.kubelets[*node].away_until = until(secs),
            Op::LoseNode { node, secs } => {
                self.kubelets[*node].away_until = until(secs);
                self.user(user::delete(&format!("nodes/n{node}"), "background"));
            }
            Op::Delay { node, secs } => {
                let (view, until) = (self.server.view(), until(secs));
                self.kubelets[*node].delay(view, until);
            }
            Op::LoseReplies { node, secs } => self.kubelets[*node].deaf_until = until(secs),
            Op::ClockJump { secs } => self.now = self.now.plus_secs(*secs),
            Op::Amnesia if self.down.is_none() => self.server.forget(),
            Op::StallControllers { secs } => self.controllers_stall = until(secs),
            Op::StallScheduler { secs } => self.scheduler_stall = until(secs),
            Op::DiskFull { secs } => {
                self.disk_full_until = Some(until(secs));
                self.server.disk.set_capacity(Some(self.server.disk.used()));
            }
            Op::SyncsFail { count } => self.server.disk.fail_syncs(*count),
            Op::Compact if self.down.is_none() => self.server.store.compact(self.mirror.revision),
            _ => {}
        }
    }

    fn pod(&self, pick: u64) -> Option<Key> {
        let pods: Vec<_> =
            self.mirror.of_resource(&Pod::resource()).map(|o| o.key.clone()).collect();
        (!pods.is_empty()).then(|| pods[usize::try_from(pick).unwrap_or(0) % pods.len()].clone())
    }

    /// Everything works again, and whatever users closed is open.
    fn heal(&mut self) -> Result<(), Violation> {
        self.server.disk.set_capacity(None);
        self.server.disk.fail_syncs(0);
        self.disk_full_until = None;
        // A crash that has not come yet comes now.
        if self.server.may_crash() && self.down.is_none() {
            self.crash();
        }
        if let Some((until, _)) = &mut self.down {
            *until = self.now;
        }
        self.fate()?;
        (self.controllers_stall, self.scheduler_stall) = (self.now, self.now);
        self.kubelets.iter_mut().for_each(Kubelet::heal);
        self.pass_to(self.now.plus_secs(PATIENCE_SECS))?;
        for at in 0..self.kubelets.len() {
            self.perform(&Op::Cordon { node: at, on: false })?;
        }
        let crons = Resource::new("batch", "cronjobs");
        let crons: Vec<_> = self.mirror.of_resource(&crons).map(|o| o.key.clone()).collect();
        for cron in crons {
            let path = format!("cronjobs.batch/{}/{}", cron.namespace, cron.name);
            let body = serde_json::json!({ "spec": { "suspend": true } });
            self.perform(&Op::Patch { path, body })?;
        }
        Ok(())
    }

    pub fn deadline(&self) -> Time {
        self.now.plus_secs(CONVERGE_SECS)
    }
}

/// Latencies of this run's kubelets.
fn pace(luck: &mut Luck) -> Pace {
    if luck.once_in(4) {
        return Pace::AT_ONCE;
    }
    Pace {
        start: (0, luck.below(8) as u32),
        ready: (0, luck.below(5) as u32),
        run: (1, 1 + luck.below(40) as u32),
        stop: (0, luck.below(20) as u32),
        slow_one_in: luck.below(12) as u32,
        slow_secs: 60,
    }
}

/// What was acknowledged and is not there any more.
fn lost(before: &View, after: &View) -> Option<String> {
    if after.revision() < before.revision() {
        return Some(format!("revision {} after {}", after.revision(), before.revision()));
    }
    for old in before.resources().flat_map(|resource| before.list(resource, None)) {
        match after.get(&old.key) {
            Some(new) if new.revision == old.revision && new.json() != old.json() => {
                return Some(format!("{:?} says something else at {}", old.key, old.revision));
            }
            Some(new) if new.revision >= old.revision => {}
            // What was being written may have been its deletion.
            None if after.revision() > before.revision() => {}
            _ => return Some(format!("{:?} at {} is lost", old.key, old.revision)),
        }
    }
    let known = |object: &&std::sync::Arc<store::Object>| {
        object.revision > before.revision() || before.get(&object.key).is_some()
    };
    let mut new = after.resources().flat_map(|resource| after.list(resource, None));
    let risen = new.find(|object| !known(object))?;
    Some(format!("{:?}, which was deleted, is back", risen.key))
}
