//! The list of steps as it grows: one aligned line per step, the one at work rewritten in place on a terminal.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done; what was seen.
    Done(String),
    /// Not done, for a reason that is not the product's fault or not its part yet.
    Skipped(String),
}

impl Outcome {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "ok",
            Self::Skipped(_) => "skipped",
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Self::Done(text) | Self::Skipped(text) => text,
        }
    }
}

/// Width of the column of titles.
const TITLE: usize = 38;
/// A terminal's line is rewritten this often.
const TICK: Duration = Duration::from_millis(100);

/// The line of the step at work. Dropped, it leaves nothing behind.
pub struct Line {
    title: &'static str,
    began: Instant,
    progress: Progress,
    ticker: Option<tokio::task::JoinHandle<()>>,
}

/// Where a step says how far it is.
#[derive(Clone, Default)]
pub struct Progress(Arc<Mutex<String>>);

impl Progress {
    pub fn say(&self, text: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Line {
    pub fn begin(title: &'static str) -> Self {
        let (began, progress) = (Instant::now(), Progress::default());
        let ticker = std::io::stdout().is_terminal().then(|| {
            let progress = progress.clone();
            tokio::spawn(async move {
                loop {
                    let line = row("..", title, began.elapsed(), &progress.text());
                    print(&format!("\r\x1b[K{line}"));
                    tokio::time::sleep(TICK).await;
                }
            })
        });
        Self { title, began, progress, ticker }
    }

    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Writes the line as it stays. Gives how long the step took.
    pub fn end(self, word: &str, text: &str) -> Duration {
        let took = self.began.elapsed();
        let back = if self.ticker.is_some() { "\r\x1b[K" } else { "" };
        if let Some(ticker) = &self.ticker {
            ticker.abort();
        }
        print(&format!("{back}{}\n", row(word, self.title, took, text)));
        took
    }
}

fn row(word: &str, title: &str, took: Duration, text: &str) -> String {
    format!("{word:<8}{title:<TITLE$}{:>8.2} s  {text}", took.as_secs_f64())
}

fn print(text: &str) {
    let mut out = std::io::stdout();
    // Nobody may be reading; that does not stop the steps.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
