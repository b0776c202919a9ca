//! `POST /build` in front of the builder: the request's words in, JSON lines out.
//!
//! Beyond what moby's classic endpoint takes, `boxship build` says more; any client may:
//!
//! * `boxship=1`: a folder `.boxship/` at the root of the posted tar is not part of the context:
//!   `secrets/<id>` are secrets, `contexts/<name>/` are named contexts, `cache/<name>` are
//!   archives of `--cache-from type=local`. With `remote` the tar holds nothing else.
//! * `buildcontexts={"name":"docker-image://..." | "https://..." | git address}`.
//! * `ssh={"id":"/path/of/an/agent.sock"}`, on the daemon's machine.
//! * `cachefrom=["image", {"Type":"registry","Attrs":{"ref":..}} | {"Type":"local","Attrs":
//!   {"src":<name in cache/>}}]`, `cacheto=[{"Type":"inline" | "registry" | "local"}]`.
//! * `outputs=[{"Type":"image" | "registry" | "local" | "tar" | "oci" | "docker","Attrs":{}}]`.
//! * `nocachefilter=stage`, repeatable. `check=1`: the build checks alone.
//! * `progress=plain | rawjson`; the lines of rawjson come as `{"aux":{"boxship.status":..}}`.
//! * `debugshell=1`: a failed RUN leaves its tree as an image, told by
//!   `{"aux":{"boxship.failed":{"image":..}}}`; the client starts it and removes it.
//!
//! Files for the caller come as `{"aux":{"boxship.output":{"n":0,"data":"<base64>"}}}` and end with
//! `"end":true`; `local` is a tar too. Number n is the output's place, then those of `cacheto`.

mod output;
mod prune;
mod request;
mod serve;
mod words;

use std::sync::Arc;

use build::Builder;
use docker_http::{BuildCall, BuildFuture, Gate, Query, RawRead, RawWrite, Refusal};
use serde_json::Value;

/// Serves the Docker API's builds.
pub struct DockerBuilder(pub Arc<Builder>);

impl docker_http::Builder for DockerBuilder {
    fn build(&self, call: BuildCall) -> BuildFuture<Result<(), Refusal>> {
        let builder = self.0.clone();
        Box::pin(async move {
            let order = request::read(&call.query, &call.headers)?;
            // The answer begins at once; a client that leaves drops the build with everything.
            tokio::spawn(async move {
                let answer = call.answer.clone();
                tokio::select! {
                    () = serve::serve(builder, order, call.context, call.answer) => {}
                    () = answer.closed() => {}
                }
            });
            Ok(())
        })
    }

    fn prune(&self, query: Query) -> BuildFuture<Result<Value, Refusal>> {
        Box::pin(prune::prune(self.0.clone(), query))
    }

    fn cache(&self) -> BuildFuture<Vec<Value>> {
        let builder = self.0.clone();
        Box::pin(async move {
            let rows = tokio::task::spawn_blocking(move || builder.cache_rows()).await;
            rows.unwrap_or_default().iter().map(prune::row).collect()
        })
    }

    fn gate(
        &self,
        _gate: Gate,
        _headers: http::HeaderMap,
        _io: (RawRead, RawWrite),
    ) -> BuildFuture<()> {
        // Closing tells buildx that BuildKit's own protocol is not spoken here yet.
        Box::pin(async {})
    }
}
