//! Helm at work on the chart, and what it renders.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::skip::skip;

/// The values that are held against what they render.
pub const SETS: [&str; 5] = ["default", "production", "namespaced", "sharded", "single"];
/// The release that is rendered where no other is named, and its namespace.
pub const RELEASE: &str = "tidegate";
pub const NAMESPACE: &str = "tidegate-system";

/// The real Helm.
pub struct Helm(PathBuf);

/// What it renders.
pub struct Rendered {
    pub text: String,
    pub objects: Vec<Value>,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn chart() -> PathBuf {
    root().join("charts/tidegate")
}

/// The file of one of the sets.
pub fn set(name: &str) -> String {
    root().join("tests/chart/values").join(name).with_extension("yaml").display().to_string()
}

impl Helm {
    /// The one that `HELM` names, or that of the path; none, said aloud, where there is neither.
    pub fn find() -> Option<Self> {
        let program = std::env::var_os("HELM").map_or_else(|| "helm".into(), PathBuf::from);
        let answers = Command::new(&program).args(["version", "--short"]).output();
        let there = answers.is_ok_and(|output| output.status.success());
        if !there {
            skip("helm is not installed; tests/cluster/run programs builds it and names it in HELM");
        }
        there.then_some(Self(program))
    }

    /// It with these arguments, and with nothing of what this machine's user has set.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        let home = std::env::temp_dir();
        command.args(arguments).env("HOME", home).env_remove("KUBECONFIG").env_remove("HELM_NAMESPACE");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Renders the chart; an error is what Helm says.
    pub fn template(&self, release: &str, namespace: &str, values: &[&str]) -> Result<Rendered, String> {
        self.template_of(&chart(), release, namespace, values)
    }

    /// Renders a copy of the chart.
    pub fn template_of(
        &self,
        chart: &Path,
        release: &str,
        namespace: &str,
        values: &[&str],
    ) -> Result<Rendered, String> {
        let mut arguments = vec!["template", release, chart.to_str().unwrap(), "--namespace", namespace];
        arguments.extend(["--kube-version", "1.37.0"]);
        arguments.extend(values);
        let output = self.run(&arguments);
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8(output.stdout).unwrap();
        let objects = serde_saphyr::from_multiple::<Value>(&text).unwrap();
        Ok(Rendered { text, objects: objects.into_iter().filter(|object| !object.is_null()).collect() })
    }

    /// One of the sets, rendered.
    pub fn set(&self, name: &str) -> Rendered {
        self.template(RELEASE, NAMESPACE, &["-f", &set(name)]).unwrap()
    }
}

impl Rendered {
    pub fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.objects.iter().filter(|object| object["kind"] == kind).collect()
    }

    /// The only object of a kind.
    pub fn one(&self, kind: &str) -> &Value {
        let found = self.of_kind(kind);
        assert_eq!(found.len(), 1, "one {kind}");
        found[0]
    }

    /// The objects whose names begin so.
    pub fn named(&self, prefix: &str) -> Self {
        let is_meant = |object: &&Value| {
            object["metadata"]["name"].as_str().is_some_and(|name| name.starts_with(prefix))
        };
        let objects = self.objects.iter().filter(is_meant).cloned().collect();
        Self { text: self.text.clone(), objects }
    }

    /// The controller's container.
    pub fn container(&self) -> &Value {
        &self.one("Deployment")["spec"]["template"]["spec"]["containers"][0]
    }

    /// The configuration file.
    pub fn config(&self) -> &str {
        let maps = self.of_kind("ConfigMap");
        let with = maps.iter().find_map(|map| map["data"]["tidegate.yaml"].as_str());
        with.expect("a configuration")
    }
}
