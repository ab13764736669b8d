//! What CloudWatch is asked for an arm: the metrics of a preset, or a Rollout's own expressions. Pure.
//!
//! A metric's dimensions must be given exactly, all of them; one too many or too few is another metric, and empty.

use crate::{
    api::{Preset, Series},
    engine::look::{LookRequest, NumberRequest, ReadError},
    metrics::{
        presets::{self, ArmScope, Params, PresetSource, app_mesh_name, filled, unsupported},
        template::{self, Values},
    },
};

/// The longest value of a dimension that CloudWatch takes.
const MAX_DIMENSION: usize = 1024;
/// The longest name of a namespace that CloudWatch takes.
const MAX_NAMESPACE: usize = 255;

/// One query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Query {
    /// A statistic of one metric.
    Stat(Stat),
    /// An expression as a Rollout gives it; it may return several series.
    Expression {
        /// The query's role, or the metric's name.
        role: String,
        /// The expression, placeholders filled.
        text: String,
    },
}

/// A statistic of one metric.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stat {
    /// The query's role.
    pub role: &'static str,
    pub namespace: String,
    pub metric: String,
    pub dimensions: Vec<(&'static str, String)>,
    /// `Sum`, `SampleCount`, or `TC(…)`.
    pub statistic: String,
}

impl Query {
    /// What errors call it.
    pub(super) fn role(&self) -> &str {
        match self {
            Self::Stat(stat) => stat.role,
            Self::Expression { role, .. } => role,
        }
    }
}

/// One arm's counters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ArmQueries {
    /// All requests.
    pub total: Query,
    /// Failed requests, as one or several counts of them.
    pub errors: Vec<Query>,
    /// How often the latency was measured, and how often it was above each bound (in seconds).
    pub latency: Option<(Query, Vec<(f64, Query)>)>,
}

impl ArmQueries {
    /// All of them, in the order in which they are asked.
    pub(super) fn all(&self) -> impl Iterator<Item = &Query> {
        let latency = self
            .latency
            .iter()
            .flat_map(|(count, slower)| std::iter::once(count).chain(slower.iter().map(|(_, query)| query)));
        std::iter::once(&self.total).chain(&self.errors).chain(latency)
    }
}

/// The queries of an arm, with latency above each of the bounds.
pub(super) fn arm(
    series: &Series,
    scope: ArmScope<'_>,
    bounds: &[f64],
    period: u64,
) -> Result<ArmQueries, ReadError> {
    match series.preset {
        Some(preset) => Plane::of(preset, series, scope)?.queries(bounds),
        None => own(series, scope, bounds, period),
    }
}

/// A plain metric's expression.
pub(super) fn number(request: &LookRequest, number: &NumberRequest, period: u64) -> Result<Query, ReadError> {
    let period = period.to_string();
    expression(&number.name, &number.query, &Values::of_both(request).with("period", &period))
}

fn own(series: &Series, scope: ArmScope<'_>, bounds: &[f64], period: u64) -> Result<ArmQueries, ReadError> {
    let total = presets::own_total(series)?;
    if !bounds.is_empty() {
        return Err(unsupported(
            "latency by own queries needs a provider of kind prometheus; with a cloudWatch provider name a preset",
        ));
    }
    let period = period.to_string();
    let values = Values::of_arm(scope).with("period", &period);
    let fill = |role: &str, query: &str| {
        presets::tells_arms_apart(role, query)?;
        expression(role, query, &values)
    };
    Ok(ArmQueries {
        total: fill("total", total)?,
        errors: series.errors.iter().map(|query| fill("errors", query)).collect::<Result<_, _>>()?,
        latency: None,
    })
}

/// Names are put in as they are: with these characters alone none can end the string it stands in.
fn expression(role: &str, query: &str, values: &Values<'_>) -> Result<Query, ReadError> {
    let plain = |value: &str| {
        if value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b)) {
            Ok(value.to_owned())
        } else {
            Err(format!(
                "the query {role} would get the name {value:?}, and an expression takes only letters, digits and -_./"
            ))
        }
    };
    let text = template::fill_with(role, query, values, plain).map_err(ReadError::Unsupported)?;
    Ok(Query::Expression { role: role.to_owned(), text })
}

/// The metrics of a data plane for one arm.
struct Plane {
    namespace: String,
    total: String,
    errors: Vec<String>,
    latency: Option<String>,
    dimensions: Vec<(&'static str, String)>,
    /// What the agent adds to the dimensions of a counter and of a timing.
    kinds: Option<(&'static str, &'static str, &'static str)>,
    /// How many of the latency's units make a second.
    per_second: f64,
}

impl Plane {
    fn of(preset: Preset, series: &Series, scope: ArmScope<'_>) -> Result<Self, ReadError> {
        let params = Params::new(preset, &series.params, PresetSource::CloudWatch)?;
        match preset {
            Preset::Alb => Self::alb(&params, scope),
            Preset::VpcLattice => Self::lattice(&params, scope),
            Preset::AppmeshExtension
            | Preset::TidegateGateway
            | Preset::AppmeshEnvoy
            | Preset::Istio
            | Preset::Linkerd => Self::app_mesh(&params, scope),
        }
    }

    /// A target that can't be connected to gives no status of its own, so the failed connections count too.
    fn alb(params: &Params<'_>, scope: ArmScope<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            namespace: "AWS/ApplicationELB".to_owned(),
            total: "RequestCount".to_owned(),
            errors: vec!["HTTPCode_Target_5XX_Count".to_owned(), "TargetConnectionErrorCount".to_owned()],
            latency: Some("TargetResponseTime".to_owned()),
            dimensions: vec![
                ("LoadBalancer", params.get("loadBalancer").to_owned()),
                ("TargetGroup", params.of_target("targetGroup", scope)?),
            ],
            kinds: None,
            per_second: 1.0,
        })
    }

    fn lattice(params: &Params<'_>, scope: ArmScope<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            namespace: "AWS/VpcLattice".to_owned(),
            total: "TotalRequestCount".to_owned(),
            errors: vec!["HTTPCode_5XX_Count".to_owned()],
            latency: Some("RequestTime".to_owned()),
            dimensions: vec![("TargetGroup", params.of_target("targetGroup", scope)?)],
            kinds: None,
            per_second: 1000.0,
        })
    }

    fn app_mesh(params: &Params<'_>, scope: ArmScope<'_>) -> Result<Self, ReadError> {
        let agent = Agent::parse(params.or("agent", "statsd"))?;
        let source = match (params.get("gateway"), params.get("sourceNode")) {
            (gateway, "") if !gateway.is_empty() => ("VirtualGateway", gateway),
            ("", node) if !node.is_empty() => ("VirtualNode", node),
            _ => {
                return Err(unsupported(
                    "the preset appmesh-extension needs one of the params \"gateway\" and \"sourceNode\", whose \
                     Envoys count; give one of them in series.params",
                ));
            }
        };
        let name = |metric: &str| format!("{}{metric}", agent.prefix());
        Ok(Self {
            namespace: params.get("metricNamespace").to_owned(),
            total: name("RequestCountPerTarget"),
            errors: vec![name("HTTPCode_Target_5XX_Count")],
            latency: agent.has_timings().then(|| name("TargetResponseTime")),
            dimensions: vec![
                ("Mesh", params.get("mesh").to_owned()),
                (source.0, app_mesh_name("source", source.1, scope.namespace)?),
                ("TargetVirtualService", filled("service", params.get("service"), scope)?),
                ("TargetVirtualNode", params.node(scope)?),
            ],
            kinds: agent.kinds(),
            per_second: 1000.0,
        })
    }

    fn queries(&self, bounds: &[f64]) -> Result<ArmQueries, ReadError> {
        let sum = |role, metric: &String| self.stat(role, metric, "Sum".to_owned());
        Ok(ArmQueries {
            total: sum("total", &self.total)?,
            errors: self.errors.iter().map(|metric| sum("errors", metric)).collect::<Result<_, _>>()?,
            latency: if bounds.is_empty() { None } else { Some(self.latency(bounds)?) },
        })
    }

    fn latency(&self, bounds: &[f64]) -> Result<(Query, Vec<(f64, Query)>), ReadError> {
        let metric = self.latency.as_ref().ok_or_else(|| {
            unsupported(
                "this agent sends no latency to CloudWatch; judge no latency, or name another as the param \"agent\"",
            )
        })?;
        let mut bounds = bounds.to_vec();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        let slower = bounds.into_iter().map(|bound| {
            let above = format!("TC({}:)", decimal(bound * self.per_second));
            self.stat("latency", metric, above).map(|query| (bound, query))
        });
        Ok((
            self.stat("latency", metric, "SampleCount".to_owned())?,
            slower.collect::<Result<Vec<_>, ReadError>>()?,
        ))
    }

    fn stat(&self, role: &'static str, metric: &str, statistic: String) -> Result<Query, ReadError> {
        let mut dimensions = self.dimensions.clone();
        if let Some((name, counter, timing)) = self.kinds {
            let kind = if role == "latency" { timing } else { counter };
            dimensions.push((name, kind.to_owned()));
        }
        // A bad value would make CloudWatch refuse the whole call, and with it what others ask in the same.
        for (name, value) in &dimensions {
            let fits = (1..=MAX_DIMENSION).contains(&value.len()) && !value.starts_with(':');
            if !fits || !value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') || value.trim().is_empty() {
                return Err(unsupported(format!(
                    "{value:?} can't be the dimension {name}; correct it in series.params"
                )));
            }
        }
        let known = |b: u8| b.is_ascii_alphanumeric() || b".-_/#: ".contains(&b);
        let fits = (1..=MAX_NAMESPACE).contains(&self.namespace.len()) && !self.namespace.starts_with(':');
        if !fits || !self.namespace.bytes().all(known) || self.namespace.trim().is_empty() {
            return Err(unsupported(format!(
                "{:?} can't be a CloudWatch namespace; correct the param \"metricNamespace\"",
                self.namespace
            )));
        }
        Ok(Query::Stat(Stat {
            role,
            namespace: self.namespace.clone(),
            metric: metric.to_owned(),
            dimensions,
            statistic,
        }))
    }
}

/// By what App Mesh's extension reaches CloudWatch; each spells it differently.
#[derive(Clone, Copy)]
enum Agent {
    /// The CloudWatch agent, by StatsD.
    StatsD,
    /// The CloudWatch agent, scraping Envoy's Prometheus statistics; it drops histograms.
    Prometheus,
    /// The AWS Distro for OpenTelemetry.
    Adot,
}

impl Agent {
    fn parse(text: &str) -> Result<Self, ReadError> {
        match text {
            "statsd" => Ok(Self::StatsD),
            "prometheus" => Ok(Self::Prometheus),
            "adot" => Ok(Self::Adot),
            other => Err(unsupported(format!(
                "the param \"agent\" is {other:?}; it must be one of statsd, prometheus and adot"
            ))),
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::StatsD | Self::Prometheus => "envoy_appmesh_",
            Self::Adot => "envoy.appmesh.",
        }
    }

    const fn has_timings(self) -> bool {
        match self {
            Self::StatsD | Self::Adot => true,
            Self::Prometheus => false,
        }
    }

    const fn kinds(self) -> Option<(&'static str, &'static str, &'static str)> {
        match self {
            Self::StatsD => Some(("metric_type", "counter", "timing")),
            Self::Prometheus | Self::Adot => None,
        }
    }
}

/// A number without exponent and without the crumbs of a multiplication.
fn decimal(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
