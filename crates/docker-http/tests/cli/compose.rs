//! Journeys of real compose clients: `docker-compose` on PATH, and those that `BOXSHIP_COMPOSE`
//! names (a list separated by `:`), for example 1.29, 2.26 and 5.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{Bench, Said, said};

const PROJECT: &str = r#"
services:
  db:
    image: busybox
    command: sh -c "sleep 0.3; exec httpd -f -p 6000 -h /data"
    healthcheck:
      test: ["CMD", "wget", "-qO", "/dev/null", "http://127.0.0.1:6000/seed"]
      interval: 200ms
      retries: 20
    volumes:
      - store:/store
    networks:
      back:
        aliases: [database]
  web:
    image: busybox
    command: sh -c "wget -qO /tmp/seed http://database:6000/seed && cat /tmp/seed && exec httpd -f -p 8080 -h /data"
    environment:
      COLOUR: ${COLOUR:-green}
    depends_on:
      db:
        condition: service_healthy
    networks: [front, back]
    secrets: [token]
    stop_grace_period: 0s
  tool:
    image: busybox
    command: echo from the tool
    profiles: [tools]
networks:
  front: {}
  back:
    internal: true
volumes:
  store: {}
secrets:
  token:
    file: ./token.txt
"#;

/// Only newer clients know these.
const CONFIG: &str = r#"
configs:
  motd:
    content: "welcome ${COLOUR:-home}"
services:
  web:
    configs:
      - source: motd
        target: /etc/motd
"#;

fn clients() -> Vec<PathBuf> {
    let named = std::env::var_os("BOXSHIP_COMPOSE").unwrap_or_default();
    let mut all: Vec<PathBuf> = std::env::split_paths(&named).collect();
    let found = Command::new("docker-compose").arg("version").output();
    if found.is_ok_and(|o| o.status.success()) {
        all.push("docker-compose".into());
    }
    all.retain(|path| !path.as_os_str().is_empty());
    all
}

struct Project<'a> {
    b: &'a Bench,
    client: &'a Path,
    dir: PathBuf,
    files: Vec<&'static str>,
}

impl Project<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.client);
        command.current_dir(&self.dir).env("DOCKER_HOST", self.b.host());
        command.env("DOCKER_CONFIG", self.b.path("")).env("COMPOSE_PROJECT_NAME", "journey");
        for file in &self.files {
            command.args(["-f", file]);
        }
        command.args(words).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Said {
        said(self.command(words).output().unwrap())
    }

    fn ok(&self, words: &[&str]) -> String {
        let said = self.run(words);
        let (out, err) = (&said.out, &said.err);
        assert_eq!(
            said.code,
            0,
            "{} {words:?}: {out}{err}\n{}",
            self.client.display(),
            self.b.log()
        );
        format!("{out}{err}")
    }

    fn count(&self, filter: &str) -> usize {
        self.b.ok(&["ps", "-q", "--filter", filter]).lines().count()
    }
}

fn journey(b: &Bench, client: &Path) {
    let version = said(Command::new(client).args(["version", "--short"]).output().unwrap()).out;
    println!("compose {}", version.trim());
    let dir = b.path(&format!("project-{}", version.trim()));
    std::fs::create_dir(&dir).unwrap();
    let old = version.starts_with("1.");
    // The first generation wants a version where keys of the specification are used.
    let text =
        if old { format!("version: \"3.8\"\n{}", without_spec(PROJECT)) } else { PROJECT.into() };
    std::fs::write(dir.join("compose.yaml"), text).unwrap();
    std::fs::write(dir.join("config.yaml"), CONFIG).unwrap();
    std::fs::write(dir.join("token.txt"), "s3cret").unwrap();
    let files = if old { vec!["compose.yaml"] } else { vec!["compose.yaml", "config.yaml"] };
    let p = Project { b, client, dir, files };
    p.ok(&["up", "-d"]);
    assert_eq!(b.ok(&["ps", "-q"]).lines().count(), 2);
    settled(|| p.ok(&["logs", "web"]).contains("seed"));
    assert_eq!(p.ok(&["exec", "-T", "web", "cat", "/run/secrets/token"]).trim(), "s3cret");
    assert_eq!(p.ok(&["exec", "-T", "web", "sh", "-c", "echo $COLOUR"]).trim(), "green");
    if !old {
        assert_eq!(p.ok(&["exec", "-T", "web", "cat", "/etc/motd"]).trim(), "welcome home");
    }
    assert_eq!(p.run(&["exec", "-T", "web", "sh", "-c", "exit 9"]).code, 9);
    p.ok(&["up", "-d", "--scale", "web=3"]);
    assert_eq!(p.count("label=com.docker.compose.service=web"), 3);
    // Nothing changed: nothing is made anew.
    let before = b.ok(&["ps", "-q", "--no-trunc"]);
    p.ok(&["up", "-d", "--scale", "web=3"]);
    assert_eq!(b.ok(&["ps", "-q", "--no-trunc"]), before);
    assert!(p.ok(&["ps"]).contains("web"));
    assert!(p.ok(&["run", "--rm", "-T", "db", "echo", "once"]).contains("once"));
    if !old {
        assert!(
            p.ok(&["--profile", "tools", "run", "--rm", "-T", "tool"]).contains("from the tool")
        );
    }
    p.ok(&["restart", "-t", "0", "db"]);
    p.ok(&["stop", "-t", "0", "web"]);
    assert_eq!(p.count("label=com.docker.compose.service=web"), 0);
    p.ok(&["start", "web"]);
    assert_eq!(b.ok(&["volume", "ls", "-q"]), "journey_store");
    // The tool's network is only part of the project while its profile is.
    let profile: &[&str] = if old { &[] } else { &["--profile", "tools"] };
    p.ok(&[profile, &["down", "-v", "-t", "0"]].concat());
    assert_eq!(b.ok(&["ps", "-aq"]), "");
    assert_eq!(b.ok(&["volume", "ls", "-q"]), "");
    assert!(!b.ok(&["network", "ls"]).contains("journey"));
}

/// The same project in the words of version 3.8, which knows no conditions and no profiles.
fn without_spec(text: &str) -> String {
    let text = text.replace(
        "    depends_on:\n      db:\n        condition: service_healthy\n",
        "    depends_on: [db]\n    restart: on-failure\n",
    );
    text.replace("    profiles: [tools]\n", "    deploy:\n      replicas: 0\n")
}

fn settled(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "it does not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn compose_projects() {
    let clients = clients();
    if clients.is_empty() {
        println!("skipped compose_projects: no docker-compose on PATH or in BOXSHIP_COMPOSE");
        return;
    }
    let Some(b) = Bench::start("cps") else { return };
    clients.iter().for_each(|client| journey(&b, client));
}
