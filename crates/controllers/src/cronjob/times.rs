//! Start times of a schedule in its time zone (pkg/controller/cronjob/utils.go, robfig/cron's standard parser).

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Zoned;
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::CronJobSpec;
use meta::Time;

pub(super) struct Schedule {
    /// `None` for `@every`.
    cron: Option<Cron>,
    every_secs: i64,
    zone: TimeZone,
}

/// The last start time that has come.
pub(super) struct Due {
    pub at: Time,
    /// More than a hundred were missed before it.
    pub missed_many: bool,
}

/// Start times looked at one by one before the rest is skipped.
const MANY: usize = 100;

impl Schedule {
    /// # Errors
    /// The reason and message of the event that tells.
    pub fn of(spec: &CronJobSpec) -> Result<Self, (&'static str, String)> {
        let zone = match spec.time_zone.as_deref() {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| {
                ("UnknownTimeZone", format!("invalid timeZone: {name:?}: unknown time zone"))
            })?,
        };
        let text = spec.schedule.trim();
        if let Some(every) = text.strip_prefix("@every ") {
            let every = meta::GoDuration::parse(every.trim());
            let secs = every.map_or(0, |d| d.0 / 1_000_000_000).max(1);
            return Ok(Self { cron: None, every_secs: secs, zone });
        }
        // `?` is any, as `*`, wherever it stands.
        let text = text.replace('?', "*");
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(&text).map_err(|cause| {
            let message = format!("unparseable schedule: {:?} : {cause}", spec.schedule);
            ("UnparseableSchedule", message)
        })?;
        Ok(Self { cron: Some(cron), every_secs: 0, zone })
    }

    pub fn next_after(&self, at: Time) -> Option<Time> {
        let Some(cron) = &self.cron else { return Some(at.plus_secs(self.every_secs)) };
        let next = cron.find_next_occurrence(&self.local(at)?, false).ok()?;
        Some(Time(next.timestamp().as_microsecond()))
    }

    fn local(&self, at: Time) -> Option<Zoned> {
        Some(jiff::Timestamp::from_microsecond(at.0).ok()?.to_zoned(self.zone.clone()))
    }

    /// The last start time after `earliest` and not after `now`.
    pub fn last_due(&self, earliest: Time, now: Time) -> Option<Due> {
        if self.cron.is_none() {
            let steps = (now.secs() - earliest.secs()) / self.every_secs;
            let at = Time::from_secs(earliest.secs() + steps * self.every_secs);
            return (steps > 0).then_some(Due { at, missed_many: steps > MANY as i64 });
        }
        let mut last = None;
        let mut at = earliest;
        for _ in 0..MANY {
            match self.next_after(at).filter(|next| *next <= now) {
                Some(next) => (last, at) = (Some(next), next),
                None => return last.map(|at| Due { at, missed_many: false }),
            }
        }
        self.previous(now).map(|at| Due { at, missed_many: true })
    }

    fn previous(&self, now: Time) -> Option<Time> {
        let at = self.cron.as_ref()?.find_previous_occurrence(&self.local(now)?, true).ok()?;
        Some(Time(at.timestamp().as_microsecond()))
    }
}

/// The annotation of a job with the time it was due, in the schedule's zone.
pub(super) fn stamp(at: Time, zone: Option<&str>) -> String {
    let Some(zone) = zone.and_then(|name| TimeZone::get(name).ok()) else { return at.rfc3339() };
    match jiff::Timestamp::from_microsecond(at.0) {
        Ok(timestamp) => {
            let local = timestamp.to_zoned(zone);
            let offset = local.strftime("%:z").to_string();
            let offset = if offset == "+00:00" { "Z" } else { &offset };
            format!("{}{offset}", local.strftime("%Y-%m-%dT%H:%M:%S"))
        }
        Err(_) => at.rfc3339(),
    }
}
