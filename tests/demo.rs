//! The demo, whole, as a new user runs it: told line by line.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use tidegate::{
    controller,
    demo::{self, Manner},
};

async fn both_acts_end_as_they_should(routes: demo::Routes) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = demo::DemoOptions { routes, keep: false, plain: true, rate: 1000.try_into().unwrap() };
    let mut out = Vec::new();
    let outcome = demo::play(options, &mut out, Manner::Lines, |config, client, stop| {
        controller::run(config, client, stop.cancelled_owned())
    })
    .await;
    let told = String::from_utf8(out).unwrap();
    assert!(outcome.is_ok(), "{outcome:?}\n{told}");
    assert!(told.contains("Rolled back at"), "{told}");
    println!("{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_gateway_route() {
    both_acts_end_as_they_should(demo::Routes::GatewayRoute).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_virtual_router() {
    both_acts_end_as_they_should(demo::Routes::VirtualRouter).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_http_route() {
    both_acts_end_as_they_should(demo::Routes::HttpRoute).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_grpc_route() {
    both_acts_end_as_they_should(demo::Routes::GrpcRoute).await;
}
