//! What each set of values renders, in full; the CRDs aside, which are files of their own.

use crate::{
    helm::{Helm, SETS, chart, root, set},
    values::refusal,
};

#[test]
fn the_chart_is_clean() {
    let Some(helm) = Helm::find() else { return };
    for name in SETS {
        let output = helm.run(&["lint", "--strict", chart().to_str().unwrap(), "-f", &set(name)]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn each_set_of_values_renders_what_is_committed() {
    let Some(helm) = Helm::find() else { return };
    for name in SETS {
        is_committed(&helm, name);
    }
}

/// Holds what a set of values renders against the file.
pub fn is_committed(helm: &Helm, name: &str) {
    let text = told(&helm.set(name).text);
    let file = root().join("tests/chart/golden").join(name).with_extension("yaml");
    if std::env::var_os("TIDEGATE_ACCEPT").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        text == committed,
        "{} is not what is rendered; see what differs after: TIDEGATE_ACCEPT=1 cargo test --test chart",
        file.display()
    );
}

/// The objects without what differs from one version of Helm to the next: blank lines, and where they come from.
fn told(text: &str) -> String {
    const HEADER: &str = "# Rendered by Helm; TIDEGATE_ACCEPT=1 cargo test --test chart writes it anew.\n";
    let objects = text.split("\n---\n").map(|object| {
        let lines = object.lines().filter(|line| !line.starts_with("# Source: ") && *line != "---");
        lines.collect::<Vec<_>>().join("\n").trim().to_owned()
    });
    let told = objects.filter(|object| !object.is_empty()).map(|object| {
        if !object.contains("\nkind: CustomResourceDefinition\n") {
            return format!("---\n{object}\n");
        }
        let name = object.lines().rfind(|line| line.starts_with("  name: ")).unwrap();
        format!("---\n# The CRD {}\n", name.trim_start_matches("  name: "))
    });
    HEADER.to_owned() + &told.collect::<String>()
}

#[test]
fn the_chart_and_the_program_have_one_version() {
    let text = std::fs::read_to_string(chart().join("Chart.yaml")).unwrap();
    let chart: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    for key in ["version", "appVersion"] {
        assert_eq!(chart[key], env!("CARGO_PKG_VERSION"), "{key}");
    }
    let oldest = format!(">=1.{}.0-0", tidegate::controller::OLDEST_MINOR);
    assert_eq!(chart["kubeVersion"], oldest);
}

#[test]
fn an_older_cluster_is_refused() {
    let Some(helm) = Helm::find() else { return };
    let told = refusal(&helm, &["--kube-version", "1.30.4"]);
    assert!(told.contains("kubeVersion: >=1.31.0-0"), "{told}");
}
