//! Every operation this face offers; moby `daemon/server/router`.

use http::Method;

use crate::handlers::{
    archive, build, containers, create, events, execs, images, lifecycle, logs, networks, raw,
    stats, swarm, system, transfer, volumes,
};
use crate::route::{Life, Route};
use crate::version::MIN;

macro_rules! row {
    ($method:ident $path:literal $call:path, $life:ident) => {
        Route {
            method: Method::$method,
            path: $path,
            since: MIN,
            life: Life::$life,
            call: |c| Box::pin($call(c)),
        }
    };
}

/// In Docker's order; literal paths before those with placeholders.
pub static ROUTES: &[Route] = &[
    row!(HEAD "/_ping" system::ping_head, WithClient),
    row!(GET "/_ping" system::ping, WithClient),
    row!(GET "/version" system::version, WithClient),
    row!(GET "/info" system::info, WithClient),
    row!(GET "/events" events::events, WithClient),
    row!(GET "/system/df" system::disk_usage, WithClient),
    row!(POST "/auth" system::auth, WithClient),
    // containers
    row!(GET "/containers/json" containers::list, WithClient),
    row!(POST "/containers/create" create::create, Finish),
    row!(POST "/containers/prune" containers::prune, Finish),
    row!(GET "/containers/{id}/json" containers::inspect, WithClient),
    row!(GET "/containers/{id}/top" containers::top, WithClient),
    row!(GET "/containers/{id}/logs" logs::logs, WithClient),
    row!(GET "/containers/{id}/stats" stats::stats, WithClient),
    row!(GET "/containers/{id}/changes" containers::changes, WithClient),
    row!(GET "/containers/{id}/export" transfer::export, WithClient),
    row!(HEAD "/containers/{id}/archive" archive::head, WithClient),
    row!(GET "/containers/{id}/archive" archive::get, WithClient),
    row!(PUT "/containers/{id}/archive" archive::put, Finish),
    row!(POST "/containers/{id}/start" lifecycle::start, Finish),
    row!(POST "/containers/{id}/stop" lifecycle::stop, Finish),
    row!(POST "/containers/{id}/restart" lifecycle::restart, Finish),
    row!(POST "/containers/{id}/kill" lifecycle::kill, Finish),
    row!(POST "/containers/{id}/pause" lifecycle::pause, Finish),
    row!(POST "/containers/{id}/unpause" lifecycle::unpause, Finish),
    row!(POST "/containers/{id}/wait" lifecycle::wait, WithClient),
    row!(POST "/containers/{id}/resize" lifecycle::resize, Finish),
    row!(POST "/containers/{id}/attach" raw::attach, WithClient),
    row!(POST "/containers/{id}/rename" containers::rename, Finish),
    row!(POST "/containers/{id}/update" containers::update, Finish),
    row!(DELETE "/containers/{id}" containers::remove, Finish),
    // execs
    row!(POST "/containers/{id}/exec" execs::create, Finish),
    row!(POST "/exec/{id}/start" execs::start, Finish),
    row!(POST "/exec/{id}/resize" execs::resize, Finish),
    row!(GET "/exec/{id}/json" execs::inspect, WithClient),
    // images
    row!(GET "/images/json" images::list, WithClient),
    row!(GET "/images/search" images::search, WithClient),
    row!(GET "/images/get" transfer::save, WithClient),
    row!(POST "/images/create" transfer::create, WithClient),
    row!(POST "/images/load" transfer::load, Finish),
    row!(POST "/images/prune" images::prune, Finish),
    row!(GET "/images/{name..}/get" transfer::save, WithClient),
    row!(GET "/images/{name..}/json" images::inspect, WithClient),
    row!(GET "/images/{name..}/history" images::history, WithClient),
    row!(POST "/images/{name..}/push" transfer::push, WithClient),
    row!(POST "/images/{name..}/tag" images::tag, Finish),
    row!(DELETE "/images/{name..}" images::remove, Finish),
    row!(POST "/commit" images::commit, Finish),
    // builds
    row!(POST "/build" build::build, WithClient),
    row!(POST "/build/prune" build::prune, Finish),
    row!(POST "/session" build::session, WithClient),
    row!(POST "/grpc" build::grpc, WithClient),
    // networks
    row!(GET "/networks" networks::list, WithClient),
    row!(POST "/networks/create" networks::create, Finish),
    row!(POST "/networks/prune" networks::prune, Finish),
    row!(GET "/networks/{id}" networks::inspect, WithClient),
    row!(DELETE "/networks/{id}" networks::remove, Finish),
    row!(POST "/networks/{id}/connect" networks::connect, Finish),
    row!(POST "/networks/{id}/disconnect" networks::disconnect, Finish),
    // volumes
    row!(GET "/volumes" volumes::list, WithClient),
    row!(POST "/volumes/create" volumes::create, Finish),
    row!(POST "/volumes/prune" volumes::prune, Finish),
    row!(GET "/volumes/{name}" volumes::inspect, WithClient),
    row!(DELETE "/volumes/{name}" volumes::remove, Finish),
    // plugins
    row!(GET "/plugins" swarm::plugins, WithClient),
    row!(GET "/plugins/privileges" swarm::no_plugin_install, WithClient),
    row!(POST "/plugins/pull" swarm::no_plugin_install, WithClient),
    row!(POST "/plugins/create" swarm::no_plugin_install, WithClient),
    row!(GET "/plugins/{name..}/json" swarm::no_plugin, WithClient),
    row!(POST "/plugins/{name..}/enable" swarm::no_plugin, WithClient),
    row!(POST "/plugins/{name..}/disable" swarm::no_plugin, WithClient),
    row!(POST "/plugins/{name..}/push" swarm::no_plugin, WithClient),
    row!(POST "/plugins/{name..}/upgrade" swarm::no_plugin, WithClient),
    row!(POST "/plugins/{name..}/set" swarm::no_plugin, WithClient),
    row!(DELETE "/plugins/{name..}" swarm::no_plugin, WithClient),
    // swarm
    row!(GET "/swarm" swarm::refused, WithClient),
    row!(POST "/swarm/init" swarm::unsupported, WithClient),
    row!(POST "/swarm/join" swarm::unsupported, WithClient),
    row!(POST "/swarm/leave" swarm::leave, WithClient),
    row!(POST "/swarm/update" swarm::refused, WithClient),
    row!(GET "/swarm/unlockkey" swarm::refused, WithClient),
    row!(POST "/swarm/unlock" swarm::refused, WithClient),
    row!(GET "/nodes" swarm::refused, WithClient),
    row!(GET "/nodes/{id}" swarm::refused, WithClient),
    row!(DELETE "/nodes/{id}" swarm::refused, WithClient),
    row!(POST "/nodes/{id}/update" swarm::refused, WithClient),
    row!(GET "/services" swarm::refused, WithClient),
    row!(POST "/services/create" swarm::refused, WithClient),
    row!(GET "/services/{id}" swarm::refused, WithClient),
    row!(DELETE "/services/{id}" swarm::refused, WithClient),
    row!(POST "/services/{id}/update" swarm::refused, WithClient),
    row!(GET "/services/{id}/logs" swarm::refused, WithClient),
    row!(GET "/tasks" swarm::refused, WithClient),
    row!(GET "/tasks/{id}" swarm::refused, WithClient),
    row!(GET "/tasks/{id}/logs" swarm::refused, WithClient),
    row!(GET "/secrets" swarm::refused, WithClient),
    row!(POST "/secrets/create" swarm::refused, WithClient),
    row!(GET "/secrets/{id}" swarm::refused, WithClient),
    row!(DELETE "/secrets/{id}" swarm::refused, WithClient),
    row!(POST "/secrets/{id}/update" swarm::refused, WithClient),
    row!(GET "/configs" swarm::refused, WithClient),
    row!(POST "/configs/create" swarm::refused, WithClient),
    row!(GET "/configs/{id}" swarm::refused, WithClient),
    row!(DELETE "/configs/{id}" swarm::refused, WithClient),
    row!(POST "/configs/{id}/update" swarm::refused, WithClient),
];
