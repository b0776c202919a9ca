//! The Kubernetes and Docker APIs as a program outside the server sees them.
//!
//! [`Kubeconfig`] says where a cluster is, [`Kube`] asks it, [`Watch`] follows it, [`Channels`] runs commands in its
//! pods. [`Docker`] does the same for an engine's socket. Both sit on [`Http`]: HTTP/1.1 over TLS, TCP or a unix socket.
//!
//! It does not know any kind, prints nothing, starts no helper programs (`exec` credentials are refused) and uses no
//! proxy.

mod body;
mod channels;
mod connect;
mod docker;
mod error;
mod http1;
mod kube;
mod kubeconfig;
mod mux;
mod tls;
mod watch;
mod websocket;

pub use body::{Body, empty, full, read, stream};
pub use channels::{Channels, Input, Output, Told};
pub use docker::{Docker, DockerConfig, docker_host};
pub use error::Error;
pub use http1::{Http, Raw};
pub use kube::{Kube, escape};
pub use kubeconfig::{Kubeconfig, Target};
pub use mux::{Frame, Frames};
pub use watch::{Event, Lines, Watch};
pub use websocket::{Message, Receiver, Sender, WebSocket};
