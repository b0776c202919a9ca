//! Pod sandboxes, on an engine opened inside the test.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::pod::{
    NamespaceMode, PodContainerPhase, PodContainerSpec, PodFilter, PodResources, SandboxNetwork,
    SandboxSpec,
};
use engine::{Engine, EngineConfig, WaitCondition};
use image::{ImageStore, RegistriesConfig};

use crate::bench::Bench;

fn sandbox(name: &str) -> SandboxSpec {
    SandboxSpec {
        name: name.to_owned(),
        labels: BTreeMap::from([("app".to_owned(), name.to_owned())]),
        annotations: BTreeMap::new(),
        hostname: name.to_owned(),
        dns: None,
        hosts: None,
        network: SandboxNetwork::Bridge("bridge".to_owned()),
        pid: NamespaceMode::Container,
        ipc: NamespaceMode::Pod,
        ports: Vec::new(),
        sysctls: BTreeMap::new(),
        cgroup_parent: String::new(),
        resources: PodResources::default(),
        shm_size: 0,
    }
}

fn container(name: &str, script: &str) -> PodContainerSpec {
    PodContainerSpec {
        name: name.to_owned(),
        image: "busybox".to_owned(),
        command: Some(vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()]),
        ..PodContainerSpec::default()
    }
}

#[test]
fn sandboxes_and_their_containers() {
    let Some(mut b) = Bench::start("pod") else { return };
    b.kill_daemon();
    let tokio = tokio::runtime::Runtime::new().unwrap();
    tokio.block_on(async {
        let keeper = runtime::Keeper::connect(&b.path("data/keeper")).unwrap();
        let images = ImageStore::open(&b.path("data/images"), RegistriesConfig::default()).unwrap();
        let config = EngineConfig { name: b.instance().name().into(), data_dir: b.path("data") };
        let engine = Engine::open(config, Arc::new(keeper), images).await.unwrap();
        pod_life(&engine, &b).await;
    });
}

async fn pod_life(engine: &Arc<Engine>, b: &Bench) {
    let pod = engine.run_sandbox(sandbox("web")).await.unwrap();
    assert_eq!(pod.ips.len(), 1);
    assert!(engine.run_sandbox(sandbox("web")).await.is_err());
    let log = b.path("main.log");
    let mut spec =
        container("main", "echo from main; hostname; echo shared > /dev/shm/x; sleep 1000");
    spec.log_path = Some(log.clone());
    let main = engine.create_in_sandbox(&pod.id, spec).await.unwrap();
    let once = container("once", "exit 3");
    let once = engine.create_in_sandbox(&pod.id, once).await.unwrap();
    let ended = engine.wait(&once, WaitCondition::NextExit).unwrap();
    engine.start_in_sandbox(&main).await.unwrap();
    engine.start_in_sandbox(&once).await.unwrap();
    assert_eq!(ended.await.0, 3);
    let seen = engine.pod_container(&once).unwrap();
    assert_eq!((seen.phase, seen.exit_code), (PodContainerPhase::Exited, 3));
    let words = ["sh", "-c", "ip -4 addr show eth0 | grep -c inet; hostname"];
    let said = engine.exec_sync(&main, words.map(str::to_owned).to_vec(), 10).await.unwrap();
    assert_eq!((said.exit_code, said.stdout.as_slice()), (0, b"1\nweb\n".as_slice()));
    let slow = ["sleep", "1000"].map(str::to_owned).to_vec();
    assert!(engine.exec_sync(&main, slow, 1).await.unwrap().timed_out);
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.lines().next().unwrap().ends_with(" stdout F from main"), "{text}");
    assert_eq!(engine.list_pod_containers(&PodFilter::default()).len(), 2);
    assert!(
        engine
            .list(engine::ListOptions { all: true, ..Default::default() })
            .await
            .unwrap()
            .is_empty()
    );
    assert!(engine.pod_usage(&main).await.unwrap().memory_bytes > 0);
    engine.stop_in_sandbox(&main, 0).await.unwrap();
    engine.remove_in_sandbox(&main).await.unwrap();
    engine.remove_in_sandbox(&main).await.unwrap();
    engine.stop_sandbox(&pod.id).await.unwrap();
    assert!(!engine.sandbox(&pod.id).unwrap().ready);
    engine.remove_sandbox(&pod.id).await.unwrap();
    assert!(engine.list_sandboxes(&PodFilter::default()).is_empty());
    assert!(engine.list_pod_containers(&PodFilter::default()).is_empty());
}
