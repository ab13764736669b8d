//! Completion: words and names, for each shell and for kubectl itself.

use std::{os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::{
    program::{BY_HOLDS, Ran, Scene, program},
    skip::skip,
};

fn words(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split('\t').next().unwrap()).collect()
}

#[test]
fn every_shell_gets_a_script() {
    for (shell, part) in [
        ("bash", "complete -o"),
        ("zsh", "#compdef kubectl-tidegate"),
        ("fish", "complete --keep-order"),
        ("powershell", "Register-ArgumentCompleter"),
        ("kubectl", "exec kubectl-tidegate __complete --"),
    ] {
        let ran = Ran::of(&program().args(["completion", shell]).output().unwrap());
        ran.ends(0).says(part);
    }
    Ran::of(&program().args(["completion", "tcsh"]).output().unwrap()).ends(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_those_of_the_cluster() {
    let scene = Scene::of(BY_HOLDS).await;
    let asked = |line: &'static [&'static str]| {
        let scene = &scene;
        async move {
            let all: Vec<&str> = ["__complete", "--"].iter().chain(line).copied().collect();
            scene.run_words(&all).await.ends(0).out
        }
    };
    let commands = asked(&[""]).await;
    assert!(words(&commands).contains(&"promote") && words(&commands).contains(&"get"), "{commands}");
    assert!(
        !words(&commands).contains(&"__complete") && !words(&commands).contains(&"generate"),
        "{commands}"
    );
    assert!(commands.contains("abort\tEnd the run"), "{commands}");
    assert_eq!(words(&asked(&["promote", ""]).await), ["color", ":4"]);
    assert_eq!(words(&asked(&["promote", "-n", "elsewhere", ""]).await), [":4"]);
    assert_eq!(words(&asked(&["promote", "--f"]).await), ["--full", ":4"]);
    assert!(words(&asked(&["get", "-n", "d"]).await).contains(&"default"));
    assert_eq!(words(&asked(&["get", "--output", "w"]).await), ["wide", ":4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bash_completes_names() {
    let Ok(script) = program().args(["completion", "bash"]).output() else { panic!("no script") };
    if Command::new("bash").arg("-c").arg("true").status().is_err() {
        return skip("bash is not here, so its completion is not tried");
    }
    let scene = Scene::of(BY_HOLDS).await;
    let folder = tempfile::tempdir().unwrap();
    link(env!("CARGO_BIN_EXE_kubectl-tidegate"), &folder.path().join("kubectl-tidegate"));
    std::fs::write(folder.path().join("script"), script.stdout).unwrap();
    let line = "source script; COMP_WORDS=(kubectl-tidegate promote co); COMP_CWORD=2; COMP_LINE='kubectl-tidegate promote co'; \
                COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; \
                \"$(complete -p kubectl-tidegate | sed -E 's/.*-F ([^ ]+).*/\\1/')\" kubectl-tidegate co promote; \
                printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut command = Command::new("bash");
    command.arg("-c").arg(line).current_dir(folder.path()).env("KUBECONFIG", scene.kubeconfig());
    command.env("PATH", path(folder.path()));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "color", "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_completes_what_stands_behind_its_plugin() {
    let kubectl = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
    let Ok(version) = Command::new(&kubectl).args(["version", "--client"]).output() else {
        return skip("kubectl is not here, so completion through it is not tried");
    };
    assert!(version.status.success());
    let scene = Scene::of(BY_HOLDS).await;
    let folder = tempfile::tempdir().unwrap();
    link(env!("CARGO_BIN_EXE_kubectl-tidegate"), &folder.path().join("kubectl-tidegate"));
    let script = folder.path().join("kubectl_complete-tidegate");
    std::fs::write(&script, program().args(["completion", "kubectl"]).output().unwrap().stdout).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = |line: &'static [&'static str]| {
        let mut command = Command::new(&kubectl);
        command.args(line).env("KUBECONFIG", scene.kubeconfig()).env("PATH", path(folder.path()));
        tokio::task::spawn_blocking(move || Ran::of(&command.output().unwrap()))
    };
    let ran = run(&["__complete", "tidegate", "promote", ""]).await.unwrap().ends(0);
    assert!(words(&ran.out).contains(&"color"), "{ran:?}");
    // And it finds the plugin itself.
    let ran = run(&["tidegate", "status", "color"]).await.unwrap();
    ran.ends(0).says("Healthy: color-app-v1.default is live");
}

fn link(program: &str, place: &Path) {
    std::os::unix::fs::symlink(program, place).unwrap();
}

fn path(first: &Path) -> String {
    format!("{}:{}", first.display(), std::env::var("PATH").unwrap_or_default())
}
