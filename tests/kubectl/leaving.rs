//! Readers who leave, people who interrupt, and colours.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tidegate::api::Phase;

use crate::program::{BY_HOLDS, Scene};

fn spawn(scene: &Scene, line: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_kubectl-tidegate"))
        .env("KUBECONFIG", scene.kubeconfig())
        .args(line.split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The first line that it prints.
fn first_line(child: &mut Child) -> (String, BufReader<std::process::ChildStdout>) {
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    (line, reader)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_who_leaves_changes_nothing() {
    let scene = Scene::of(BY_HOLDS).await;
    let mut child = spawn(&scene, "release color --target color-app-v2.default --wait");
    let (line, reader) = first_line(&mut child);
    assert!(line.contains("is the target of color now"), "{line}");
    // As `| head -1` does.
    drop(reader);
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(4), "it waits on, and says by its exit code how it came out");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    for line in ["get color", "list", "list -o json", "explain color", "history color"] {
        let mut child = spawn(&scene, line);
        drop(child.stdout.take());
        let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_leaves_the_rollout_alone() {
    let scene = Scene::of(BY_HOLDS).await;
    let mut child = spawn(&scene, "status color --wait --target color-app-v9.default");
    let (line, mut reader) = first_line(&mut child);
    assert!(line.contains("waiting until it is color-app-v9.default"), "{line}");
    let before = scene.rollout().await.metadata.resource_version;
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let ended = tokio::task::spawn_blocking(move || {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut reader, &mut rest).unwrap();
        (child.wait().unwrap().code(), rest)
    });
    let (code, rest) = tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap().unwrap();
    assert_eq!(code, Some(130));
    assert!(rest.contains("nobody waits any more, and nothing is changed by that"), "{rest}");
    assert_eq!(scene.rollout().await.metadata.resource_version, before, "nothing was written");
    scene.until_phase(Phase::Healthy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn colours_are_for_those_who_want_them() {
    let scene = Scene::of(BY_HOLDS).await;
    let run = |words: &'static str, variable: Option<(&'static str, &'static str)>| {
        let mut command = crate::program::program();
        command.env("KUBECONFIG", scene.kubeconfig()).args(words.split(' ')).envs(variable);
        tokio::task::spawn_blocking(move || String::from_utf8(command.output().unwrap().stdout).unwrap())
    };
    let coloured = |text: &str| text.contains('\u{1b}');
    assert!(!coloured(&run("status color", None).await.unwrap()), "it is no terminal");
    let forced = Some(("CLICOLOR_FORCE", "1"));
    assert!(coloured(&run("status color", forced).await.unwrap()));
    assert!(coloured(&run("list", forced).await.unwrap()));
    assert!(!coloured(&run("status color --no-color", forced).await.unwrap()));
    assert!(!coloured(&run("status color", Some(("NO_COLOR", "1"))).await.unwrap()));
}
