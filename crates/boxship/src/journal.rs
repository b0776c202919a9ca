//! Log lines on standard error: time, level, what and its fields. One subscriber, no filters but a level.

use std::fmt::Write as _;
use std::io::Write as _;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Writes events up to a level; spans are not used in this project.
struct Journal {
    most: Level,
}

/// Starts writing. `BOXSHIP_LOG` is `error`, `warn`, `info` (when unset), `debug` or `trace`.
pub fn start() {
    let most = std::env::var("BOXSHIP_LOG")
        .ok()
        .and_then(|level| level.parse().ok())
        .unwrap_or(Level::INFO);
    // A second call finds the first one's subscriber there, which is as good.
    let _ = tracing::subscriber::set_global_default(Journal { most });
}

impl Subscriber for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.most
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let (level, target) = (event.metadata().level(), event.metadata().target());
        // Nobody may be reading; that must not stop the work.
        let _ = writeln!(
            std::io::stderr(),
            "{} {level} {target}: {}{}",
            now(),
            line.message,
            line.fields
        );
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn now() -> String {
    client::now().rfc3339_micro()
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let written = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
        written.expect("writing to a string cannot fail");
    }
}
