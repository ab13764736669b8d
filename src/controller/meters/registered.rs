//! Counters, levels and histograms by their definition: it names them, and bounds what their labels may be.

use std::{array, borrow::Cow, fmt, time::Duration};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeGaugeValue},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Metric, Registry, Unit},
};

use super::definitions::{Definition, Values};

/// Label names with their values.
type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];

fn labels<const N: usize>(of: &Definition, values: [&str; N]) -> Labels<N> {
    array::from_fn(|place| {
        let name = of.labels.get(place).map_or("", |label| label.name);
        let value = of.bounded(place, values.get(place).copied().unwrap_or_default());
        (name, Cow::Owned(value.to_owned()))
    })
}

fn unit(of: &Definition) -> Option<Unit> {
    of.unit().map(|unit| match unit {
        "seconds" => Unit::Seconds,
        "bytes" => Unit::Bytes,
        other => Unit::Other(other.to_owned()),
    })
}

fn register(registry: &mut Registry, of: &Definition, metric: impl Metric) {
    match unit(of) {
        Some(unit) => registry.register_with_unit(of.stem(), of.help, unit, metric),
        None => registry.register(of.stem(), of.help, metric),
    }
}

/// A value that never changes.
pub fn info<const N: usize>(registry: &mut Registry, of: &'static Definition, values: [&str; N]) {
    register(registry, of, Info::new(labels(of, values)));
}

/// What is counted as one.
#[derive(Debug)]
pub struct Total(Counter);

impl Total {
    pub fn new(registry: &mut Registry, of: &'static Definition) -> Self {
        let counter = Counter::default();
        register(registry, of, counter.clone());
        Self(counter)
    }

    /// Counts one.
    pub fn count(&self) {
        self.0.inc();
    }
}

/// What is counted by its labels.
#[derive(Debug)]
pub struct Counted<const N: usize> {
    of: &'static Definition,
    family: Family<Labels<N>, Counter>,
}

impl<const N: usize> Counted<N> {
    pub fn new(registry: &mut Registry, of: &'static Definition) -> Self {
        let family = Family::<Labels<N>, Counter>::default();
        register(registry, of, family.clone());
        Self { of, family }
    }

    /// Counts one.
    pub fn count(&self, values: [&str; N]) {
        self.family.get_or_create(&labels(self.of, values)).inc();
    }
}

impl Counted<1> {
    /// With a series at zero for each value that its label may have.
    pub fn at_zero(self) -> Self {
        for label in self.of.labels {
            if let Values::Of(list) = label.values {
                for value in list {
                    drop(self.family.get_or_create(&labels(self.of, [value])));
                }
            }
        }
        self
    }
}

/// What is timed as one.
#[derive(Debug)]
pub struct Span(Histogram);

impl Span {
    /// With these upper bounds, in seconds.
    pub fn new(registry: &mut Registry, of: &'static Definition, bounds: &'static [f64]) -> Self {
        let histogram = Histogram::new(bounds.iter().copied());
        register(registry, of, histogram.clone());
        Self(histogram)
    }

    /// Something took so long.
    pub fn took(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

/// What is timed by its labels.
#[derive(Debug)]
pub struct Timed<const N: usize> {
    of: &'static Definition,
    family: Family<Labels<N>, Histogram, Buckets>,
}

/// Makes histograms with these upper bounds, in seconds.
#[derive(Clone, Copy, Debug)]
struct Buckets(&'static [f64]);

impl prometheus_client::metrics::family::MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

impl<const N: usize> Timed<N> {
    pub fn new(registry: &mut Registry, of: &'static Definition, bounds: &'static [f64]) -> Self {
        let family = Family::new_with_constructor(Buckets(bounds));
        register(registry, of, family.clone());
        Self { of, family }
    }

    /// Something took so long.
    pub fn took(&self, values: [&str; N], took: Duration) {
        self.family.get_or_create(&labels(self.of, values)).observe(took.as_secs_f64());
    }
}

/// A number that goes up and down.
#[derive(Debug)]
pub struct Level(Gauge);

impl Level {
    pub fn new(registry: &mut Registry, of: &'static Definition) -> Self {
        let gauge = Gauge::default();
        register(registry, of, gauge.clone());
        Self(gauge)
    }

    pub fn set(&self, count: usize) {
        self.0.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// Writes a gauge that is known at the scrape alone: its values by their labels. One without any is left out.
pub fn gauge<'a, const N: usize, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    of: &Definition,
    values: impl IntoIterator<Item = ([&'a str; N], V)>,
) -> fmt::Result {
    let mut values = values.into_iter().peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    let (unit, help) = (unit(of), sentence(of));
    let mut metric = encoder.encode_descriptor(of.stem(), &help, unit.as_ref(), MetricType::Gauge)?;
    for (values, value) in values {
        let labels: [(&str, &str); N] = array::from_fn(|place| {
            let name = of.labels.get(place).map_or("", |label| label.name);
            (name, of.bounded(place, values.get(place).copied().unwrap_or_default()))
        });
        if N == 0 {
            metric.encode_gauge(&value)?;
        } else {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
    }
    Ok(())
}

/// Writes a counter that is known at the scrape alone.
pub fn counter(encoder: &mut DescriptorEncoder<'_>, of: &Definition, value: f64) -> fmt::Result {
    let unit = unit(of);
    let mut metric =
        encoder.encode_descriptor(of.stem(), &sentence(of), unit.as_ref(), MetricType::Counter)?;
    metric.encode_counter::<[(&str, &str); 0], f64, u64>(&value, None)
}

/// The help as the registry writes it.
fn sentence(of: &Definition) -> String {
    format!("{}.", of.help)
}
