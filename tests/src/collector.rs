//! A collector of traces that keeps what it is sent, by OTLP over HTTP and over gRPC on one port.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, ensure};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full, combinators::WithTrailers};
use hyper::{
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::ResourceSpans,
};
use prost::Message as _;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::task::AbortOnDropHandle;

use crate::{free_port, ports::loopback};

/// Where the method that takes traces is called (gRPC over HTTP/2).
const GRPC_METHOD: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// What precedes a gRPC message: whether it is compressed, and how long it is.
const GRPC_PREFIX: usize = 5;
/// Where traces are posted to over HTTP.
const HTTP_PATH: &str = "/v1/traces";

/// A span that a process sent; ids in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentSpan {
    /// The roles of the process, with commas between them.
    pub roles: String,
    /// What was done.
    pub name: String,
    /// The trace it is part of.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The span that caused it; empty when there is none.
    pub parent: String,
    /// What is known of it, in the order it was sent.
    pub attributes: Vec<(String, String)>,
}

type Received = Arc<Mutex<Vec<anyhow::Result<ExportTraceServiceRequest>>>>;

/// A running collector; it stops when it is dropped.
pub struct Collector {
    port: u16,
    received: Received,
    _listener: AbortOnDropHandle<()>,
}

impl Collector {
    /// Listens on a port of its own.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start() -> anyhow::Result<Self> {
        let port = free_port()?;
        let listener = TcpListener::bind(loopback(port)).await?;
        let received = Received::default();
        let listener = tokio::spawn(listen(listener, Arc::clone(&received)));
        Ok(Self { port, received, _listener: AbortOnDropHandle::new(listener) })
    }

    /// Where traces are to be sent over HTTP.
    pub fn http_url(&self) -> String {
        format!("http://{}{HTTP_PATH}", loopback(self.port))
    }

    /// Where traces are to be sent over gRPC.
    pub fn grpc_url(&self) -> String {
        format!("http://{}", loopback(self.port))
    }

    /// All spans that were sent.
    ///
    /// # Errors
    /// When something was sent that is no export of traces.
    pub fn spans(&self) -> anyhow::Result<Vec<SentSpan>> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let mut spans = Vec::new();
        for export in received.iter() {
            let export = export.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
            spans.extend(export.resource_spans.iter().flat_map(spans_of));
        }
        Ok(spans)
    }
}

fn spans_of(sent: &ResourceSpans) -> impl Iterator<Item = SentSpan> {
    let resource = sent.resource.iter().flat_map(|resource| texts(&resource.attributes));
    let mut roles = resource.filter(|(key, _)| key == "certmill.roles").map(|(_, value)| value);
    let roles = roles.next().unwrap_or_default();
    let spans = sent.scope_spans.iter().flat_map(|scope| &scope.spans);
    spans.map(move |span| SentSpan {
        roles: roles.clone(),
        name: span.name.clone(),
        trace: hexadecimal(&span.trace_id),
        id: hexadecimal(&span.span_id),
        parent: hexadecimal(&span.parent_span_id),
        attributes: texts(&span.attributes).collect(),
    })
}

fn texts(attributes: &[KeyValue]) -> impl Iterator<Item = (String, String)> {
    attributes.iter().map(|attribute| {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
        let text = match value {
            Some(Value::StringValue(text)) => text.clone(),
            other => format!("{other:?}"),
        };
        (attribute.key.clone(), text)
    })
}

fn hexadecimal(id: &[u8]) -> String {
    id.iter().map(|octet| format!("{octet:02x}")).collect()
}

async fn listen(listener: TcpListener, received: Received) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let received = Arc::clone(&received);
        let keep = service_fn(move |request| keep(Arc::clone(&received), request));
        connections.spawn(async move {
            Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), keep).await
        });
        while connections.try_join_next().is_some() {}
    }
}

type Reply = WithTrailers<Full<Bytes>, std::future::Ready<Option<Result<HeaderMap, Infallible>>>>;

async fn keep(
    received: Received,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Infallible> {
    let (head, body) = request.into_parts();
    // An exporter that hangs up sends the rest again.
    if let Ok(body) = body.collect().await {
        let export = read(head.uri.path(), &body.to_bytes());
        received.lock().unwrap_or_else(PoisonError::into_inner).push(export);
    }
    // An empty answer in protobuf; to gRPC a message without octets, and that all is well after it.
    let (body, trailers) = match head.uri.path() {
        GRPC_METHOD => {
            let fine = ("grpc-status".parse(), HeaderValue::from_static("0"));
            let trailers = fine.0.ok().map(|name| HeaderMap::from_iter([(name, fine.1)]));
            (Bytes::from_static(&[0; GRPC_PREFIX]), trailers.map(Ok))
        }
        _ => (Bytes::new(), None),
    };
    let mut response = Response::new(Full::new(body).with_trailers(std::future::ready(trailers)));
    if let Some(kind) = head.headers.get(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    }
    Ok(response)
}

fn read(path: &str, body: &[u8]) -> anyhow::Result<ExportTraceServiceRequest> {
    let message = match path {
        HTTP_PATH => body,
        GRPC_METHOD => {
            let (prefix, message) = body.split_at_checked(GRPC_PREFIX).context("no message")?;
            let length = u32::try_from(message.len())?.to_be_bytes();
            ensure!(prefix[0] == 0 && prefix[1..] == length, "not one plain message: {prefix:?}");
            message
        }
        other => anyhow::bail!("nobody takes traces at {other}"),
    };
    Ok(ExportTraceServiceRequest::decode(message)?)
}
