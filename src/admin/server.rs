//! Small HTTP servers that stay small: a bound on connections, timeouts, and an end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a client may take for the head of a request, or be silent between two.
const HEAD: Duration = Duration::from_secs(10);

/// How long a connection may last.
const LIFETIME: Duration = Duration::from_secs(120);

/// The pause after a failed `accept`, which with no file descriptors left fails at once, for ever.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` over HTTP/1.1 on at most `connections` connections at a time until `stop`.
pub async fn serve(listener: TcpListener, router: Router, connections: usize, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(connections));
    let tasks = TaskTracker::new();
    loop {
        // Clients over the limit wait in the kernel's queue.
        let Ok(permit) = permits.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "accepting an HTTP connection failed");
                sleep(PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let stop = stop.clone();
        tasks.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => {}
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    // What a client does not take within its time is not waited for.
                    let _ = tokio::time::timeout(PAUSE, connection).await;
                }
                () = sleep(LIFETIME) => {}
            }
            drop(permit);
        });
    }
    tasks.close();
    tasks.wait().await;
}
