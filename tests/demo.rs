//! The demo, whole, as a new user runs it: told line by line.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "demo/envoy.rs"]
mod envoy;
#[path = "support/skip.rs"]
mod skip;

use tidegate::{
    controller,
    demo::{self, Manner, envoy::program::Wanted},
};
use tokio::sync::Semaphore;

/// So many at once: more of them make each other's requests slow, and their latency is judged as it is.
static PLAYING: Semaphore = Semaphore::const_new(2);

/// Plays it with the sandbox's gateway.
async fn ends_as_it_should(routes: demo::Routes, strategy: demo::Strategy, rate: u32) -> String {
    ends_as_it_should_behind(None, routes, strategy, rate).await
}

/// Plays it; requests are few enough for a slow machine and many enough for proof.
async fn ends_as_it_should_behind(
    envoy: Option<Wanted>,
    routes: demo::Routes,
    strategy: demo::Strategy,
    rate: u32,
) -> String {
    let _turn = PLAYING.acquire().await.unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let rate = rate.try_into().unwrap();
    let options = demo::DemoOptions { routes, strategy, keep: false, envoy, plain: true, rate };
    let mut out = Vec::new();
    let outcome = demo::play(options, &mut out, Manner::Lines, |config, client, stop| {
        controller::run(config, client, stop.cancelled_owned())
    })
    .await;
    let told = String::from_utf8(out).unwrap();
    assert!(outcome.is_ok(), "{outcome:?}\n{told}");
    println!("{told}");
    told
}

async fn a_canary_ends_as_it_should(routes: demo::Routes) {
    let told = ends_as_it_should(routes, demo::Strategy::Canary, 1000).await;
    assert!(told.contains("Rolled back at"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_gateway_route() {
    a_canary_ends_as_it_should(demo::Routes::GatewayRoute).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_virtual_router() {
    a_canary_ends_as_it_should(demo::Routes::VirtualRouter).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_http_route() {
    a_canary_ends_as_it_should(demo::Routes::HttpRoute).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_grpc_route() {
    a_canary_ends_as_it_should(demo::Routes::GrpcRoute).await;
}

async fn blue_green_with_a_preview_ends_as_it_should(routes: demo::Routes) {
    previews_are_told(&ends_as_it_should(routes, demo::Strategy::BlueGreen, 200).await);
}

fn previews_are_told(told: &str) {
    for line in [
        "preview: requests with x-preview: true go to color-",
        "load: before that, v2 answered",
        "Act 2: v3 failed its preview",
        "Rolled back at 100%",
        "On its preview it answered",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_eq!(told.matches("preview: gone").count(), 3, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blue_green_with_a_gateway_route() {
    blue_green_with_a_preview_ends_as_it_should(demo::Routes::GatewayRoute).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blue_green_with_a_grpc_route() {
    blue_green_with_a_preview_ends_as_it_should(demo::Routes::GrpcRoute).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blue_green_with_a_virtual_router() {
    let told = ends_as_it_should(demo::Routes::VirtualRouter, demo::Strategy::BlueGreen, 200).await;
    assert_eq!(told.matches("the demo asks: promote").count(), 2, "{told}");
    assert!(told.contains("Rolled back at 100%"), "{told}");
}
