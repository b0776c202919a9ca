use proptest::prelude::*;

use super::*;

fn record(policy: &str, code: i32) -> Record {
    let mut record = Record::default();
    record.host.restart_policy.name = policy.to_owned();
    record.state.phase = Phase::Exited;
    record.state.exit_code = code;
    record.state.started = Stamp::from_secs(100);
    record.state.finished = Stamp::from_secs(101);
    record
}

#[test]
fn policies_after_exit() {
    let restart = AfterExit::Restart { backoff: FIRST_BACKOFF };
    for (policy, code, expected) in [
        ("no", 1, AfterExit::Stay),
        ("", 0, AfterExit::Stay),
        ("always", 0, restart),
        ("unless-stopped", 0, restart),
        ("on-failure", 0, AfterExit::Stay),
        ("on-failure", 3, restart),
    ] {
        assert_eq!(after_exit(&record(policy, code)), expected, "{policy} {code}");
    }
    let mut stopped = record("always", 0);
    stopped.state.stopped_by_user = true;
    assert_eq!(after_exit(&stopped), AfterExit::Stay);
    let mut spent = record("on-failure", 1);
    spent.host.restart_policy.maximum_retry_count = 2;
    spent.state.restart_count = 2;
    assert_eq!(after_exit(&spent), AfterExit::Stay);
}

#[test]
fn back_off_doubles_and_forgives() {
    let mut r = record("always", 1);
    r.state.backoff = SECOND;
    assert_eq!(after_exit(&r), AfterExit::Restart { backoff: 2 * SECOND });
    r.state.backoff = 50 * SECOND;
    assert_eq!(after_exit(&r), AfterExit::Restart { backoff: LAST_BACKOFF });
    r.state.finished = Stamp::from_secs(110);
    assert_eq!(after_exit(&r), AfterExit::Restart { backoff: FIRST_BACKOFF });
}

#[test]
fn recovery_table() {
    let now = Stamp::from_secs(500);
    let found = Found::Running { pid: 7, paused: false };
    let with = |phase| {
        let mut r = record("no", 0);
        r.state.phase = phase;
        r
    };
    let lost = Recovery::Bury { code: LOST, at: now, oom: false };
    assert_eq!(recover(&with(Phase::Running), Found::Nothing, now), lost);
    assert_eq!(recover(&with(Phase::Running), Found::Ready, now), Recovery::Begin);
    let adopt = Recovery::Adopt { pid: 7, paused: false };
    assert_eq!(recover(&with(Phase::Running), found, now), adopt);
    assert_eq!(recover(&with(Phase::Created), found, now), Recovery::KillAndBury);
    assert_eq!(recover(&with(Phase::Removing), found, now), Recovery::Remove);
    assert_eq!(recover(&with(Phase::Restarting), Found::Nothing, now), Recovery::Start);
    assert_eq!(recover(&record("always", 0), Found::Nothing, now), Recovery::Start);
    assert_eq!(recover(&record("no", 0), Found::Nothing, now), Recovery::Keep);
}

fn timing() -> ProbeTiming {
    ProbeTiming::of(&Healthcheck { start_period: 10 * SECOND, retries: 2, ..Default::default() })
}

fn probe(at: i64, exit_code: i32) -> ProbeResult {
    let start = Stamp::from_secs(at);
    ProbeResult { start, end: start, exit_code, output: String::new() }
}

#[test]
fn failures_in_the_start_period_do_not_count() {
    let started = Stamp::from_secs(0);
    let h = after_probe(&Health::default(), &timing(), started, probe(5, 1));
    assert_eq!((h.status, h.failing_streak), (HealthStatus::Starting, 0));
    assert_eq!(timing().next(&h, started, Stamp::from_secs(5)), 5 * SECOND);
    let h = after_probe(&h, &timing(), started, probe(12, 1));
    let h = after_probe(&h, &timing(), started, probe(14, 1));
    assert_eq!((h.status, h.failing_streak), (HealthStatus::Unhealthy, 2));
    let h = after_probe(&h, &timing(), started, probe(16, 0));
    assert_eq!((h.status, h.failing_streak), (HealthStatus::Healthy, 0));
    assert_eq!(timing().next(&h, started, Stamp::from_secs(16)), 30 * SECOND);
}

proptest! {
    /// Whatever the probes say: five results at most, and healthy exactly after a success.
    #[test]
    fn health_is_bounded(codes in proptest::collection::vec(0..3i32, 1..40)) {
        let mut health = Health::default();
        for (i, code) in codes.iter().enumerate() {
            let at = 20 + i64::try_from(i).unwrap();
            health = after_probe(&health, &timing(), Stamp::from_secs(0), probe(at, *code));
            prop_assert!(health.log.len() <= 5);
            prop_assert_eq!(health.failing_streak == 0, *code == 0);
        }
    }
}
