//! What the chart renders from its files: CRDs, alerts, the dashboard.

use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use crate::helm::{Helm, RELEASE, Rendered, chart, root};

#[test]
fn the_crds_are_those_of_the_program_and_stay() {
    let Some(helm) = Helm::find() else { return };
    let rendered = helm.template(RELEASE, "ns", &["--set", "crds.appmesh.install=true"]).unwrap();
    let crds = rendered.of_kind("CustomResourceDefinition");
    assert_eq!(crds.len(), 3);
    for crd in crds {
        let (group, plural) = (crd["spec"]["group"].as_str(), crd["spec"]["names"]["plural"].as_str());
        let file = root().join("crds").join(format!("{}_{}.yaml", group.unwrap(), plural.unwrap()));
        let committed: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        // By what they mean: 1 and 1.0 are one bound.
        let meant =
            |crd: &Value| serde_json::from_value::<CustomResourceDefinition>(crd.clone()).unwrap().spec;
        assert_eq!(meant(crd), meant(&committed));
        assert_eq!(crd["metadata"]["name"], committed["metadata"]["name"]);
        assert_eq!(crd["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
        for (key, value) in committed["metadata"]["annotations"].as_object().into_iter().flatten() {
            assert_eq!(&crd["metadata"]["annotations"][key], value);
        }
    }
}

#[test]
fn crds_as_they_are_asked_for() {
    let Some(helm) = Helm::find() else { return };
    for (values, names) in [
        ("crds.keep=true", vec!["analysistemplates", "rollouts"]),
        ("crds.install=false", vec![]),
        ("crds.install=false,crds.appmesh.install=true", vec!["gatewayroutes"]),
    ] {
        let rendered = helm.template(RELEASE, "ns", &["--set", values]).unwrap();
        let mut found: Vec<_> = rendered.of_kind("CustomResourceDefinition");
        found.sort_by_key(|crd| crd["metadata"]["name"].to_string());
        let plural = |crd: &&Value| crd["spec"]["names"]["plural"].as_str().unwrap().to_owned();
        assert_eq!(found.iter().map(plural).collect::<Vec<_>>(), names, "{values}");
    }
    let rendered = helm.template(RELEASE, "ns", &["--set", "crds.keep=false"]).unwrap();
    let policy = |crd: &&Value| crd["metadata"]["annotations"]["helm.sh/resource-policy"].is_null();
    assert!(rendered.of_kind("CustomResourceDefinition").iter().all(policy));
}

#[test]
fn alerts_link_to_the_runbook_where_people_can_open_it() {
    let Some(helm) = Helm::find() else { return };
    let annotations = |url: &str| {
        let values = format!("metrics.rules.enabled=true,metrics.rules.runbookURL={url}");
        let rendered = helm.template(RELEASE, "ns", &["--set", &values]).unwrap();
        let rules = rendered.of_kind("PrometheusRule")[0].clone();
        let groups = rules["spec"]["groups"].as_array().unwrap().clone();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        rules.map(|rule| rule["annotations"].clone()).collect::<Vec<_>>()
    };
    for told in annotations("https://docs.example/runbook.html") {
        let url = told["runbook_url"].as_str().unwrap();
        assert!(url.starts_with("https://docs.example/runbook.html#tidegate"), "{url}");
        assert!(told["runbook"].is_null(), "{told}");
    }
    for told in annotations("") {
        assert!(told["runbook"].as_str().unwrap().starts_with("docs/runbook.md#tidegate"), "{told}");
    }
}

/// A copy of the chart, with these files or without.
fn with_files(helm: &Helm, rules: Option<&str>, dashboard: Option<&str>) -> Rendered {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("tidegate");
    copy_folder(&chart(), &copy);
    for (name, text) in [("rules.yaml", rules), ("dashboard.json", dashboard)] {
        let file = copy.join("files").join(name);
        let _ = std::fs::remove_file(&file);
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
    }
    let values =
        "metrics.rules.enabled=true,metrics.rules.labels.release=prom,metrics.dashboard.enabled=true";
    helm.template_of(&copy, RELEASE, "ns", &["--set", values]).unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn alerts_and_the_dashboard_come_as_their_files_have_them() {
    let Some(helm) = Helm::find() else { return };
    let rules = r#"
# A comment.
groups:
  - name: tidegate
    rules:
      - alert: TidegateLoweringFails
        expr: rate(tidegate_api_writes_total{purpose="lower",outcome="failed"}[5m]) > 0.5
        for: 1m
        annotations: {summary: "{{ $labels.namespace }} has {{ $value | humanize }}"}
"#;
    let dashboard = "{\n  \"title\": \"Tidegate\", \"legend\": \"{{namespace}}\"\n}\n";
    let rendered = with_files(&helm, Some(rules), Some(dashboard));
    let rule = rendered.one("PrometheusRule");
    let written: Value = serde_saphyr::from_str(rules).unwrap();
    assert_eq!(rule["spec"], written);
    assert_eq!(rule["metadata"]["labels"]["release"], "prom");
    let maps = rendered.of_kind("ConfigMap");
    let map = maps.iter().find(|map| map["metadata"]["name"] == "tidegate-dashboard").unwrap();
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let found: Value = serde_json::from_str(map["data"]["tidegate.json"].as_str().unwrap()).unwrap();
    assert_eq!(found, json!({ "title": "Tidegate", "legend": "{{namespace}}" }));
}

#[test]
fn nothing_is_rendered_of_files_that_are_not_there() {
    let Some(helm) = Helm::find() else { return };
    let rendered = with_files(&helm, None, None);
    assert!(rendered.of_kind("PrometheusRule").is_empty());
    assert_eq!(rendered.of_kind("ConfigMap").len(), 1);
}
