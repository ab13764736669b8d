//! What needs no cluster.

use std::path::Path;

use crate::program::{Ran, program};

fn run(words: &[&str]) -> Ran {
    Ran::of(&program().args(words).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap())
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(run(&["version"]).ends(0).out, format!("kubectl-tidegate {version}\n"));
    assert_eq!(run(&["version", "-o", "json"]).ends(0).json()["version"], version);
}

#[test]
fn the_page_of_commands_is_as_generated() {
    run(&["generate", "--page", "docs/cli.md", "--check"]).ends(0);
    let other = tempfile::NamedTempFile::new().unwrap();
    run(&["generate", "--page", other.path().to_str().unwrap(), "--check"])
        .ends(1)
        .says("is not as generated");
}

#[test]
fn there_is_a_man_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    run(&["generate", "--man", folder.path().to_str().unwrap()]).ends(0);
    for page in ["kubectl-tidegate.1", "kubectl-tidegate-promote.1", "kubectl-tidegate-status.1"] {
        let text = std::fs::read_to_string(Path::new(folder.path()).join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}: {text}");
    }
}

#[test]
fn help_tells_the_exit_codes() {
    run(&["--help"]).ends(0).says("4  the run waits for a person");
}

#[test]
fn faults_in_manifests_are_found() {
    run(&["lint", "-f", "examples/rollout.yaml"]).ends(0).says("1 file, 1 object: 0 errors");
    let folder = tempfile::tempdir().unwrap();
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rollout.yaml")).unwrap();
    std::fs::write(folder.path().join("a.yaml"), text.replace("strategy:", "strateg:")).unwrap();
    let place = folder.path().to_str().unwrap();
    let ran = run(&["lint", "-f", place]).ends(1);
    ran.says("spec.strateg: there is no such field; strategy is meant perhaps").says("1 file, 1 object: ");
    let found = run(&["lint", "-f", place, "-o", "json"]).ends(1).json();
    insta::assert_snapshot!(crate::shapes::shape(&found), @r"
    .errors: number
    .files: number
    .findings[].document: number
    .findings[].field: null
    .findings[].field: string
    .findings[].file: string
    .findings[].message: string
    .findings[].object: string
    .findings[].severity: string
    .notes: number
    .objects: number
    .warnings: number
    ");
    let misspelled = text.replace("kind: Rollout", "kind: Rolout");
    std::fs::write(folder.path().join("a.yaml"), misspelled).unwrap();
    run(&["lint", "-f", place])
        .ends(1)
        .says("tidegate.dev has no kind Rolout; it has Rollout and AnalysisTemplate");
    run(&["lint", "-f", "nothing.yaml"]).ends(2).says("nothing.yaml");
    run(&["lint"]).ends(2);
}

#[test]
fn what_others_call_it_becomes_a_rollout_whose_gaps_lint_names() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/migrate");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let sources: Vec<_> = files.filter(|file| !file.to_str().unwrap().contains(".expected.")).collect();
    assert!(sources.len() >= 8, "{sources:?}");
    for file in sources {
        let ran = run(&["migrate", "-f", file.to_str().unwrap()]).ends(0).says("# To do: ");
        let folder = tempfile::tempdir().unwrap();
        let migrated = folder.path().join("rollout.yaml");
        std::fs::write(&migrated, &ran.out).unwrap();
        let found = run(&["lint", "-f", migrated.to_str().unwrap()]);
        assert!(!found.out.contains("there is no such field"), "{file:?}: {found:?}");
        assert_eq!(
            ran.out.contains("REPLACE"),
            found.out.contains("is a placeholder"),
            "{file:?}: {found:?}"
        );
    }
    run(&["migrate", "-f", "examples/rollout.yaml"]).ends(2);
    run(&["migrate", "-f", "nothing.yaml"]).ends(2).says("nothing.yaml");
}
