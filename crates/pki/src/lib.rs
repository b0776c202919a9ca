//! Certificates and keys of one cluster, kept under `<data-dir>/pki`, and kubeconfig files.
//!
//! Everything is made on first start and renewed by itself long before it expires, without a restart: the
//! TLS configuration asks for the current certificate at every handshake. It authorises nobody; who a
//! client certificate names is for crate `auth` to say.

mod ca;
mod clients;
mod files;
mod kubeconfig;
mod serving;
mod signing;
mod store;

pub use ca::{Issued, Purpose, Subject};
pub use clients::ClientCertificates;
pub use files::PkiError;
pub use kubeconfig::{Context, remove_context, write_kubeconfig};
pub use signing::{SigningKey, rotate_signing_key};
pub use store::{Kubeconfig, Names, Pki};
