//! The server: a thread per connection, and an end that loses no request.
//!
//! On SIGTERM it stops being ready, goes on answering for a while (others learn late that it leaves) and asks each
//! client to connect anew; then it waits for what is under way and ends.

use crate::data::SPECIES;
use crate::http::{self, Reply, Request};
use crate::model::{self, Model};
use crate::{json, signal};
use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

struct Server {
    model: Model,
    /// The pod's name: the host name inside a container.
    pod: String,
    leaving: AtomicBool,
    /// Requests being answered.
    busy: AtomicUsize,
}

const IDLE: Duration = Duration::from_secs(60);
const MOST_UNDER_WAY: Duration = Duration::from_secs(5);

pub fn run(model: &str) -> Result<(), String> {
    let number = |name, default| match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name} is no number: {text:?}")),
        Err(_) => Ok(default),
    };
    let port = u16::try_from(number("PORT", 8080)?).map_err(|_| "PORT is no port")?;
    let drain = Duration::from_millis(number("DRAIN_MS", 1500)?);
    let server = Arc::new(Server {
        model: model::load(model)?,
        pod: std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().into(),
        leaving: AtomicBool::new(false),
        busy: AtomicUsize::new(0),
    });
    let end = signal::asked_to_end().map_err(|e| format!("listen for signals: {e}"))?;
    let listener = TcpListener::bind(("0.0.0.0", port)).map_err(|e| format!("port {port}: {e}"))?;
    println!("model {} on port {port}", server.model.name);
    let accepting = server.clone();
    std::thread::spawn(move || accept(&listener, &accepting));
    end().map_err(|e| format!("wait for signals: {e}"))?;
    server.leave(drain);
    Ok(())
}

fn accept(listener: &TcpListener, server: &Arc<Server>) {
    for stream in listener.incoming() {
        let server = server.clone();
        let serve = move || match stream.map(|stream| server.connection(stream)) {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(e)) if e.kind() == std::io::ErrorKind::InvalidData => eprintln!("request: {e}"),
            // A client that went away or stayed silent.
            Ok(Err(_)) => {}
        };
        if let Err(e) = std::thread::Builder::new().stack_size(128 << 10).spawn(serve) {
            eprintln!("no thread for a connection: {e}");
        }
    }
}

impl Server {
    fn leave(&self, drain: Duration) {
        println!("asked to end; answering for another {} ms", drain.as_millis());
        self.leaving.store(true, Ordering::SeqCst);
        std::thread::sleep(drain);
        let began = Instant::now();
        while self.busy.load(Ordering::SeqCst) > 0 && began.elapsed() < MOST_UNDER_WAY {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn connection(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(IDLE))?;
        stream.set_nodelay(true)?;
        let mut to = stream.try_clone()?;
        let mut from = BufReader::new(stream);
        while let Some(request) = http::read(&mut from)? {
            self.busy.fetch_add(1, Ordering::SeqCst);
            let reply = self.answer(&request);
            let keep = request.keep && !self.leaving.load(Ordering::SeqCst);
            let written = http::write(&mut to, &reply, keep);
            self.busy.fetch_sub(1, Ordering::SeqCst);
            written?;
            if !keep {
                return Ok(());
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> Reply {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let ok = |body: String| Reply { status: 200, body };
        let name = &self.model.name;
        match (request.method.as_str(), path) {
            ("POST", "/predict") => self.predict(&request.body),
            ("GET", "/model") => ok(format!("{{\"model\":\"{name}\",\"pod\":\"{}\"}}\n", self.pod)),
            ("GET", "/healthz") => ok("\"ok\"\n".into()),
            ("GET", "/readyz") if self.leaving.load(Ordering::SeqCst) => {
                Reply { status: 503, body: "\"leaving\"\n".into() }
            }
            ("GET", "/readyz") => ok("\"ready\"\n".into()),
            ("GET", "/burn") => ok(format!("{{\"predictions\":{}}}\n", self.burn(query))),
            _ => Reply { status: 404, body: "\"no such page\"\n".into() },
        }
    }

    fn predict(&self, body: &[u8]) -> Reply {
        let rows = std::str::from_utf8(body).map_err(|e| e.to_string()).and_then(json::rows);
        let rows = match rows {
            Ok(rows) => rows,
            Err(why) => return Reply { status: 400, body: format!("{{\"error\":{why:?}}}\n") },
        };
        let predictions: Vec<String> = rows
            .iter()
            .map(|row| self.model.predict(row))
            .map(|(s, p)| format!("{{\"species\":\"{}\",\"probability\":{p:.4}}}", SPECIES[s]))
            .collect();
        let (model, pod) = (&self.model.name, &self.pod);
        let list = predictions.join(",");
        let body =
            format!("{{\"model\":\"{model}\",\"pod\":\"{pod}\",\"predictions\":[{list}]}}\n");
        Reply { status: 200, body }
    }

    /// Predicts without pause for `ms` milliseconds (50 when unsaid, at most 1 000): load for an autoscaler.
    fn burn(&self, query: &str) -> u64 {
        let ms = query.strip_prefix("ms=").and_then(|ms| ms.parse().ok()).unwrap_or(50).min(1000);
        let (began, mut count) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_millis(ms) {
            for tenth in 0..100 {
                let row = [5.8, 3.0, f64::from(tenth) / 10.0, 1.2];
                std::hint::black_box(self.model.predict(&row));
            }
            count += 100;
        }
        count
    }
}
