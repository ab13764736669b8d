//! Counters under Envoy's names, in Prometheus' text format.
//!
//! As in Envoy, a response class has no series before its first response, `rq_total` counts only attempts that
//! reached an endpoint, and `rq_xx` counts every answer that a client got for the cluster, our own 503 and 504
//! included. Failed attempts that a retry hid are under `envoy_cluster_retry_upstream_rq*`.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Upper bounds of the latency buckets, milliseconds: Envoy's, with 200, 300 and 400 added for usual latency goals.
const BOUNDS: [f64; 17] = [
    0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 200.0, 250.0, 300.0, 400.0, 500.0, 1000.0, 2500.0, 5000.0,
    10000.0, 30000.0,
];
const CODES: usize = 600;

/// Responses by status code.
#[derive(Debug)]
pub struct Codes(Vec<AtomicU64>);

/// The counters of one cluster.
#[derive(Debug, Default)]
pub struct ClusterStats {
    /// Answers to clients.
    pub answers: Codes,
    /// Failed attempts that were made again.
    pub retried: Codes,
    /// Attempts that reached an endpoint.
    pub sent: AtomicU64,
    /// Attempts after the first.
    pub retries: AtomicU64,
    /// Requests over their limit.
    pub timeouts: AtomicU64,
    /// Attempts over their limit.
    pub try_timeouts: AtomicU64,
    /// Endpoints known.
    pub healthy: AtomicU64,
    buckets: [AtomicU64; BOUNDS.len()],
    time_micros: AtomicU64,
    time_count: AtomicU64,
}

/// All counters of a gateway.
#[derive(Debug, Default)]
pub struct Stats {
    clusters: Mutex<BTreeMap<String, Arc<ClusterStats>>>,
    /// Answers to clients, whatever the route; those without a route or cluster appear nowhere else.
    pub downstream: Codes,
}

impl Default for Codes {
    fn default() -> Self {
        Self((0..CODES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Codes {
    /// Counts one response.
    pub fn add(&self, status: http::StatusCode) {
        if let Some(counter) = self.0.get(usize::from(status.as_u16())) {
            counter.fetch_add(1, Relaxed);
        }
    }

    fn seen(&self) -> impl Iterator<Item = (usize, u64)> {
        let counts = self.0.iter().enumerate().map(|(code, count)| (code, count.load(Relaxed)));
        counts.filter(|(_, count)| *count > 0)
    }

    fn classes(&self) -> BTreeMap<usize, u64> {
        let mut classes = BTreeMap::new();
        for (code, count) in self.seen() {
            *classes.entry(code / 100).or_insert(0) += count;
        }
        classes
    }
}

impl ClusterStats {
    /// Counts how long a complete response took.
    pub fn took(&self, time: Duration) {
        let millis = time.as_secs_f64() * 1000.0;
        if let Some(bucket) =
            BOUNDS.iter().position(|bound| millis <= *bound).and_then(|at| self.buckets.get(at))
        {
            bucket.fetch_add(1, Relaxed);
        }
        self.time_micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Relaxed);
        self.time_count.fetch_add(1, Relaxed);
    }
}

impl Stats {
    /// The counters of a cluster, new ones if it was not there.
    pub fn cluster(&self, name: &str) -> Arc<ClusterStats> {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.entry(name.to_owned()).or_default().clone()
    }

    /// Forgets clusters that no route names any more, as Envoy does; one that comes back counts from 0.
    pub fn retain(&self, named: impl Fn(&str) -> bool) {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.retain(|name, _| named(name));
    }

    /// The whole text, in Prometheus' exposition format 0.0.4.
    pub fn render(&self, stat_prefix: &str) -> String {
        let clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut page = Page::default();
        for (name, stats) in &clusters {
            page.cluster(&format!("envoy_cluster_name=\"{}\"", escape(name)), stats);
        }
        let label = format!("envoy_http_conn_manager_prefix=\"{}\"", escape(stat_prefix));
        page.codes("envoy_http_downstream_rq", &label, &self.downstream, false);
        page.text()
    }
}

/// Samples by family: the format wants all samples of a family together.
#[derive(Default)]
struct Page(BTreeMap<String, (&'static str, Vec<String>)>);

impl Page {
    fn sample(&mut self, family: &str, kind: &'static str, line: String) {
        self.0.entry(family.to_owned()).or_insert_with(|| (kind, Vec::new())).1.push(line);
    }

    fn codes(&mut self, family: &str, label: &str, codes: &Codes, each: bool) {
        let mut total = 0;
        for (class, count) in codes.classes() {
            total += count;
            let name = format!("{family}_xx");
            let line = format!("{name}{{{label},envoy_response_code_class=\"{class}\"}} {count}");
            self.sample(&name, "counter", line);
        }
        if each && total > 0 {
            let name = format!("{family}_completed");
            self.sample(&name, "counter", format!("{name}{{{label}}} {total}"));
            for (code, count) in codes.seen() {
                let line = format!("{family}{{{label},envoy_response_code=\"{code}\"}} {count}");
                self.sample(family, "counter", line);
            }
        }
    }

    fn cluster(&mut self, label: &str, stats: &ClusterStats) {
        self.codes("envoy_cluster_upstream_rq", label, &stats.answers, true);
        self.codes("envoy_cluster_retry_upstream_rq", label, &stats.retried, true);
        for (name, kind, value) in [
            ("envoy_cluster_upstream_rq_total", "counter", &stats.sent),
            ("envoy_cluster_upstream_rq_retry", "counter", &stats.retries),
            ("envoy_cluster_upstream_rq_timeout", "counter", &stats.timeouts),
            ("envoy_cluster_upstream_rq_per_try_timeout", "counter", &stats.try_timeouts),
            ("envoy_cluster_membership_healthy", "gauge", &stats.healthy),
        ] {
            self.sample(name, kind, format!("{name}{{{label}}} {}", value.load(Relaxed)));
        }
        let count = stats.time_count.load(Relaxed);
        if count > 0 {
            self.histogram(label, stats, count);
        }
    }

    fn histogram(&mut self, label: &str, stats: &ClusterStats, count: u64) {
        const NAME: &str = "envoy_cluster_upstream_rq_time";
        let mut below = 0;
        for (bound, bucket) in BOUNDS.iter().zip(&stats.buckets) {
            below += bucket.load(Relaxed);
            self.sample(NAME, "histogram", format!("{NAME}_bucket{{{label},le=\"{bound}\"}} {below}"));
        }
        self.sample(NAME, "histogram", format!("{NAME}_bucket{{{label},le=\"+Inf\"}} {}", count.max(below)));
        let millis = stats.time_micros.load(Relaxed) as f64 / 1000.0;
        self.sample(NAME, "histogram", format!("{NAME}_sum{{{label}}} {millis}"));
        self.sample(NAME, "histogram", format!("{NAME}_count{{{label}}} {}", count.max(below)));
    }

    fn text(self) -> String {
        let mut text = String::new();
        for (family, (kind, lines)) in self.0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# TYPE {family} {kind}");
            for line in lines {
                text.push_str(&line);
                text.push('\n');
            }
        }
        text
    }
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_class_has_no_series_before_its_first_response() {
        let stats = Stats::default();
        let cluster = stats.cluster("c");
        assert!(!stats.render("ingress").contains("rq_xx"));
        cluster.answers.add(StatusCode::OK);
        cluster.took(Duration::from_millis(2));
        let page = stats.render("ingress");
        assert!(page.contains(
            "# TYPE envoy_cluster_upstream_rq_xx counter\n\
             envoy_cluster_upstream_rq_xx{envoy_cluster_name=\"c\",envoy_response_code_class=\"2\"} 1\n"
        ));
        assert!(!page.contains("class=\"5\""));
        assert!(
            page.contains("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"c\",le=\"1\"} 0\n")
        );
        assert!(
            page.contains("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"c\",le=\"5\"} 1\n")
        );
        assert!(page.contains("envoy_cluster_upstream_rq_time_sum{envoy_cluster_name=\"c\"} 2\n"));
        stats.retain(|_| false);
        assert_eq!(stats.render("ingress"), "");
    }
}
