//! SIGTERM: no new work, what streams is finished, and the exit code is 0.

use rustix::process::Signal;

use crate::support::*;

#[tokio::test]
async fn ends_at_once_with_zero_when_idle() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut stage = Stage::new().await;
        let started = tokio::time::Instant::now();
        stage.mirror.signal(signal);
        assert_eq!(stage.mirror.ended().await.code(), Some(0), "{signal:?}");
        assert!(started.elapsed().as_secs() < 5);
    }
}

#[tokio::test]
async fn finishes_what_streams_and_takes_nothing_new() {
    let mut stage = Stage::new().await;
    let image = Image::with_layers("streaming", vec![image::noise("layer", 4 << 20)]);
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    let path = format!("/v2/acme/app/blobs/{}", image.layer(0));
    let gate = Gate::closed();
    stage.upstream.always(&path, Fault::Hold { after: 1 << 20, gate: gate.clone() });
    let mut client = stage.mirror.open(Ask::get(&path)).await;
    let mut body = client.read(100_000).await;

    let address = stage.mirror.address();
    stage.mirror.signal(Signal::TERM);
    eventually("no new connection is taken", || async {
        tokio::net::TcpStream::connect(address).await.is_err()
    })
    .await;
    gate.open();
    let rest = client.finish().await;
    body.extend_from_slice(&rest.body);
    assert!(rest.whole && body == image.blobs[1], "the download ends whole");
    assert_eq!(stage.mirror.ended().await.code(), Some(0));
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_it_up() {
    let mut stage = Stage::new().await;
    let idle = tokio::net::TcpStream::connect(stage.mirror.address()).await.expect("it listens");
    let started = tokio::time::Instant::now();
    assert_eq!(stage.mirror.stop().await.code(), Some(0));
    assert!(started.elapsed().as_secs() < 10);
    drop(idle);
}
