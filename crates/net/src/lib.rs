//! Networking hands of one machine: links and namespaces, the firewall, published ports, DNS.
//!
//! Everything goes to the kernel over netlink, nothing is shelled out. What shall be there is
//! decided elsewhere (the crate `netplan`, the engine, the node loop); this crate makes it so and
//! says what it found. It keeps no records: what an instance owns can be read off the kernel.

mod attach;
mod conntrack;
pub mod dns;
mod error;
mod instance;
mod link;
mod netlink;
mod netns;
mod nft;
mod ports;
mod rtnl;
pub mod sysctl;

pub use attach::{AttachSpec, Attached, Neighbours, set_default_routes};
pub use conntrack::{Flow, forget_udp, udp_flows};
pub use error::Error;
pub use instance::{Instance, Owned, OwnedKind};
pub use link::{BridgeSpec, LinkStats, Mac, add_subnet_route, host_subnets, loopback_up, stats};
pub use netns::Netns;
pub use nft::{Applied, Firewall, FirewallWatch, remove_tables};
pub use ports::{HostPorts, Reservation};
