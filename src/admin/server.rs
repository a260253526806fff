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

/// How long a connection takes requests. An answer that is under way then, such as a stream of
/// events, has as long again to come to its end.
pub(super) const LIFETIME: Duration = Duration::from_secs(120);

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
                () = sleep(LIFETIME) => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        _ = connection.as_mut() => {}
                        () = stop.cancelled() => {
                            let _ = tokio::time::timeout(PAUSE, connection).await;
                        }
                        () = sleep(LIFETIME) => {}
                    }
                }
            }
            drop(permit);
        });
    }
    tasks.close();
    tasks.wait().await;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use axum::routing::get;
    use futures_util::stream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::Instant;

    use super::*;

    /// What a client reads of an answer that takes so long.
    async fn read(length: Duration) -> (String, Duration) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let answer = get(move || async move {
            Body::from_stream(stream::unfold(0, move |place| async move {
                match place {
                    0 => Some((Ok::<_, Infallible>("first"), 1)),
                    1 => {
                        sleep(length).await;
                        Some((Ok("last"), 2))
                    }
                    _ => None,
                }
            }))
        });
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, Router::new().route("/", answer), 1, stop.clone()));
        let start = Instant::now();
        let mut client = TcpStream::connect(address).await.expect("connected");
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
        let mut text = String::new();
        // A connection that is cut may be reset.
        let _ = client.read_to_string(&mut text).await;
        let took = start.elapsed();
        stop.cancel();
        server.await.expect("no panic");
        (text, took)
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_answer_comes_to_its_end_and_an_endless_one_is_cut() {
        let (text, _) = read(LIFETIME + Duration::from_secs(100)).await;
        assert!(text.ends_with("last\r\n0\r\n\r\n"), "{text}");
        let (text, took) = read(LIFETIME * 100).await;
        assert!(text.contains("first") && !text.contains("last"), "{text}");
        assert_eq!(took.as_secs(), 2 * LIFETIME.as_secs());
    }
}
