//! Progress of long work: lines that are rewritten in place on a terminal, and plain lines elsewhere.

use crate::out;
use meta::Value;
use std::io::IsTerminal;

/// The live lines of docker's JSON messages (moby `pkg/jsonmessage`).
pub struct Progress {
    /// Ids in the order of their lines.
    lines: Vec<String>,
    live: bool,
    /// Only results are printed.
    quiet: bool,
    /// To standard error, because standard output is somebody else's.
    aside: bool,
}

impl Progress {
    pub fn new(quiet: bool, aside: bool) -> Self {
        let live =
            if aside { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
        Self { lines: Vec::new(), live, quiet, aside }
    }

    fn write(&self, text: &str) {
        if self.aside { out::write_err(text.as_bytes()) } else { out::write(text.as_bytes()) }
    }

    /// Shows one message.
    ///
    /// # Errors
    /// The error the message tells of.
    pub fn message(&mut self, message: &Value) -> Result<(), String> {
        if let Some(error) =
            message["errorDetail"]["message"].as_str().or(message["error"].as_str())
        {
            return Err(error.to_owned());
        }
        if let Some(text) = message["stream"].as_str() {
            if !self.quiet {
                self.write(text);
            }
            return Ok(());
        }
        let Some(status) = message["status"].as_str().filter(|_| !self.quiet) else {
            return Ok(());
        };
        let id = message["id"].as_str().unwrap_or_default();
        match (id, self.live) {
            ("", _) => self.write(&format!("{status}\n")),
            (id, true) => self.rewrite(id, &format!("{id}: {status} {}", bar(message))),
            // Without a terminal the steps are told, not every byte.
            (_, false) if message["progressDetail"]["total"].as_u64().is_some() => {}
            (id, false) => self.write(&format!("{id}: {status}\n")),
        }
        Ok(())
    }

    fn rewrite(&mut self, id: &str, text: &str) {
        let known = self.lines.iter().position(|known| known == id);
        let at = known.unwrap_or(self.lines.len());
        if known.is_none() {
            self.lines.push(id.to_owned());
            self.write("\n");
        }
        let up = self.lines.len() - at;
        self.write(&format!("\x1b[{up}A\r\x1b[2K{text}\x1b[{up}B\r"));
    }
}

/// `[=====>     ]  1.2MB/4MB`
fn bar(message: &Value) -> String {
    let detail = &message["progressDetail"];
    let number = |key: &str| detail[key].as_f64();
    let (Some(done), total) = (number("current"), number("total")) else {
        return message["progress"].as_str().unwrap_or_default().to_owned();
    };
    let Some(total) = total.filter(|total| *total > 0.0) else { return out::size(done, 4) };
    const WIDTH: usize = 50;
    let filled = ((done / total).clamp(0.0, 1.0) * WIDTH as f64) as usize;
    let head = if filled < WIDTH { ">" } else { "" };
    let filled_width = filled.min(WIDTH);
    let bar = format!("{}{head}", "=".repeat(filled_width));
    format!("[{bar:WIDTH$}]  {}/{}", out::size(done, 4), out::size(total, 4))
}
