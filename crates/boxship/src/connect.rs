//! The Kubernetes face's way into the node's pods.

use bytes::Bytes;
use http::{Response, StatusCode};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use kube_http::{Body, Connect, Connection, NoNode};
use meta::Problem;
use node::streams::LogQuery;
use node::{Meter, Streams};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Connects to the node once there is one; until then says that there is none.
#[derive(Clone, Default)]
pub struct ToNode(Arc<OnceLock<(Streams, Meter)>>);

impl ToNode {
    /// From now on connections go to these.
    pub fn attach(&self, streams: Streams, meter: Meter) {
        // A node is attached once in a process's life.
        let _ = self.0.set((streams, meter));
    }
}

impl Connect for ToNode {
    fn connect(
        &self,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        match self.0.get().cloned() {
            Some((streams, meter)) => Box::pin(serve(streams, meter, connection)),
            None => NoNode.connect(connection),
        }
    }

    fn measure(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match self.0.get() {
            Some((_, meter)) => {
                let meter = meter.clone();
                Box::pin(async move { meter.refresh().await })
            }
            None => Box::pin(std::future::ready(())),
        }
    }
}

async fn serve(streams: Streams, meter: Meter, connection: Connection) -> Response<Body> {
    let of_node = *connection.plan.resource.resource == *"nodes";
    let result = match connection.plan.subresource.as_str() {
        "proxy" if of_node => page(&streams, &meter, &connection).await,
        "log" => log(&streams, &connection),
        "proxy" => proxy(&streams, connection).await,
        _ => upgrade(&streams, connection),
    };
    result.unwrap_or_else(|problem| refusal(&problem))
}

fn refusal(problem: &Problem) -> Response<Body> {
    let status = problem.to_status();
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    let mut response = Response::new(Body::from(status.to_string()));
    let code = code.and_then(|code| StatusCode::from_u16(code).ok());
    *response.status_mut() = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

fn log(streams: &Streams, connection: &Connection) -> Result<Response<Body>, Problem> {
    let plan = &connection.plan;
    let query = LogQuery::parse(&plan.query, client::now())?;
    let pieces = streams.logs(&plan.object, query)?;
    let mut response = Response::new(Body::stream(Pieces(pieces)));
    let text = http::HeaderValue::from_static("text/plain");
    response.headers_mut().insert(http::header::CONTENT_TYPE, text);
    Ok(response)
}

/// A page of the kubelet itself.
async fn page(
    streams: &Streams,
    meter: &Meter,
    connection: &Connection,
) -> Result<Response<Body>, Problem> {
    let plan = &connection.plan;
    let page = streams.page(meter, &plan.path, &plan.query).await?;
    let mut response = Response::new(Body::from(page.body));
    let kind = http::HeaderValue::from_static(page.content_type);
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    Ok(response)
}

/// A log on its way.
struct Pieces(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn upgrade(streams: &Streams, connection: Connection) -> Result<Response<Body>, Problem> {
    let Connection { plan, request, .. } = connection;
    let wire = streams.upgrade(&plan.subresource, &plan.object, &plan.query, request.headers())?;
    let run = wire.run;
    tokio::spawn(async move {
        // A client that hangs up before the upgrade is none of our concern.
        if let Ok(io) = hyper::upgrade::on(request).await {
            run(Box::new(TokioIo::new(io))).await;
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let connection = http::HeaderValue::from_static("Upgrade");
    response.headers_mut().insert(http::header::CONNECTION, connection);
    response.headers_mut().extend(wire.headers);
    Ok(response)
}

async fn proxy(streams: &Streams, connection: Connection) -> Result<Response<Body>, Problem> {
    let Connection { plan, mut request, .. } = connection;
    let client = hyper::upgrade::on(&mut request);
    let mut answer = streams.proxy(&plan.object, &plan.name, &plan.path, request).await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let pod = hyper::upgrade::on(&mut answer);
        tokio::spawn(async move {
            let (Ok(client), Ok(pod)) = (client.await, pod.await) else { return };
            let (mut client, mut pod) = (TokioIo::new(client), TokioIo::new(pod));
            // Either side may go at any time.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut pod).await;
        });
    }
    Ok(answer.map(Body::stream))
}
