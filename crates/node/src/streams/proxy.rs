//! Requests proxied to pods and services (pkg/registry/core/pod/strategy.go `ResourceLocation`,
//! pkg/registry/core/service/storage/storage.go `ResourceLocation`).

use super::{Duplex, Streams};
use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use hyper::body::{Body, Incoming};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use meta::{Problem, Reason};
use store::Object;
use tokio::net::TcpStream;
use typed::Read;

/// `scheme:name:port` as it stands in the path.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    scheme: &'a str,
    name: &'a str,
    port: &'a str,
}

fn target(name: &str) -> Result<Target<'_>, Problem> {
    let parts: Vec<&str> = name.split(':').collect();
    match parts.as_slice() {
        [name] => Ok(Target { scheme: "", name, port: "" }),
        [name, port] => Ok(Target { scheme: "", name, port }),
        [scheme @ ("" | "http" | "https"), name, port] => Ok(Target { scheme, name, port }),
        _ => Err(Problem::bad_request(format!("invalid proxy request {name:?}"))),
    }
}

impl Streams {
    /// Sends `request` on to the pod or service named in the path and gives its answer. Connections that the
    /// answer upgrades (101) are the caller's to join.
    ///
    /// # Errors
    /// 400 for a name nobody understands, 503 when there is no endpoint or it does not answer.
    pub async fn proxy<B>(
        &self,
        object: &Object,
        name: &str,
        path: &str,
        request: Request<B>,
    ) -> Result<Response<Incoming>, Problem>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let target = target(name)?;
        let address = match object.key.resource.as_str() {
            "pods" => pod_address(&typed::parse::<Pod>(object), target.port)?,
            "services" => self.service_address(&typed::parse::<Service>(object), target.port)?,
            other => {
                let message = format!("proxying to {other} is not supported by this node yet");
                return Err(Problem::new(Reason::ServiceUnavailable, message));
            }
        };
        send(&address, target.scheme == "https", path, request).await.map_err(|e| {
            let message = format!("error trying to reach service: {e}");
            Problem::new(Reason::ServiceUnavailable, message)
        })
    }

    fn service_address(&self, service: &Service, port: &str) -> Result<String, Problem> {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
        let none = |what: String| Problem::new(Reason::ServiceUnavailable, what);
        let ports = service.spec.iter().flat_map(|s| s.ports.iter().flatten());
        let wanted = match port {
            "" => ports.clone().next(),
            _ => ports
                .clone()
                .find(|p| p.name.as_deref() == Some(port) || port.parse() == Ok(p.port)),
        };
        let wanted = wanted
            .ok_or_else(|| none(format!("no service port {port:?} found for service {name:?}")))?;
        let view = self.hands.client.view();
        let of_service = |slice: &EndpointSlice| {
            let label =
                slice.metadata.labels.as_ref().and_then(|l| l.get("kubernetes.io/service-name"));
            label.is_some_and(|label| label == name)
        };
        for slice in view.read_all::<EndpointSlice>(Some(namespace)).filter(|s| of_service(s)) {
            let named = |p: &&k8s_openapi::api::discovery::v1::EndpointPort| {
                p.name.as_deref().unwrap_or_default() == wanted.name.as_deref().unwrap_or_default()
            };
            let port = slice.ports.iter().flatten().find(named).and_then(|p| p.port);
            let ready = slice
                .endpoints
                .iter()
                .find(|e| e.conditions.as_ref().and_then(|c| c.ready) != Some(false));
            if let (Some(port), Some(address)) = (port, ready.and_then(|e| e.addresses.first())) {
                return Ok(join(address, port));
            }
        }
        Err(none(format!("no endpoints available for service {name:?}")))
    }
}

fn pod_address(pod: &Pod, port: &str) -> Result<String, Problem> {
    let containers = pod.spec.iter().flat_map(|s| &s.containers);
    let ports = containers.flat_map(|c| c.ports.iter().flatten());
    let number = match port {
        "" => ports.clone().map(|p| p.container_port).next().unwrap_or(80),
        _ => {
            let named = ports.clone().find(|p| p.name.as_deref() == Some(port));
            let number = named.map(|p| p.container_port).or_else(|| port.parse().ok());
            number.ok_or_else(|| Problem::bad_request(format!("invalid port {port:?}")))?
        }
    };
    let ip = pod.status.as_ref().and_then(|s| s.pod_ip.clone());
    let ip = ip.ok_or_else(|| Problem::bad_request("address not allowed"))?;
    Ok(join(&ip, number))
}

fn join(ip: &str, port: i32) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Over TLS when `secure`: the certificate is not verified, as upstream does not.
async fn send<B>(
    address: &str,
    secure: bool,
    path: &str,
    mut request: Request<B>,
) -> Result<Response<Incoming>, Failed>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let path = if path.is_empty() { "/" } else { path };
    let query = request.uri().query().map(|q| format!("?{q}")).unwrap_or_default();
    *request.uri_mut() = Uri::from(format!("{path}{query}").parse::<PathAndQuery>()?);
    *request.version_mut() = http::Version::HTTP_11;
    let upgrades = request.headers().contains_key(http::header::UPGRADE);
    let headers = request.headers_mut();
    if !upgrades {
        headers.remove(CONNECTION);
    }
    // The caller's credentials are none of the pod's.
    headers.remove(http::header::AUTHORIZATION);
    headers.remove(HeaderName::from_static("keep-alive"));
    headers.insert(HOST, HeaderValue::from_str(address)?);
    let stream =
        TcpStream::connect(address).await.map_err(|e| format!("dial tcp {address}: {e}"))?;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let stream: Box<dyn Duplex> = match secure {
        true => Box::new(crate::tls::anyone(host, stream).await?),
        false => Box::new(stream),
    };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    Ok(sender.send_request(request).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths() {
        assert_eq!(target("web").unwrap(), Target { scheme: "", name: "web", port: "" });
        assert_eq!(
            target("https:web:x").unwrap(),
            Target { scheme: "https", name: "web", port: "x" }
        );
        assert!(target("ftp:web:x").is_err());
        assert!(target("a:b:c:d").is_err());
    }
}
