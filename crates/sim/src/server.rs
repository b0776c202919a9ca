//! The server process: store on a simulated disk, API, controllers, scheduler. It crashes and starts again.

use crate::luck::Luck;
use api::{AllowAll, Api, Call, CallNext, CallOutcome, Env, NoTokens};
use control::{Scheduling, Turn};
use log::{Aside, SimDisk, Wal};
use meta::{Identity, Problem, Time, Value};
use std::sync::Arc;
use store::{LogError, Store, View};

/// Everything that dies with the process, and the disk, which does not.
pub(crate) struct Server {
    pub api: Arc<Api>,
    pub store: Store,
    pub controllers: Turn,
    pub scheduler: Scheduling,
    pub disk: SimDisk,
    luck: Luck,
    /// The disk operation in which the power fails.
    fails_at: Option<u64>,
}

/// Small, so that snapshots and new segments happen in short runs as well.
const SNAPSHOT_BYTES: u64 = 1 << 20;

fn open(disk: &SimDisk) -> Result<Store, LogError> {
    let options = log::Options {
        snapshot_bytes: SNAPSHOT_BYTES,
        aside: Aside::Caller,
        ..log::Options::default()
    };
    let wal = Wal::open(disk.clone(), options)?;
    Store::inline(Box::new(wal), store::Options::new(api::heads()))
}

fn entropy(luck: &mut Luck) -> control::Entropy {
    let mut own = Luck::new(luck.next());
    Box::new(move || own.bytes())
}

impl Server {
    pub fn start(seed: u64) -> Result<Self, LogError> {
        let mut luck = Luck::new(seed);
        let disk = SimDisk::new(luck.next());
        let api = Arc::new(Api::new(Box::new(AllowAll), Box::new(NoTokens)));
        let store = open(&disk)?;
        let controllers =
            Turn::new(api.clone(), store.clone(), controllers::TABLE, entropy(&mut luck));
        let scheduler = Scheduling::new(api.clone(), store.clone(), entropy(&mut luck));
        Ok(Self { api, store, controllers, scheduler, disk, luck, fails_at: None })
    }

    /// The power will fail in the `writes`th disk operation from now.
    pub fn crash_in(&mut self, writes: u64) {
        self.disk.crash_in(writes);
        self.fails_at = Some(self.disk.operations() + writes);
    }

    /// Whether a crash is still to come.
    pub fn may_crash(&self) -> bool {
        self.fails_at.is_some()
    }

    pub fn has_crashed(&self) -> bool {
        self.fails_at.is_some_and(|at| self.disk.operations() >= at)
    }

    /// Starts again from what the disk has kept.
    pub fn restart(&mut self) -> Result<(), LogError> {
        self.fails_at = None;
        self.disk.restart();
        self.store = open(&self.disk)?;
        self.forget();
        Ok(())
    }

    /// The loops begin anew, knowing nothing.
    pub fn forget(&mut self) {
        let (api, store) = (self.api.clone(), self.store.clone());
        let entropy_of_turn = entropy(&mut self.luck);
        self.controllers =
            Turn::new(api.clone(), store.clone(), controllers::TABLE, entropy_of_turn);
        self.scheduler = Scheduling::new(api, store, entropy(&mut self.luck));
    }

    pub fn view(&self) -> View {
        self.store.view()
    }

    /// A request from outside.
    pub fn call(
        &mut self,
        (name, agent): (&str, &str),
        call: &Call,
        now: Time,
    ) -> Result<Value, Problem> {
        let identity = Identity { name: name.into(), ..Identity::default() };
        loop {
            let entropy = self.luck.bytes();
            let env = Env { identity: &identity, now, entropy, user_agent: agent };
            let mut pending = match self.api.call(call, &env, &self.store.view()) {
                CallOutcome::Done(result) => return result,
                CallOutcome::Commit(pending) => pending,
            };
            let result = self.store.commit(std::mem::take(&mut pending.txn));
            if let CallNext::Done(result) = self.api.settle_call(pending, result) {
                return result;
            }
        }
    }
}
