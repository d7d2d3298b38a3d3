//! The operations listener: `/healthz`, `/readyz` and `/metrics` over plain HTTP, for the inside of a site only.

use std::{convert::Infallible, time::Duration};

use tokio::net::TcpListener;
use warp::{
    Filter, Reply,
    http::{Response, StatusCode, header},
};

use crate::{
    Health, Metrics, Stop,
    health::PartState,
    http::{self, Bounds},
    metrics::names,
};

/// What the listener bears: probes and collectors are few, and the stop waits for it last and shortly.
const BOUNDS: Bounds = Bounds { connections: 1024, drain: Duration::from_millis(500) };
/// The media type of the Prometheus text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves health and metrics until the process stops.
///
/// `/healthz` says that the process answers, `/readyz` whether it can work and which part cannot.
pub fn serve(listener: TcpListener, health: Health, metrics: Metrics, stop: &Stop) {
    let upkeep = (metrics.clone(), stop.clone());
    stop.spawn("metrics upkeep", async move {
        upkeep.0.keep(&upkeep.1).await;
        Ok::<_, Infallible>(())
    });
    let requested = stop.token();
    stop.spawn("ops listener", async move {
        let routes = routes(health, metrics);
        let serve = |stream| {
            let (routes, requested) = (routes.clone(), requested.clone());
            async move { http::serve(stream, routes, &requested, Duration::ZERO).await }
        };
        http::accept(listener, BOUNDS, &requested, serve).await;
        Ok::<_, Infallible>(())
    });
}

fn routes(
    health: Health,
    metrics: Metrics,
) -> impl Filter<Extract = (impl Reply,), Error = warp::Rejection> + Clone {
    let alive = warp::path!("healthz").map(|| "ok\n".into_response());
    let measured = health.clone();
    let ready = warp::path!("readyz").map(move || readiness(&health));
    let measured = warp::path!("metrics").map(move || {
        measure(&measured);
        warp::reply::with_header(metrics.render(), header::CONTENT_TYPE, PROMETHEUS_TEXT)
    });
    let measured = measured.map(Reply::into_response);
    // Some load balancers ask by HEAD, whose body hyper leaves away.
    warp::get().or(warp::head()).unify().and(alive.or(ready).unify().or(measured).unify())
}

/// Tells of each part whether it is ready.
fn measure(health: &Health) {
    for (part, state) in health.readiness().parts() {
        let ready = if *state == PartState::Ready { 1.0 } else { 0.0 };
        metrics::gauge!(names::PART_READY, "part" => *part).set(ready);
    }
}

fn readiness(health: &Health) -> warp::reply::Response {
    let readiness = health.readiness();
    let status =
        if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response: Response<_> = warp::reply::json(&readiness).into_response();
    *response.status_mut() = status;
    response
}
