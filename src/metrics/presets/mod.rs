//! Which series hold an arm's counters: presets for known data planes, or own queries. Pure.
//!
//! A preset's errors are among the series of its total, so one query gives both, of one moment.
//!
mod envoy;
mod istio;
mod linkerd;
mod params;

use std::collections::BTreeMap;

use super::template::{self, NO_ARGS, Values};
use crate::{
    api::{Preset, Series},
    engine::look::{LookRequest, NumberRequest, ReadError},
};

pub(super) use envoy::RETRIED_LABEL;
pub use envoy::{ArmSelectors, Selector, selectors};
use params::Source;
pub(super) use params::unsupported;
#[cfg(feature = "cloudwatch")]
pub(super) use params::{Params, Source as PresetSource, app_mesh_name, filled};

/// Which arm is asked for, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct ArmScope<'a> {
    /// The arm as routes name it.
    pub target: &'a str,
    /// The Rollout's namespace.
    pub namespace: &'a str,
    /// The Rollout's name.
    pub rollout: &'a str,
    /// What the Rollout gave the template of its analysis, by name.
    pub args: &'a BTreeMap<String, String>,
}

impl<'a> ArmScope<'a> {
    /// The arm of a look.
    pub(super) fn of(request: &'a LookRequest, target: &'a str) -> Self {
        let LookRequest { namespace, rollout, args, .. } = request;
        Self { target, namespace, rollout, args }
    }
}

/// The queries of one arm: raw cumulative counters, no rates.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmQueries {
    /// Failed requests.
    pub errors: Errors,
    /// All requests.
    pub total: String,
    /// Latency buckets.
    pub latency: Option<String>,
    /// How many of the bounds' units make a second.
    pub per_second: f64,
}

/// Where an arm's failed requests are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errors {
    /// Nowhere: only latency is judged.
    Nowhere,
    /// By a query of their own.
    Query(String),
    /// Among the series of the total.
    AmongTotal(Failed),
}

impl Errors {
    /// Their own query, if they have one.
    pub(super) fn query(&self) -> Option<&String> {
        match self {
            Self::Query(query) => Some(query),
            Self::Nowhere | Self::AmongTotal(_) => None,
        }
    }
}

/// Which series of a total count failed requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// Those of Envoy's response class 5, and what it tried again.
    Envoy,
    /// Those of an HTTP status 5xx, or of a gRPC status that is the server's fault.
    Istio,
    /// Those of an HTTP status 5xx, or that never had an answer.
    Linkerd,
}

impl Failed {
    /// Whether a series with these labels does.
    pub fn holds(self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Envoy => envoy::failed(labels),
            Self::Istio => istio::failed(labels),
            Self::Linkerd => linkerd::failed(labels),
        }
    }
}

/// Whether such series can be asked for at all; the error is a sentence with the remedy.
pub fn check(series: &Series) -> Result<(), ReadError> {
    if let Some(preset) = series.preset
        && Source::of(preset) == Source::CloudWatch
    {
        return params::Params::new(preset, &series.params, Source::CloudWatch).map(|_| ());
    }
    let scope = ArmScope { target: "target", namespace: "namespace", rollout: "rollout", args: &NO_ARGS };
    prometheus(series, scope).map(|_| ())
}

/// Fills a plain metric's query; the error is a sentence with the remedy.
pub fn number(number: &NumberRequest, request: &LookRequest) -> Result<String, ReadError> {
    template::fill(&number.name, &number.query, &Values::of_both(request)).map_err(ReadError::Unsupported)
}

/// An arm's counters as PromQL.
pub fn prometheus(series: &Series, scope: ArmScope<'_>) -> Result<ArmQueries, ReadError> {
    let Some(preset) = series.preset else {
        return own(series, scope);
    };
    let params = |source| params::Params::new(preset, &series.params, source);
    match preset {
        Preset::Istio => istio::queries(&params(Source::Prometheus)?, scope),
        Preset::Linkerd => linkerd::queries(&params(Source::Prometheus)?, scope),
        // Those of CloudWatch are refused with what they need.
        Preset::TidegateGateway
        | Preset::AppmeshEnvoy
        | Preset::AppmeshExtension
        | Preset::Alb
        | Preset::VpcLattice => envoy::queries(preset, &params(Source::Envoy)?, scope),
    }
}

fn own(series: &Series, scope: ArmScope<'_>) -> Result<ArmQueries, ReadError> {
    let values = Values::of_arm(scope);
    let fill = |role: &str, query: &str| {
        tells_arms_apart(role, query)?;
        template::fill(role, query, &values).map_err(ReadError::Unsupported)
    };
    let total = own_total(series)?;
    Ok(ArmQueries {
        errors: match &series.errors {
            Some(query) => Errors::Query(fill("errors", query)?),
            None => Errors::Nowhere,
        },
        total: fill("total", total)?,
        latency: series.latency.as_ref().map(|query| fill("latency", query)).transpose()?,
        per_second: 1.0,
    })
}

/// The query `total` of series without a preset, which then have no params either.
pub(super) fn own_total(series: &Series) -> Result<&String, ReadError> {
    if let Some(param) = series.params.keys().next() {
        return Err(unsupported(format!(
            "series has the param {param:?} and no preset to take it; remove it or name a preset"
        )));
    }
    series
        .total
        .as_ref()
        .ok_or_else(|| unsupported("series has neither a preset nor the query total; add one"))
}

/// Refuses an own query that would read the same for both arms.
pub(super) fn tells_arms_apart(role: &str, query: &str) -> Result<(), ReadError> {
    if template::mentions(query, "target") {
        return Ok(());
    }
    Err(unsupported(format!(
        "the query {role} has no {{{{target}}}}, so canary and stable would read the same counter; add it"
    )))
}

/// A metric's series with these labels, as PromQL.
fn select<'a>(metric: &str, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let matchers: Vec<String> =
        labels.into_iter().map(|(label, value)| format!("{label}={}", template::quote(value))).collect();
    format!("{metric}{{{}}}", matchers.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(preset: Preset, params: &[(&str, &str)]) -> Series {
        Series {
            preset: Some(preset),
            params: params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Series::default()
        }
    }

    fn scope(target: &str) -> ArmScope<'_> {
        ArmScope { target, namespace: "shop", rollout: "color", args: &NO_ARGS }
    }

    const MESH: &[(&str, &str)] = &[("mesh", "m"), ("gateway", "gw"), ("port", "8080")];

    #[test]
    fn app_mesh_as_promql() {
        let got = prometheus(&series(Preset::AppmeshEnvoy, MESH), scope("color-app-v2.default")).unwrap();
        let common = r#"appmesh_virtual_gateway="gw_shop",envoy_cluster_name="cds_egress_m_color-app-v2_default_http_8080""#;
        let want = ArmQueries {
            errors: Errors::AmongTotal(Failed::Envoy),
            total: format!(
                r#"envoy_cluster_upstream_rq_xx{{{common}}} or label_replace(envoy_cluster_upstream_rq_retry{{{common}}},"retried","true","","")"#
            ),
            latency: Some(format!("envoy_cluster_upstream_rq_time_bucket{{{common}}}")),
            per_second: 1000.0,
        };
        assert_eq!(got, want);
        let ignored = [MESH, &[("retries", "ignored")]].concat();
        let got = prometheus(&series(Preset::AppmeshEnvoy, &ignored), scope("color-app-v2.default")).unwrap();
        assert_eq!(got.total, format!("envoy_cluster_upstream_rq_xx{{{common}}}"));
    }

    #[test]
    fn meshes_tell_an_arm_by_its_service() {
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
        };
        let istio = prometheus(&series(Preset::Istio, &[]), scope("color-v2")).unwrap();
        assert_eq!(
            istio.total,
            r#"istio_requests_total{destination_service_name="color-v2",destination_service_namespace="shop",reporter="source"}"#
        );
        let Errors::AmongTotal(failed) = istio.errors else { panic!("{istio:?}") };
        for (code, grpc, want) in [
            ("200", "0", false),
            ("503", "", true),
            ("404", "", false),
            ("200", "14", true),
            ("200", "5", false),
        ] {
            let labels = labels(&[("response_code", code), ("grpc_response_status", grpc)]);
            assert_eq!(failed.holds(&labels), want, "{code} {grpc}");
        }
        let ambient = [("reporter", "waypoint"), ("source", "gw")];
        let ambient = prometheus(&series(Preset::Istio, &ambient), scope("color-v2.web")).unwrap();
        assert!(
            ambient.total.ends_with(r#"namespace="web",reporter="waypoint",source_workload="gw"}"#),
            "{ambient:?}"
        );
        let error =
            prometheus(&series(Preset::Istio, &[("reporter", "destination")]), scope("v2")).unwrap_err();
        assert!(error.to_string().contains("never reports them"), "{error}");

        let linkerd = prometheus(&series(Preset::Linkerd, &[("source", "web")]), scope("color-v2")).unwrap();
        assert_eq!(
            linkerd.total,
            r#"outbound_http_route_backend_response_statuses_total{backend_name="color-v2",backend_namespace="shop",deployment="web"}"#
        );
        assert!((linkerd.per_second - 1.0).abs() < 1e-9, "its buckets are in seconds");
        let Errors::AmongTotal(failed) = linkerd.errors else { panic!("{linkerd:?}") };
        for (status, error, want) in
            [("200", "", false), ("500", "", true), ("", "FAIL_FAST", true), ("404", "", false)]
        {
            let labels = labels(&[("http_status", status), ("error", error)]);
            assert_eq!(failed.holds(&labels), want, "{status} {error}");
        }
    }

    #[test]
    fn clusters_follow_the_target() {
        type Given = &'static [(&'static str, &'static str)];
        let cases: [(&str, Given, &str); 6] = [
            ("v2", &[], "cds_egress_m_v2_shop_http_8080"),
            ("v2.web", &[], "cds_egress_m_v2_web_http_8080"),
            ("v2.web.svc.cluster.local", &[], "cds_egress_m_v2_web_http_8080"),
            ("v2_web", &[], "cds_egress_m_v2_web_http_8080"),
            (
                "v2.example.com",
                &[("node", "{{name}}-node_{{namespace}}")],
                "cds_egress_m_v2-node_shop_http_8080",
            ),
            ("v2", &[("prefix", "app"), ("protocol", "grpc")], "app_egress_m_v2_shop_grpc_8080"),
        ];
        for (target, params, want) in cases {
            let params = [&[("mesh", "m"), ("port", "8080")], params].concat();
            let got = selectors(&series(Preset::TidegateGateway, &params), scope(target)).unwrap();
            assert_eq!(got.total.labels["envoy_cluster_name"], want, "{target}");
            assert_eq!(got.retried.unwrap().labels, got.total.labels);
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
            (series(Preset::AppmeshEnvoy, &[("mesh", "m"), ("port", "1")]), "param \"gateway\""),
            (series(Preset::TidegateGateway, &[("mesh", "m")]), "param \"port\""),
            (
                series(Preset::TidegateGateway, &[("mesh", "m"), ("port", "1"), ("prot", "x")]),
                "no param \"prot\"",
            ),
            (
                series(Preset::TidegateGateway, &[("mesh", "m"), ("port", "1"), ("node", "x")]),
                "\"node\" has neither",
            ),
            (
                series(Preset::TidegateGateway, &[("mesh", "m"), ("port", "1"), ("retries", "no")]),
                "\"retries\" is \"no\"; it must be counted or ignored",
            ),
            (series(Preset::Istio, &[("gateway", "g")]), "no param \"gateway\"; it takes reporter"),
            (series(Preset::Linkerd, &[("port", "1")]), "no param \"port\"; it takes source"),
            (series(Preset::Alb, &[]), "param \"loadBalancer\""),
            (series(Preset::VpcLattice, &[("gateway", "g")]), "it takes targetGroup"),
            (Series::default(), "neither a preset"),
            (own("t{a=\"v2\"}"), "query total has no {{target}}"),
            (own("t{a=\"{{target}}\",b=\"{{canary}}\"}"), "unknown placeholder {{canary}}"),
        ];
        for (series, want) in cases {
            let error = check(&series).unwrap_err().to_string();
            assert!(error.contains(want), "{want}: {error}");
        }
        let error = selectors(&own("t{a=\"{{target}}\"}"), scope("v2")).unwrap_err().to_string();
        assert!(error.contains("provider of kind prometheus"), "{error}");
        for preset in [Preset::Istio, Preset::Linkerd] {
            let error = selectors(&series(preset, &[]), scope("v2")).unwrap_err().to_string();
            assert!(error.contains("needs a provider of kind prometheus;"), "{error}");
        }
        for preset in [Preset::Alb, Preset::AppmeshExtension, Preset::VpcLattice] {
            for error in [
                prometheus(&series(preset, &[]), scope("v2")).unwrap_err().to_string(),
                selectors(&series(preset, &[]), scope("v2")).unwrap_err().to_string(),
            ] {
                assert!(error.contains("needs a provider of kind cloudWatch"), "{error}");
            }
        }
    }
}
