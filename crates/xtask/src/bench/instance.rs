//! A boxship under test: started, awaited, stopped.

use super::process::{self, Memory};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A running boxship; stopped and awaited when dropped.
pub struct Instance {
    child: Child,
    /// From the start of the process to its ready line.
    pub ready: Duration,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
}

const PATIENCE: Duration = Duration::from_secs(60);

impl Instance {
    /// Starts `boxship <command> <args>` with its data below `dir` (which may hold some already) and waits for
    /// its ready line. Its errors go to `dir/stderr`.
    ///
    /// # Errors
    /// When it ends or says nothing within a minute.
    pub fn start(binary: &Path, command: &str, dir: &Path, args: &[&str]) -> Result<Self, String> {
        let what = format!("{} {command}", binary.display());
        let kubeconfig = dir.join("kubeconfig");
        let errors =
            std::fs::File::create(dir.join("stderr")).map_err(|e| format!("{what}: {e}"))?;
        let began = Instant::now();
        let mut process = Command::new(binary);
        process.arg(command).arg("--data-dir").arg(dir.join("data"));
        if command != "engine" {
            process.arg("--write-kubeconfig").arg(&kubeconfig);
        }
        let mut child = process
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|e| format!("{what}: {e}"))?;
        let stdout = child.stdout.take().expect("it is piped");
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            // To the end, so that it never blocks on a full pipe.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if line.starts_with("ready in") {
                    // Nobody listens after the patience ran out.
                    let _ = tell.send(Instant::now());
                }
            }
        });
        let mut instance = Self { child, ready: Duration::ZERO, kubeconfig };
        let ready = told.recv_timeout(PATIENCE).map_err(|_| {
            let said = std::fs::read_to_string(dir.join("stderr")).unwrap_or_default();
            format!("{what} is not ready: {}", said.trim())
        })?;
        instance.ready = ready.duration_since(began);
        Ok(instance)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// # Errors
    /// When it has ended.
    pub fn memory(&self) -> Result<Memory, String> {
        process::memory(self.pid())
    }

    /// Processor time over `span` in percent of a core, and context switches.
    ///
    /// # Errors
    /// When it has ended.
    pub fn idle(&self, span: Duration) -> Result<(f64, u64), String> {
        let before = (process::processor(self.pid())?, process::switches(self.pid())?);
        std::thread::sleep(span);
        let used = process::processor(self.pid())?.saturating_sub(before.0);
        let switches = process::switches(self.pid())?.saturating_sub(before.1);
        Ok((used.as_secs_f64() / span.as_secs_f64() * 100.0, switches))
    }

    /// SIGKILL, as after a power cut.
    pub fn kill(mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        let pid = self.pid().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        let until = Instant::now() + Duration::from_secs(15);
        while asked.is_ok() && Instant::now() < until {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // It did not go when asked.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
