//! What one client can cost: bounded headers, no bodies, bounded connections, bounded time.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::*;

#[tokio::test]
async fn oversized_headers_are_refused_and_the_mirror_lives_on() {
    let stage = Stage::new().await;
    let long = "x".repeat(200 << 10);
    let many: String = (0..5_000).map(|number| format!("X-H{number}: 1\r\n")).collect();
    for request in [
        format!("GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"),
        format!("GET /v2/{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
    ] {
        let answer = client::raw(stage.mirror.address(), request.as_bytes()).await;
        let status = answer.get(9..12).unwrap_or_default();
        assert!(["", "400", "414", "431"].contains(&status), "{}", &answer[..80.min(answer.len())]);
    }
    assert_eq!(stage.mirror.get("/v2/").await.status, 200);
}

#[tokio::test]
async fn what_is_not_http_gets_no_more_than_an_error() {
    let stage = Stage::new().await;
    for request in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET /v2/ HTTP/9.9\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nabcd",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let answer = tokio::time::timeout(
            Duration::from_secs(60),
            client::raw(stage.mirror.address(), request),
        );
        let answer = answer.await.expect("the connection is closed in time");
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    assert_eq!(stage.mirror.get("/v2/").await.status, 200);
}

#[tokio::test]
async fn a_body_on_a_request_is_not_read() {
    let stage = Stage::new().await;
    let image = Image::oci("with a body");
    stage.push_signed("acme/app", "v1", &image);
    let mut connection = TcpStream::connect(stage.mirror.address()).await.expect("it listens");
    let head =
        "GET /v2/acme/app/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n";
    connection.write_all(head.as_bytes()).await.expect("it reads the head");
    let mut answer = [0; 12];
    let read = tokio::time::timeout(Duration::from_secs(15), connection.read_exact(&mut answer));
    read.await.expect("it does not wait for the body").expect("an answer");
    let text = String::from_utf8_lossy(&answer);
    assert!(["200", "400", "413"].contains(&&text[9..12]), "{text}");
    // Pouring into it ends by a close, long before the announced length.
    let poured = tokio::time::timeout(Duration::from_secs(30), async {
        let piece = vec![0; 64 << 10];
        let mut poured = 0_u64;
        while connection.write_all(&piece).await.is_ok() {
            poured += piece.len() as u64;
            if poured > 512 << 20 {
                break;
            }
        }
        poured
    })
    .await;
    assert!(poured.is_ok_and(|poured| poured < 512 << 20), "the connection is closed");
}

#[tokio::test]
async fn one_request_does_not_hide_in_another() {
    let stage = Stage::new().await;
    stage.upstream.push("acme/app", "bad", &Image::oci("smuggled"));
    let inner = "GET /v2/acme/app/manifests/bad HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let outer = format!(
        "GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{inner}",
        inner.len()
    );
    let answer = client::raw(stage.mirror.address(), outer.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert_eq!(stage.upstream.count("*"), 0, "what is in a body is no request");
}

#[tokio::test]
async fn too_many_connections_of_one_address_wait_or_are_closed_and_others_are_served() {
    let stage = Stage::new().await;
    let mut idle = Vec::new();
    for _ in 0..2_000 {
        match tokio::time::timeout(
            Duration::from_millis(200),
            TcpStream::connect(stage.mirror.address()),
        )
        .await
        {
            Ok(Ok(connection)) => idle.push(connection),
            _ => break,
        }
    }
    drop(idle);
    eventually("it answers after the crowd has gone", || async {
        let ask = Ask::get("/v2/").send(stage.mirror.address());
        tokio::time::timeout(Duration::from_secs(5), ask).await.is_ok_and(|it| it.status == 200)
    })
    .await;
    assert_eq!(stage.mirror.admin("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_client_that_sends_half_a_request_is_let_go() {
    let stage = Stage::new().await;
    let mut connection = TcpStream::connect(stage.mirror.address()).await.expect("it listens");
    connection.write_all(b"GET /v2/ HTTP/1.1\r\nHos").await.expect("it reads");
    let mut rest = Vec::new();
    let closed =
        tokio::time::timeout(Duration::from_secs(60), connection.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "half a request is not waited for without end");
}
