//! A preset's params: which it needs, which it takes, and how they become names of the data plane.

use std::collections::BTreeMap;

use super::ArmScope;
use crate::{api::Preset, engine::look::ReadError};

/// Where a preset's series are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::metrics) enum Source {
    /// Statistics of Envoys, read from them or from a Prometheus.
    Envoy,
    /// What a mesh's proxies report, read from a Prometheus.
    Prometheus,
    /// CloudWatch.
    CloudWatch,
}

impl Source {
    pub(super) const fn of(preset: Preset) -> Self {
        match preset {
            Preset::TidegateGateway | Preset::AppmeshEnvoy => Self::Envoy,
            Preset::Istio | Preset::Linkerd => Self::Prometheus,
            Preset::AppmeshExtension | Preset::Alb | Preset::VpcLattice => Self::CloudWatch,
        }
    }

    const fn providers(self) -> &'static str {
        match self {
            Self::Envoy => "prometheus or envoy",
            Self::Prometheus => "prometheus",
            Self::CloudWatch => "cloudWatch",
        }
    }
}

/// Which params a preset has.
struct Shape {
    required: &'static [&'static str],
    optional: &'static [&'static str],
    /// Those that each target can have a value of its own for, as `<param>.<target>`.
    per_target: &'static [&'static str],
}

impl Shape {
    const fn of(preset: Preset) -> Self {
        match preset {
            Preset::TidegateGateway => Self {
                required: &["mesh", "port"],
                optional: &["gateway", "protocol", "prefix", "node", "retries"],
                per_target: &[],
            },
            Preset::AppmeshEnvoy => Self {
                required: &["mesh", "gateway", "port"],
                optional: &["protocol", "prefix", "node", "retries"],
                per_target: &[],
            },
            Preset::Istio => Self { required: &[], optional: &["reporter", "source"], per_target: &[] },
            Preset::Linkerd => Self { required: &[], optional: &["source"], per_target: &[] },
            Preset::AppmeshExtension => Self {
                required: &["metricNamespace", "mesh", "service"],
                optional: &["gateway", "sourceNode", "node", "agent"],
                per_target: &[],
            },
            Preset::Alb => {
                Self { required: &["loadBalancer"], optional: &["targetGroup"], per_target: &["targetGroup"] }
            }
            Preset::VpcLattice => {
                Self { required: &[], optional: &["targetGroup"], per_target: &["targetGroup"] }
            }
        }
    }

    fn has(&self, param: &str) -> bool {
        let own = |name: &str| param.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        self.required.contains(&param)
            || self.optional.contains(&param)
            || self.per_target.iter().any(|name| own(name))
    }

    fn told(&self) -> String {
        [self.required, self.optional].concat().join(", ")
    }
}

/// A preset's params, known to be complete.
pub(in crate::metrics) struct Params<'a> {
    given: &'a BTreeMap<String, String>,
}

impl<'a> Params<'a> {
    /// Takes the params of a preset whose series are found in `source`.
    pub(in crate::metrics) fn new(
        preset: Preset,
        given: &'a BTreeMap<String, String>,
        source: Source,
    ) -> Result<Self, ReadError> {
        let name = name_of(preset);
        if Source::of(preset) != source {
            return Err(unsupported(format!(
                "the preset {name} needs a provider of kind {}; name one as analysis.provider",
                Source::of(preset).providers()
            )));
        }
        let shape = Shape::of(preset);
        for param in shape.required {
            if given.get(*param).is_none_or(String::is_empty) {
                return Err(unsupported(format!(
                    "the preset {name} needs the param {param:?}; add it to series.params"
                )));
            }
        }
        if let Some(unknown) = given.keys().find(|param| !shape.has(param)) {
            return Err(unsupported(format!(
                "the preset {name} has no param {unknown:?}; it takes {}",
                shape.told()
            )));
        }
        Ok(Self { given })
    }

    /// A param, or nothing.
    pub(in crate::metrics) fn get(&self, param: &str) -> &'a str {
        self.or(param, "")
    }

    /// A param, or its default.
    pub(in crate::metrics) fn or(&self, param: &str, default: &'a str) -> &'a str {
        self.given.get(param).map_or(default, String::as_str)
    }

    /// The param as it is for an arm: `<param>.<target>` if it is there, else `<param>` with its placeholders filled.
    /// It must tell the arms apart.
    #[cfg(feature = "cloudwatch")]
    pub(in crate::metrics) fn of_target(
        &self,
        param: &str,
        scope: ArmScope<'_>,
    ) -> Result<String, ReadError> {
        let own = format!("{param}.{}", scope.target);
        match (self.given.get(&own), self.given.get(param)) {
            (Some(value), _) => Ok(value.clone()),
            (None, Some(template)) => distinct(param, template, scope),
            (None, None) => Err(unsupported(format!(
                "series.params do not tell the {param} of {}; add the param {own:?}",
                scope.target
            ))),
        }
    }

    /// Whether answers that were retried count.
    pub(super) fn counts_retries(&self) -> Result<bool, ReadError> {
        match self.or("retries", "counted") {
            "counted" => Ok(true),
            "ignored" => Ok(false),
            other => {
                Err(unsupported(format!("the param \"retries\" is {other:?}; it must be counted or ignored")))
            }
        }
    }

    /// The arm's virtual node as App Mesh calls it.
    pub(in crate::metrics) fn node(&self, scope: ArmScope<'_>) -> Result<String, ReadError> {
        match self.given.get("node") {
            Some(template) => distinct("node", template, scope),
            None => app_mesh_name("target", scope.target, scope.namespace),
        }
    }

    /// The arm's cluster in a gateway's Envoy.
    pub(super) fn cluster(&self, scope: ArmScope<'_>) -> Result<String, ReadError> {
        Ok(format!(
            "{}_egress_{}_{}_{}_{}",
            self.or("prefix", "cds"),
            self.get("mesh"),
            self.node(scope)?,
            self.or("protocol", "http"),
            self.get("port"),
        ))
    }
}

/// How a Rollout calls a preset.
fn name_of(preset: Preset) -> &'static str {
    match preset {
        Preset::TidegateGateway => "tidegate-gateway",
        Preset::AppmeshEnvoy => "appmesh-envoy",
        Preset::Istio => "istio",
        Preset::Linkerd => "linkerd",
        Preset::AppmeshExtension => "appmesh-extension",
        Preset::Alb => "alb",
        Preset::VpcLattice => "vpc-lattice",
    }
}

/// The Service that an arm is, and its namespace.
pub(super) fn service(scope: ArmScope<'_>) -> Result<(&str, &str), ReadError> {
    let labels: Vec<&str> = scope.target.split('.').collect();
    match labels.as_slice() {
        [name] => Ok((name, scope.namespace)),
        [name, namespace] | [name, namespace, "svc", ..] => Ok((name, namespace)),
        _ => Err(unsupported(format!(
            "the target {:?} is neither <name>, <name>.<namespace> nor a service's DNS name, so its Service is unknown; \
             give series.total and series.errors in place of the preset",
            scope.target
        ))),
    }
}

/// What App Mesh's controller calls an object: `<name>_<namespace>`. A name with `_` is such a one already, for
/// Kubernetes' names have none.
pub(in crate::metrics) fn app_mesh_name(
    what: &str,
    name: &str,
    namespace: &str,
) -> Result<String, ReadError> {
    if name.contains('_') {
        return Ok(name.to_owned());
    }
    let labels: Vec<&str> = name.split('.').collect();
    match labels.as_slice() {
        [name] => Ok(format!("{name}_{namespace}")),
        [name, namespace] | [name, namespace, "svc", ..] => Ok(format!("{name}_{namespace}")),
        _ => Err(unsupported(format!(
            "the {what} {name:?} is neither <name>, <name>.<namespace> nor a service's DNS name, so its cluster \
             is unknown; give the param \"node\", like \"{{{{name}}}}_{{{{namespace}}}}\""
        ))),
    }
}

/// A filled param that differs between the arms.
fn distinct(param: &str, template: &str, scope: ArmScope<'_>) -> Result<String, ReadError> {
    use crate::metrics::template::mentions;
    if !mentions(template, "target") && !mentions(template, "name") {
        return Err(unsupported(format!(
            "the param {param:?} has neither {{{{target}}}} nor {{{{name}}}}, so canary and stable would read the \
             same counter; add one"
        )));
    }
    filled(param, template, scope)
}

/// A param with its placeholders filled: `{{target}}` is the arm asked for, `{{name}}` its part before the first
/// dot, `{{namespace}}` the Rollout's.
pub(in crate::metrics) fn filled(
    param: &str,
    template: &str,
    scope: ArmScope<'_>,
) -> Result<String, ReadError> {
    let name = scope.target.split('.').next().unwrap_or(scope.target);
    let filled = template
        .replace("{{target}}", scope.target)
        .replace("{{name}}", name)
        .replace("{{namespace}}", scope.namespace);
    if filled.contains("{{") {
        return Err(unsupported(format!(
            "the param {param:?} has an unknown placeholder; it may have {{{{target}}}}, {{{{name}}}}, \
             {{{{namespace}}}}"
        )));
    }
    Ok(filled)
}

/// A request that can't be served, and what to do about it.
pub(in crate::metrics) fn unsupported(sentence: impl Into<String>) -> ReadError {
    ReadError::Unsupported(sentence.into())
}
