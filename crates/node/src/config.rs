//! What a node is told when it starts.

use std::path::PathBuf;

#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// `metadata.name` of its Node.
    pub name: String,
    /// Pods' directories live below.
    pub data_dir: PathBuf,
    /// The node's own address, as pods and clients reach it.
    pub address: String,
    /// Addresses of its pods, `10.244.0.0/24`.
    pub pod_cidr: String,
    /// Addresses of Services, `10.96.0.0/12`; the first one is the API server's.
    pub service_cidr: String,
    /// Addresses of Services of type LoadBalancer, `10.112.0.0/24`.
    pub balancer_pool: String,
    /// The instance's name: marks what it creates in the kernel.
    pub instance: String,
    /// Where the API server answers on the pods' gateway.
    pub api_port: u16,
    pub cluster_domain: String,
    /// Where cluster DNS answers.
    pub cluster_dns: String,
    /// The engine network that pods join; made when it is missing.
    pub network: String,
    pub max_pods: u32,
    /// Where the kubelet's own endpoints answer; 0 when they are reached in-process only.
    pub kubelet_port: u16,
}

impl NodeConfig {
    /// Directories and logs of one pod.
    pub fn pod_dir(&self, uid: &str) -> PathBuf {
        self.data_dir.join("pods").join(uid)
    }

    /// The log file of one attempt of a container.
    pub fn log_path(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.pod_dir(uid).join("logs").join(container).join(format!("{attempt}.log"))
    }

    /// The termination message of one attempt of a container.
    pub fn termination_path(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.pod_dir(uid).join("messages").join(container).join(attempt.to_string())
    }

    /// One volume of a pod.
    pub fn volume_dir(&self, uid: &str, volume: &str) -> PathBuf {
        self.pod_dir(uid).join("volumes").join(volume)
    }

    /// Where a volume is noted as complete.
    pub fn volumes_ready(&self, uid: &str) -> PathBuf {
        self.pod_dir(uid).join("volumes.ready")
    }
}
