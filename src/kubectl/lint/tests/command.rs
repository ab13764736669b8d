//! The command: what it reads, prints, and how it ends.

use std::{fs, path::PathBuf};

use super::*;

/// What the command prints, and how it ends.
fn ran(args: &Args) -> Result<(Exit, String), Error> {
    let mut printed = Vec::new();
    let exit = run(args, &mut Out::to(&mut printed, PLAIN))?;
    Ok((exit, String::from_utf8(printed).unwrap()))
}

fn args(filename: Vec<PathBuf>) -> Args {
    Args { filename, config: None, rate: None, strict: false, output: Output::Text }
}

#[test]
fn files_and_folders_are_read_once_each() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("below")).unwrap();
    fs::create_dir_all(at("empty")).unwrap();
    fs::write(at("b.yaml"), GOOD).unwrap();
    fs::write(at("below/a.json"), r#"{"kind": "Service", "apiVersion": "v1"}"#).unwrap();
    fs::write(at("below/c.yml"), [0xff, 0xfe, 0xfd]).unwrap();
    fs::write(at("readme.md"), "- [").unwrap();
    let (exit, printed) = ran(&args(vec![folder.path().to_owned(), at("b.yaml")])).unwrap();
    assert_eq!(exit, Exit::Failed);
    assert!(printed.contains("below/c.yml: error: it can't be read: "), "{printed}");
    assert!(printed.ends_with("3 files, 2 objects: 1 error, 0 warnings\n"), "{printed}");
    let missing = ran(&args(vec![at("nowhere.yaml")])).unwrap_err();
    assert_eq!((missing.exit(), matches!(missing, Error::File { .. })), (Exit::Usage, true));
    assert!(ran(&args(vec![at("empty")])).unwrap_err().to_string().contains("has no *.yaml"));
}

#[test]
fn warnings_fail_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    fs::write(&file, GOOD).unwrap();
    let rare = |strict| ran(&Args { rate: Some(1.0), strict, ..args(vec![file.clone()]) }).unwrap().0;
    assert_eq!((rare(false), rare(true)), (Exit::Reached, Exit::Failed));
    let (_, printed) =
        ran(&Args { output: Output::Json, rate: Some(1.0), ..args(vec![file.clone()]) }).unwrap();
    let told: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let counts =
        ["files", "objects", "errors", "warnings", "notes"].map(|count| told[count].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 0, 1, 1]);
    let finding = &told["findings"][0];
    assert_eq!(
        (&finding["document"], &finding["severity"], &finding["object"], &finding["field"]),
        (&1.into(), &"note".into(), &"Rollout shop".into(), &"spec.routes[0]".into())
    );
    let config = folder.path().join("config.yaml");
    let with = || ran(&Args { config: Some(config.clone()), ..args(vec![file.clone()]) }).unwrap_err();
    assert!(matches!(with(), Error::File { .. }));
    fs::write(&config, "provider: x").unwrap();
    assert!(with().to_string().contains("there is no key \"provider\" here"));
}

#[test]
fn a_rate_is_a_number_above_nothing() {
    for bad in ["", "0", "-1", "nan", "inf", "fast"] {
        assert!(rate(bad).is_err(), "{bad}");
    }
    assert_eq!(rate("2.5"), Ok(2.5));
}

#[test]
fn the_examples_have_no_faults() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    let sets: [&[&str]; 9] = [
        &["rollout.yaml", "color-app.yaml"],
        &["demo", "color-app.yaml"],
        &["http-route/rollout.yaml", "http-route/color.yaml"],
        &["http-route/by-header.yaml", "http-route/color.yaml"],
        &["grpc-route"],
        &["virtual-router"],
        &["blue-green/single-target.yaml"],
        &["blue-green/http-route.yaml", "http-route/color.yaml"],
        &["blue-green/virtual-router.yaml", "virtual-router/color.yaml"],
    ];
    for set in sets {
        let files = set.iter().map(|name| root.join(name)).collect();
        let (exit, printed) = ran(&Args { strict: true, ..args(files) }).unwrap();
        assert_eq!(exit, Exit::Reached, "{printed}");
    }
}
