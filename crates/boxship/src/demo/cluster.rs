//! The demo's own instance, as a child process, and the ways to ask it.

use crate::failure::Failure;
use http::Method;
use remote::{Docker, DockerConfig, Kube};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where the instance lives.
pub struct Place {
    pub name: String,
    pub dir: PathBuf,
}

/// A running instance.
pub struct Cluster {
    pub place: Place,
    pub kube: Kube,
    pub docker: Docker,
    daemon: Child,
}

impl Place {
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn docker_host(&self) -> String {
        format!("unix://{}", self.file("docker.sock").display())
    }
}

impl Cluster {
    /// Starts it. Gives what is to be said of the start as well.
    pub async fn start(place: Place) -> Result<(Self, String), Failure> {
        let what = || format!("start the demo's cluster in `{}`", place.dir.display());
        std::fs::create_dir_all(&place.dir)
            .map_err(|e| Failure::new(what(), e).hint("the demo needs root"))?;
        let log = File::create(place.file("log")).map_err(|e| Failure::new(what(), e))?;
        let mut daemon = up(&place, log).map_err(|e| Failure::new(what(), e))?;
        let stdout = daemon.stdout.take().ok_or_else(|| Failure::new(what(), "no output"))?;
        let first = blocking(move || BufReader::new(stdout).lines().next()).await?;
        let Some(ready) = first.and_then(Result::ok).filter(|line| line.starts_with("ready in "))
        else {
            let log = std::fs::read_to_string(place.file("log")).unwrap_or_default();
            return Err(Failure::new(what(), log.trim()).hint(LEFT_OVER));
        };
        let failed = |e: remote::Error| Failure::new(what(), e);
        let kube = Kube::from_file(&place.file("kubeconfig")).map_err(failed)?;
        let docker = DockerConfig { host: place.docker_host(), ..DockerConfig::from_env() };
        let docker = Docker::new(&docker).map_err(failed)?;
        let cluster = Self { place, kube, docker, daemon };
        let version = cluster.get("/version").await?;
        let version = version["gitVersion"].as_str().unwrap_or_default();
        let said = format!("Kubernetes {version} and Docker engine {ready}");
        Ok((cluster, said))
    }

    /// How to go on with it. It lives on after this process.
    pub fn keep(self) -> String {
        let Place { name, dir } = &self.place;
        let dir = dir.display();
        format!(
            "the cluster goes on:\n  export KUBECONFIG={dir}/kubeconfig DOCKER_HOST={}\n  kubectl get pods\n\
             to end it:\n  kill {} && boxship reset --name {name} --data-dir {dir}/data",
            self.place.docker_host(),
            self.daemon.id(),
        )
    }

    /// Stops it and removes everything of it.
    pub async fn end(self) -> Result<(), Failure> {
        let what = || format!("end the demo's cluster in `{}`", self.place.dir.display());
        if let Ok(pid) = i32::try_from(self.daemon.id()) {
            let term = nix::sys::signal::Signal::SIGTERM;
            // One that is gone already has nothing to be told.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), term);
        }
        let program = std::env::current_exe().map_err(|e| Failure::new(what(), e))?;
        let mut reset = Command::new(program);
        reset.args(["reset", "--name", &self.place.name, "--data-dir"]).arg(self.place.data());
        let mut daemon = self.daemon;
        let reset = blocking(move || daemon.wait().and_then(|_| reset.output())).await?;
        let reset = reset.map_err(|e| Failure::new(what(), e))?;
        if !reset.status.success() {
            return Err(Failure::new(what(), String::from_utf8_lossy(&reset.stderr)));
        }
        std::fs::remove_dir_all(&self.place.dir).map_err(|e| Failure::new(what(), e))
    }

    /// A note on what the daemon and its keeper hold in memory.
    pub fn used(&self) -> String {
        let own = resident(self.daemon.id()).unwrap_or_default();
        format!("; the daemon (control plane, engine, node) holds {} MB", own >> 10)
    }

    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.kube.get(path).await.map_err(|e| Failure::new(format!("GET {path}"), e))
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let done = self.kube.patch(path, "application/merge-patch+json", body).await;
        done.map_err(|e| Failure::new(format!("PATCH {path}"), e))
    }

    pub async fn delete(&self, path: &str) -> Result<(), Failure> {
        let done = self.kube.delete(path, None).await;
        done.map(drop).map_err(|e| Failure::new(format!("DELETE {path}"), e))
    }

    /// The log of a pod.
    pub async fn log(&self, pod: &str) -> Result<String, Failure> {
        let path = format!("/api/v1/namespaces/default/pods/{pod}/log");
        let bytes = self.kube.text(&path).await;
        let bytes = bytes.map_err(|e| Failure::new(format!("GET {path}"), e))?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_string())
    }

    /// Applies a manifest of `examples/iris`, as `kubectl apply --server-side` does.
    pub async fn apply(&self, collection: &str, manifest: &str) -> Result<(), Failure> {
        let what = || format!("apply a manifest to {collection}");
        let value: Value = serde_saphyr::from_str(manifest).map_err(|e| Failure::new(what(), e))?;
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        let done = self.kube.apply(&format!("{collection}/{name}"), "demo", false, &value).await;
        done.map(drop).map_err(|e| Failure::new(what(), e))
    }

    /// Follows a collection until `found` finds in one of its objects what is wanted.
    ///
    /// `waited_for` names it in the failure when it does not come.
    pub async fn until<T>(
        &self,
        collection: &str,
        waited_for: &str,
        found: impl FnMut(&str, &Value) -> Option<T>,
    ) -> Result<T, Failure> {
        let follow = tokio::time::timeout(PATIENCE, self.follow(collection, found));
        let late = |_| {
            let why = format!("it did not come within {} s", PATIENCE.as_secs());
            Failure::new(format!("wait for {waited_for}"), why)
        };
        follow.await.map_err(late)?
    }

    async fn follow<T>(
        &self,
        collection: &str,
        mut found: impl FnMut(&str, &Value) -> Option<T>,
    ) -> Result<T, Failure> {
        let failed = |e| Failure::new(format!("watch {collection}"), e);
        let mark = if collection.contains('?') { '&' } else { '?' };
        let path = format!("{collection}{mark}watch=true");
        loop {
            let mut watch = self.kube.watch(&path, "application/json").await.map_err(failed)?;
            while let Some(event) = watch.next().await.map_err(failed)? {
                if let Some(found) = found(&event.kind, &event.object) {
                    return Ok(found);
                }
            }
        }
    }

    /// Asks the Docker API.
    pub async fn docker(&self, method: Method, path: &str) -> Result<Value, Failure> {
        let done = self.docker.json(method, path, None).await;
        done.map_err(|e| Failure::new(format!("Docker API {path}"), e))
    }
}

/// Does what blocks on a thread of its own.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Failure::new("wait for a thread", e))
}

/// Longer than a healthy cluster needs for anything here; a CronJob may take a minute to begin.
const PATIENCE: Duration = Duration::from_secs(180);
const LEFT_OVER: &str = "what an earlier demo left is removed by \
                         `boxship reset --name demo --data-dir /var/lib/boxship-demo/data`";

/// In a process group of its own, so that Ctrl-C reaches the demo alone, which then cleans up.
fn up(place: &Place, log: File) -> std::io::Result<Child> {
    let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    Command::new(std::env::current_exe()?)
        .args(["up", "--name", &place.name, "--listen", &free.to_string()])
        .arg("--data-dir")
        .arg(place.data())
        .arg("--write-kubeconfig")
        .arg(place.file("kubeconfig"))
        .args(["--docker-host", &place.docker_host()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .process_group(0)
        .spawn()
}

/// Resident memory of a process, in kB.
fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
