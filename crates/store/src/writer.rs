//! The single writer: drains requests, applies them, makes them durable in one group, publishes.

use crate::board::{Board, Subscription};
use crate::core::{Core, Options};
use crate::history::{Changes, Compacted};
use crate::log::{Log, LogError, Snapshot};
use crate::pending::Pending;
use crate::txn::{Op, Receipt, Reject, Txn};
use crate::view::View;
use meta::Resource;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Handle to the store; clones share it. Dropping the last one ends the writer, after what was asked of it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    board: Arc<Board>,
    writer: Writer,
}

enum Writer {
    Thread(Mutex<Line>),
    /// Every commit in the thread of its caller: for simulations.
    Inline(Mutex<Core>),
}

/// The way to the writer thread.
struct Line {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

type Done = Box<dyn FnOnce(Result<Receipt, Reject>) + Send>;
type Snapped = Box<dyn FnOnce(Result<(), LogError>) + Send>;

enum Job {
    Commit(Txn, Done),
    Compact(u64),
    Snapshot(Snapped),
}

/// At most so many transactions or bytes share one append, to bound how long the first of them waits.
const GROUP_TXNS: usize = 1024;
const GROUP_BYTES: usize = 8 << 20;

impl Store {
    /// Replays the log and starts the writer thread.
    ///
    /// # Errors
    /// When the log cannot be read or is damaged, or no thread can be started.
    pub fn open(log: Box<dyn Log>, options: Options) -> Result<Self, LogError> {
        let core = Core::open(log, options)?;
        let board = Board::new(core.view());
        let (jobs, inbox) = channel();
        let theirs = board.clone();
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || run(core, &theirs, &inbox))
            .map_err(|error| LogError {
                message: format!("the store's writer thread cannot be started: {error}"),
                transient: true,
            })?;
        let line = Line { jobs: Some(jobs), thread: Some(thread) };
        let writer = Writer::Thread(Mutex::new(line));
        Ok(Self { shared: Arc::new(Shared { board, writer }) })
    }

    /// A store without a thread: each commit happens, alone, in the thread of its caller. Deterministic.
    ///
    /// # Errors
    /// When the log cannot be read or is damaged.
    pub fn inline(log: Box<dyn Log>, options: Options) -> Result<Self, LogError> {
        let core = Core::open(log, options)?;
        let board = Board::new(core.view());
        Ok(Self { shared: Arc::new(Shared { board, writer: Writer::Inline(Mutex::new(core)) }) })
    }

    /// The newest durable state.
    pub fn view(&self) -> View {
        self.shared.board.view()
    }

    /// Commits and waits until the transaction is durable and published. Not for the writer's own thread
    /// (inside `done` of [`Store::submit`]), where it would wait for itself.
    ///
    /// # Errors
    /// Why it did not happen.
    pub fn commit(&self, txn: Txn) -> Result<Receipt, Reject> {
        self.request(txn).wait()
    }

    /// As [`Store::commit`]; the answer is a future of any runtime. The commit happens even when it is dropped.
    pub fn request(&self, txn: Txn) -> Pending {
        let (pending, done) = Pending::new();
        self.submit(txn, Box::new(move |result| done.set(result)));
        pending
    }

    /// As [`Store::commit`], without blocking: `done` runs on the writer thread and must be short.
    pub fn submit(&self, txn: Txn, done: Done) {
        if let Some(Job::Commit(_, done)) = self.send(Job::Commit(txn, done)) {
            done(Err(Reject::Closed));
        }
    }

    /// Changes after `revision`, oldest first.
    ///
    /// # Errors
    /// [`Compacted`] when some of them are gone.
    pub fn changes(&self, revision: u64) -> Result<Changes, Compacted> {
        self.view().changes(revision)
    }

    /// A way to wait for the next change of anything.
    pub fn subscribe(&self) -> Subscription {
        self.shared.board.subscribe(None)
    }

    /// A way to wait for the next change of one resource, undisturbed by others.
    pub fn subscribe_to(&self, resource: &Resource) -> Subscription {
        self.shared.board.subscribe(Some(resource.clone()))
    }

    /// Forgets changes up to and including `revision`: [`View::at`] and [`View::changes`] answer from there on.
    pub fn compact(&self, revision: u64) {
        self.send(Job::Compact(revision));
    }

    /// Makes the log write everything anew and drop what is older (after a key rotation, before a copy of the
    /// directory is taken); waits for it.
    ///
    /// # Errors
    /// When it could not be written; everything is as before.
    pub fn snapshot(&self) -> Result<(), LogError> {
        let (done, answer) = channel();
        let closed = || LogError { message: "the store is closed".into(), transient: false };
        self.send(Job::Snapshot(Box::new(move |result| drop(done.send(result)))));
        answer.recv().map_err(|_| closed())?
    }

    /// Ends the writer after what was asked of it so far, and waits for that. Later commits are
    /// [`Reject::Closed`]; reading goes on.
    pub fn close(&self) {
        if let Writer::Thread(line) = &self.shared.writer {
            lock(line).end();
        }
    }

    /// Gives the job back when the store is closed.
    fn send(&self, job: Job) -> Option<Job> {
        match &self.shared.writer {
            Writer::Thread(line) => match &lock(line).jobs {
                Some(jobs) => jobs.send(job).err().map(|unsent| unsent.0),
                None => Some(job),
            },
            Writer::Inline(core) => {
                let touched = turn(&mut lock(core), &self.shared.board, vec![job]);
                self.shared.board.wake(touched);
                None
            }
        }
    }
}

impl Line {
    fn end(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic of the writer has been printed; there is nobody here to hand it to.
            let _ = thread.join();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A commit that panicked has not touched the state: it works on a copy until the log has it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(mut core: Core, board: &Board, inbox: &Receiver<Job>) {
    // When a crowd of watchers is to be told what has happened since it was last woken.
    let mut due: Option<Instant> = None;
    loop {
        let first = match due {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match first {
            Ok(first) => {
                let touched = turn(&mut core, board, gather(first, inbox));
                due = board.wake_in_turns(touched, Instant::now());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if due.is_some_and(|at| at <= Instant::now()) {
            due = board.wake_owed(Instant::now());
        }
    }
    // Nothing follows that could wake those still owed: closing wakes everybody.
    board.wake_owed(Instant::now() + Duration::from_secs(3600));
}

/// What is waiting, up to the bounds of one group.
fn gather(first: Job, inbox: &Receiver<Job>) -> Vec<Job> {
    let mut bytes = weight(&first);
    let mut jobs = vec![first];
    while jobs.len() < GROUP_TXNS && bytes < GROUP_BYTES {
        let Ok(job) = inbox.try_recv() else { break };
        bytes += weight(&job);
        jobs.push(job);
    }
    jobs
}

fn weight(job: &Job) -> usize {
    let Job::Commit(txn, _) = job else { return 0 };
    let ops = txn.ops.iter();
    ops.map(|op| if let Op::Put { draft, .. } = op { draft.json.len() } else { 0 }).sum()
}

/// One group: commit, publish, answer; then whatever else was asked. Answers whose watchers are to be woken.
fn turn(core: &mut Core, board: &Board, jobs: Vec<Job>) -> BTreeSet<Resource> {
    let (mut txns, mut waiting, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for job in jobs {
        match job {
            Job::Commit(txn, done) => {
                txns.push(txn);
                waiting.push(done);
            }
            other => others.push(other),
        }
    }
    let mut touched = BTreeSet::new();
    if !txns.is_empty() {
        touched = group(core, board, txns, waiting);
    }
    for job in others {
        aside(core, board, job);
    }
    touched
}

fn group(core: &mut Core, board: &Board, txns: Vec<Txn>, waiting: Vec<Done>) -> BTreeSet<Resource> {
    let before = core.view().revision();
    let results = core.commit(txns);
    let view = core.view();
    let touched: BTreeSet<Resource> = view
        .changes(before)
        .map(|changes| changes.iter().map(|change| change.after.key.resource.clone()).collect())
        .unwrap_or_default();
    board.publish(view);
    for (done, result) in waiting.into_iter().zip(results) {
        // A panic of one caller's code must not take the writer from all others.
        let _ = catch_unwind(AssertUnwindSafe(|| done(result)));
    }
    if !touched.is_empty() {
        // An automatic snapshot that failed is tried again by the log itself.
        let _ = core.snapshot(Snapshot::IfGrown);
    }
    touched
}

fn aside(core: &mut Core, board: &Board, job: Job) {
    match job {
        Job::Commit(..) => {}
        Job::Compact(revision) => {
            core.compact(revision);
            board.publish(core.view());
        }
        Job::Snapshot(done) => done(core.snapshot(Snapshot::Now)),
    }
}
