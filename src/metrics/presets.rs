//! Which series hold an arm's counters: presets for known data planes, or own queries. Pure.
//!
//! Totals are the sum over `upstream_rq_xx`, never `upstream_rq_total`: Envoy counts there only requests that
//! it sent to an endpoint, so a canary without endpoints, or one that refuses connections, would have none and
//! look healthy for lack of traffic. In `rq_xx` each of its answers is a 503.
//!
//! A cluster is named `<prefix>_egress_<mesh>_<node>_<protocol>_<port>`. The node of a target `<name>.<ns>` (or
//! `<name>.<ns>.svc…`) is `<name>_<ns>`, that of a bare `<name>` is `<name>_<the Rollout's namespace>`; the
//! param `node` overrides it.

use std::collections::BTreeMap;

use super::template;
use crate::{
    api::{Preset, Series},
    engine::look::ReadError,
};

const REQUESTS: &str = "envoy_cluster_upstream_rq_xx";
const LATENCY: &str = "envoy_cluster_upstream_rq_time_bucket";
const PARAMS: [&str; 6] = ["mesh", "gateway", "port", "protocol", "prefix", "node"];

/// Which arm is asked for, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct ArmScope<'a> {
    /// The arm as routes name it.
    pub target: &'a str,
    /// The Rollout's namespace.
    pub namespace: &'a str,
    /// The Rollout's name.
    pub rollout: &'a str,
}

/// The queries of one arm: raw cumulative counters, no rates.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmQueries {
    /// Failed requests; absent where only latency is judged.
    pub errors: Option<String>,
    /// All requests.
    pub total: String,
    /// Latency buckets.
    pub latency: Option<String>,
    /// How many of the bounds' units make a second.
    pub per_second: f64,
}

/// Series of an exposition: a metric and the labels it must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The metric's name.
    pub metric: &'static str,
    /// Labels and their values.
    pub labels: BTreeMap<&'static str, String>,
}

/// What to select of an Envoy's own statistics for one arm.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmSelectors {
    /// Failed requests.
    pub errors: Selector,
    /// All requests.
    pub total: Selector,
    /// Latency buckets.
    pub latency: Selector,
    /// How many of the bounds' units make a second.
    pub per_second: f64,
}

/// Whether such series can be asked for at all; the error is a sentence with the remedy.
pub fn check(series: &Series) -> Result<(), ReadError> {
    let scope = ArmScope {
        target: "target",
        namespace: "namespace",
        rollout: "rollout",
    };
    prometheus(series, scope).map(|_| ())
}

/// Fills a plain metric's query; the error is a sentence with the remedy.
pub fn number(
    name: &str,
    query: &str,
    canary: &str,
    stable: &str,
    scope: (&str, &str),
) -> Result<String, ReadError> {
    let (namespace, rollout) = scope;
    let values = [
        ("canary", canary),
        ("stable", stable),
        ("namespace", namespace),
        ("rollout", rollout),
    ];
    template::fill(name, query, &values).map_err(ReadError::Unsupported)
}

/// An arm's counters as PromQL.
pub fn prometheus(series: &Series, scope: ArmScope<'_>) -> Result<ArmQueries, ReadError> {
    let Some(preset) = series.preset else {
        return own(series, scope);
    };
    let params = Params::new(preset, &series.params)?;
    let mut labels = BTreeMap::from([("envoy_cluster_name", params.cluster(scope)?)]);
    if let Some(gateway) = params.gateway(scope)? {
        labels.insert("appmesh_virtual_gateway", gateway);
    }
    let selectors = ArmSelectors::of(&labels);
    Ok(ArmQueries {
        errors: Some(selectors.errors.promql()),
        total: selectors.total.promql(),
        latency: Some(selectors.latency.promql()),
        per_second: selectors.per_second,
    })
}

/// An arm's counters in an Envoy's own statistics. The gateway is not among the labels: the provider's addresses
/// are those of the gateway, and its label is there only under `ENABLE_ENVOY_STATS_TAGS`.
pub fn envoy(series: &Series, scope: ArmScope<'_>) -> Result<ArmSelectors, ReadError> {
    let Some(preset) = series.preset else {
        return Err(ReadError::Unsupported(
            "own queries in series need a provider of kind prometheus; with an envoy provider name a preset"
                .to_owned(),
        ));
    };
    let cluster = Params::new(preset, &series.params)?.cluster(scope)?;
    Ok(ArmSelectors::of(&BTreeMap::from([(
        "envoy_cluster_name",
        cluster,
    )])))
}

fn own(series: &Series, scope: ArmScope<'_>) -> Result<ArmQueries, ReadError> {
    if let Some(param) = series.params.keys().next() {
        return Err(ReadError::Unsupported(format!(
            "series has the param {param:?} and no preset to take it; remove it or name a preset"
        )));
    }
    let values = [
        ("target", scope.target),
        ("namespace", scope.namespace),
        ("rollout", scope.rollout),
    ];
    let fill = |role: &str, query: &String| {
        if !template::mentions(query, "target") {
            return Err(ReadError::Unsupported(format!(
                "the query {role} has no {{{{target}}}}, so canary and stable would read the same counter; add it"
            )));
        }
        template::fill(role, query, &values).map_err(ReadError::Unsupported)
    };
    let total = series.total.as_ref().ok_or_else(|| {
        ReadError::Unsupported("series has neither a preset nor the query total; add one".to_owned())
    })?;
    Ok(ArmQueries {
        errors: series
            .errors
            .as_ref()
            .map(|query| fill("errors", query))
            .transpose()?,
        total: fill("total", total)?,
        latency: series
            .latency
            .as_ref()
            .map(|query| fill("latency", query))
            .transpose()?,
        per_second: 1.0,
    })
}

/// A preset's params, known to be complete.
struct Params<'a> {
    preset: Preset,
    given: &'a BTreeMap<String, String>,
}

impl<'a> Params<'a> {
    fn new(preset: Preset, given: &'a BTreeMap<String, String>) -> Result<Self, ReadError> {
        let name = name_of(preset);
        let required: &[&str] = match preset {
            Preset::TidegateGateway => &["mesh", "port"],
            Preset::AppmeshEnvoy => &["mesh", "gateway", "port"],
        };
        for param in required {
            if given.get(*param).is_none_or(String::is_empty) {
                return Err(ReadError::Unsupported(format!(
                    "the preset {name} needs the param {param:?}; add it to series.params"
                )));
            }
        }
        if let Some(unknown) = given.keys().find(|param| !PARAMS.contains(&param.as_str())) {
            return Err(ReadError::Unsupported(format!(
                "the preset {name} has no param {unknown:?}; it takes {}",
                PARAMS.join(", ")
            )));
        }
        Ok(Self { preset, given })
    }

    fn get(&self, param: &str) -> &'a str {
        self.given.get(param).map_or("", String::as_str)
    }

    fn or(&self, param: &str, default: &'a str) -> &'a str {
        self.given.get(param).map_or(default, String::as_str)
    }

    fn cluster(&self, scope: ArmScope<'_>) -> Result<String, ReadError> {
        let node = match self.given.get("node") {
            Some(template) => node_of(template, scope)?,
            None => app_mesh_name("target", scope.target, scope.namespace)?,
        };
        Ok(format!(
            "{}_egress_{}_{node}_{}_{}",
            self.or("prefix", "cds"),
            self.get("mesh"),
            self.or("protocol", "http"),
            self.get("port"),
        ))
    }

    /// The gateway's label; Tidegate's own gateway has none, and is told by what Prometheus scrapes.
    fn gateway(&self, scope: ArmScope<'_>) -> Result<Option<String>, ReadError> {
        match self.preset {
            Preset::TidegateGateway => Ok(None),
            Preset::AppmeshEnvoy => app_mesh_name("gateway", self.get("gateway"), scope.namespace).map(Some),
        }
    }
}

fn name_of(preset: Preset) -> &'static str {
    match preset {
        Preset::TidegateGateway => "tidegate-gateway",
        Preset::AppmeshEnvoy => "appmesh-envoy",
    }
}

/// What App Mesh's controller calls an object: `<name>_<namespace>`. A name with `_` is such a one already, for
/// Kubernetes' names have none.
fn app_mesh_name(what: &str, name: &str, namespace: &str) -> Result<String, ReadError> {
    if name.contains('_') {
        return Ok(name.to_owned());
    }
    let labels: Vec<&str> = name.split('.').collect();
    match labels.as_slice() {
        [name] => Ok(format!("{name}_{namespace}")),
        [name, namespace] | [name, namespace, "svc", ..] => Ok(format!("{name}_{namespace}")),
        _ => Err(ReadError::Unsupported(format!(
            "the {what} {name:?} is neither <name>, <name>.<namespace> nor a service's DNS name, so its cluster \
             is unknown; give the param \"node\", like \"{{{{name}}}}_{{{{namespace}}}}\""
        ))),
    }
}

/// The param `node`: `{{target}}` is the arm asked for, `{{name}}` its part before the first dot,
/// `{{namespace}}` the Rollout's.
fn node_of(node: &str, scope: ArmScope<'_>) -> Result<String, ReadError> {
    if !template::mentions(node, "target") && !template::mentions(node, "name") {
        return Err(ReadError::Unsupported(
            "the param \"node\" has neither {{target}} nor {{name}}, so canary and stable would read the same \
             counter; add one"
                .to_owned(),
        ));
    }
    let name = scope.target.split('.').next().unwrap_or(scope.target);
    let filled = node
        .replace("{{target}}", scope.target)
        .replace("{{name}}", name)
        .replace("{{namespace}}", scope.namespace);
    if filled.contains("{{") {
        return Err(ReadError::Unsupported(
            "the param \"node\" has an unknown placeholder; it may have {{target}}, {{name}}, {{namespace}}"
                .to_owned(),
        ));
    }
    Ok(filled)
}

impl ArmSelectors {
    fn of(labels: &BTreeMap<&'static str, String>) -> Self {
        let select = |metric| Selector {
            metric,
            labels: labels.clone(),
        };
        let mut errors = select(REQUESTS);
        errors.labels.insert("envoy_response_code_class", "5".to_owned());
        Self {
            errors,
            total: select(REQUESTS),
            latency: select(LATENCY),
            per_second: 1000.0,
        }
    }
}

impl Selector {
    fn promql(&self) -> String {
        let matchers: Vec<String> = self
            .labels
            .iter()
            .map(|(label, value)| format!("{label}={}", template::quote(value)))
            .collect();
        format!("{}{{{}}}", self.metric, matchers.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(preset: Preset, params: &[(&str, &str)]) -> Series {
        Series {
            preset: Some(preset),
            params: params
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            ..Series::default()
        }
    }

    fn scope(target: &str) -> ArmScope<'_> {
        ArmScope {
            target,
            namespace: "shop",
            rollout: "color",
        }
    }

    const MESH: &[(&str, &str)] = &[("mesh", "m"), ("gateway", "gw"), ("port", "8080")];

    #[test]
    fn app_mesh_as_promql() {
        let got = prometheus(&series(Preset::AppmeshEnvoy, MESH), scope("color-app-v2.default")).unwrap();
        let common = r#"appmesh_virtual_gateway="gw_shop",envoy_cluster_name="cds_egress_m_color-app-v2_default_http_8080""#;
        let want = ArmQueries {
            errors: Some(format!(
                r#"envoy_cluster_upstream_rq_xx{{{common},envoy_response_code_class="5"}}"#
            )),
            total: format!("envoy_cluster_upstream_rq_xx{{{common}}}"),
            latency: Some(format!("envoy_cluster_upstream_rq_time_bucket{{{common}}}")),
            per_second: 1000.0,
        };
        assert_eq!(got, want);
    }

    #[test]
    fn clusters_follow_the_target() {
        let cases: [(&str, &[(&str, &str)], &str); 6] = [
            ("v2", &[], "cds_egress_m_v2_shop_http_8080"),
            ("v2.web", &[], "cds_egress_m_v2_web_http_8080"),
            ("v2.web.svc.cluster.local", &[], "cds_egress_m_v2_web_http_8080"),
            ("v2_web", &[], "cds_egress_m_v2_web_http_8080"),
            (
                "v2.example.com",
                &[("node", "{{name}}-node_{{namespace}}")],
                "cds_egress_m_v2-node_shop_http_8080",
            ),
            (
                "v2",
                &[("prefix", "app"), ("protocol", "grpc")],
                "app_egress_m_v2_shop_grpc_8080",
            ),
        ];
        for (target, params, want) in cases {
            let params = [&[("mesh", "m"), ("port", "8080")], params].concat();
            let got = envoy(&series(Preset::TidegateGateway, &params), scope(target)).unwrap();
            assert_eq!(got.total.labels["envoy_cluster_name"], want, "{target}");
            assert_eq!(got.errors.labels["envoy_response_code_class"], "5");
        }
    }

    #[test]
    fn what_cannot_be_asked_says_why() {
        let own = |total: &str| Series {
            total: Some(total.to_owned()),
            errors: Some("e{a=\"{{target}}\"}".to_owned()),
            ..Series::default()
        };
        let cases = [
            (
                series(Preset::AppmeshEnvoy, &[("mesh", "m"), ("port", "1")]),
                "param \"gateway\"",
            ),
            (
                series(Preset::TidegateGateway, &[("mesh", "m")]),
                "param \"port\"",
            ),
            (
                series(
                    Preset::TidegateGateway,
                    &[("mesh", "m"), ("port", "1"), ("prot", "x")],
                ),
                "no param \"prot\"",
            ),
            (
                series(
                    Preset::TidegateGateway,
                    &[("mesh", "m"), ("port", "1"), ("node", "x")],
                ),
                "\"node\" has neither",
            ),
            (Series::default(), "neither a preset"),
            (own("t{a=\"v2\"}"), "query total has no {{target}}"),
            (
                own("t{a=\"{{target}}\",b=\"{{canary}}\"}"),
                "unknown placeholder {{canary}}",
            ),
        ];
        for (series, want) in cases {
            let error = check(&series).unwrap_err().to_string();
            assert!(error.contains(want), "{want}: {error}");
        }
        let error = envoy(&own("t{a=\"{{target}}\"}"), scope("v2"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("provider of kind prometheus"), "{error}");
    }
}
