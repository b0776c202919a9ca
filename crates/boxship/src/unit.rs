//! The systemd unit, and telling systemd that the start is over.

use crate::server::data_dir;
use clap::{Arg, ArgAction, ArgMatches};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

pub fn arg() -> Arg {
    Arg::new("print-unit")
        .long("print-unit")
        .action(ArgAction::SetTrue)
        .help("Print a systemd unit that starts this instance, and do nothing else")
}

/// A unit for the given command line. Containers belong to the keeper and outlive the daemon: systemd must neither
/// kill them with it nor move them to other cgroups.
pub fn text(args: &ArgMatches) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| "boxship".into());
    let given: Vec<String> = std::env::args().skip(1).filter(|a| a != "--print-unit").collect();
    format!(
        "[Unit]\n\
         Description=Boxship: Docker and Kubernetes ({dir})\n\
         Wants=network-online.target\n\
         After=network-online.target\n\n\
         [Service]\n\
         Type=notify\n\
         ExecStart={program} {given}\n\
         Restart=always\n\
         RestartSec=1\n\
         KillMode=process\n\
         Delegate=yes\n\
         LimitNOFILE=1048576\n\
         TasksMax=infinity\n\
         OOMScoreAdjust=-500\n\n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        dir = data_dir(args).display(),
        program = program.display(),
        given = given.join(" "),
    )
}

/// sd_notify(3): one datagram to the socket that systemd names. Without systemd there is nobody to tell.
pub fn ready() {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let name = name.to_string_lossy();
    let address = match name.strip_prefix('@') {
        Some(hidden) => SocketAddr::from_abstract_name(hidden.as_bytes()),
        None => SocketAddr::from_pathname(&*name),
    };
    let sent = address.and_then(|to| UnixDatagram::unbound()?.send_to_addr(b"READY=1\n", &to));
    if let Err(error) = sent {
        tracing::warn!(%error, socket = %name, "systemd was not told that the start is over");
    }
}
