//! What the controller tells of itself, after things that really happened.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::json;
use tidegate::api::Phase;

use crate::{
    call::{Rule, Spoil},
    cluster::Cluster,
    leading::elects,
    objects::ROLLOUT,
    skip::skip,
    waiting::eventually,
};

/// The value of a series, by its name and all of its labels; none where it is not told.
fn value(text: &str, series: &str) -> Option<f64> {
    let line =
        text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit_once(' ').unwrap().1.parse().ok()
}

fn are(text: &str, wanted: &[(&str, f64)]) {
    for (series, want) in wanted {
        assert_eq!(value(text, series), Some(*want), "{series} in:\n{text}");
    }
}

/// Waits until a series has a value: the watch shows a moment later what was stored.
async fn once(cluster: &Cluster, series: &str, want: Option<f64>) -> String {
    eventually(&format!("{series} {want:?}"), || cluster.metrics(), |text| value(text, series) == want).await
}

async fn release(cluster: &Cluster, version: &str) {
    let workload = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": version });
    cluster
        .patch("color", json!({ "spec": { "target": { "name": version, "workloadRef": workload } } }))
        .await;
}

fn of(cluster: &Cluster, metric: &str, label: &str) -> String {
    format!("{metric}{{namespace=\"{}\",rollout=\"color\"{label}}}", cluster.namespace)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_are_counted_and_a_rollout_that_is_gone_leaves_no_series() {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    cluster.phase(Phase::Paused).await;
    let text =
        once(&cluster, &of(&cluster, "tidegate_rollout_paused", ",reason=\"Approval\""), Some(1.0)).await;
    let in_run = |metric| of(&cluster, metric, "");
    are(
        &text,
        &[
            (&of(&cluster, "tidegate_rollout_phase", ",phase=\"Paused\""), 1.0),
            (&in_run("tidegate_rollout_weight_percent"), 10.0),
            (&in_run("tidegate_rollout_seen_weight_percent"), 10.0),
            (&in_run("tidegate_rollout_step"), 1.0),
            (&in_run("tidegate_rollout_steps"), 3.0),
            (&of(&cluster, "tidegate_rollout_verdict", ",metric=\"errorRate\",verdict=\"Safe\""), 1.0),
            ("tidegate_paused_rollouts{reason=\"Approval\"}", 1.0),
            ("tidegate_pauses_total{reason=\"Approval\"}", 1.0),
            ("tidegate_runs_started_total", 1.0),
            ("tidegate_runs_total{outcome=\"Promoted\"}", 0.0),
            ("tidegate_leader", 1.0),
            ("tidegate_ready", 1.0),
        ],
    );
    let since = value(&text, &in_run("tidegate_rollout_step_started_timestamp_seconds")).unwrap();
    assert!(since > value(&text, &in_run("tidegate_rollout_run_started_timestamp_seconds")).unwrap());

    cluster.ask("promote").await;
    cluster.phase(Phase::Healthy).await;
    let text = once(&cluster, &of(&cluster, "tidegate_rollout_phase", ",phase=\"Healthy\""), Some(1.0)).await;
    are(
        &text,
        &[
            ("tidegate_runs_total{outcome=\"Promoted\"}", 1.0),
            ("tidegate_runs_total{outcome=\"Failed\"}", 0.0),
            ("tidegate_run_seconds_count{outcome=\"Promoted\"}", 1.0),
            ("tidegate_step_seconds_count", 3.0),
            ("tidegate_rollouts{phase=\"Healthy\"}", 1.0),
        ],
    );
    assert_eq!(value(&text, &in_run("tidegate_rollout_weight_percent")), None, "it is at rest");

    cluster.gateway.fail("v3", 0.5);
    release(&cluster, "v3").await;
    cluster.phase(Phase::Failed).await;
    let text = once(&cluster, "tidegate_rollouts{phase=\"Failed\"}", Some(1.0)).await;
    are(
        &text,
        &[
            ("tidegate_runs_started_total", 2.0),
            ("tidegate_runs_total{outcome=\"Promoted\"}", 1.0),
            ("tidegate_runs_total{outcome=\"Failed\"}", 1.0),
            ("tidegate_stalled_rollouts", 1.0),
        ],
    );
    assert!(value(&text, "tidegate_verdicts_total{verdict=\"Fail\"}").unwrap() >= 1.0, "{text}");
    let lists = "tidegate_api_requests_total{verb=\"watch\",resource=\"rollouts\",code=\"200\"}";
    assert!(value(&text, lists).unwrap() >= 1.0, "{text}");
    let stored = "tidegate_api_requests_total{verb=\"update\",resource=\"rollouts/status\",code=\"200\"}";
    let writes = "tidegate_api_writes_total{purpose=\"status\",outcome=\"stored\"}";
    assert!(value(&text, stored).unwrap() >= 5.0 && value(&text, writes).unwrap() >= 5.0, "{text}");
    let reads = "tidegate_provider_reads_total{provider=\"default\",outcome=\"answered\"}";
    let timed = "tidegate_provider_read_seconds_count{provider=\"default\"}";
    assert!(value(&text, reads).unwrap() >= 2.0 && value(&text, timed).unwrap() >= 2.0, "{text}");
    prometheus_takes(&text);

    cluster.rollouts().delete("color", &kube::api::DeleteParams::default()).await.unwrap();
    let gone = |text: &String| !text.contains("rollout=\"");
    let text = eventually("no series of it", || cluster.metrics(), gone).await;
    are(&text, &[("tidegate_runs_total{outcome=\"Failed\"}", 1.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_is_counted_once_although_the_answer_is_lost() {
    let cluster = Cluster::start().await;
    let status = Rule::new(Spoil::LoseReply).verb("update").resource("rollouts").subresource("status");
    cluster.proxy.spoil(status.times(3));
    cluster.roll(ROLLOUT).await;
    cluster.phase(Phase::Healthy).await;
    let text = once(&cluster, "tidegate_rollouts{phase=\"Healthy\"}", Some(1.0)).await;
    are(
        &text,
        &[
            ("tidegate_runs_started_total", 1.0),
            ("tidegate_runs_total{outcome=\"Promoted\"}", 1.0),
            ("tidegate_step_seconds_count", 3.0),
        ],
    );
    assert!(
        value(&text, "tidegate_api_writes_total{purpose=\"status\",outcome=\"failed\"}").unwrap() >= 3.0,
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_of_each_rollout_can_be_switched_off() {
    let mut cluster = Cluster::without_controller().await;
    cluster.scope.push_str("metrics: {perRollout: false}\n");
    cluster.run_controller();
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    cluster.phase(Phase::Paused).await;
    let text = once(&cluster, "tidegate_paused_rollouts{reason=\"Approval\"}", Some(1.0)).await;
    assert!(!text.contains("rollout=\"") && !text.contains("namespace=\""), "{text}");
    are(&text, &[("tidegate_rollouts{phase=\"Paused\"}", 1.0), ("tidegate_runs_started_total", 1.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_waits_tells_of_no_rollout() {
    let mut cluster = Cluster::without_controller().await;
    elects(&mut cluster);
    cluster.run_controller();
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    cluster.phase(Phase::Paused).await;
    let of_leader = once(&cluster, "tidegate_rollouts{phase=\"Paused\"}", Some(1.0)).await;
    are(&of_leader, &[("tidegate_leader", 1.0)]);
    assert!(of_leader.contains("rollout=\"color\""), "{of_leader}");
    let leader = cluster.controller.take().unwrap();
    cluster.run_controller();
    let text = once(&cluster, "tidegate_ready", Some(1.0)).await;
    are(&text, &[("tidegate_leader", 0.0), ("tidegate_rollouts{phase=\"Paused\"}", 0.0)]);
    assert!(!text.contains("rollout=\""), "{text}");
    are(&text, &[("tidegate_runs_started_total", 0.0), ("tidegate_pauses_total{reason=\"Approval\"}", 0.0)]);

    leader.stop().await;
    let text = once(&cluster, "tidegate_leader", Some(1.0)).await;
    are(
        &text,
        &[("tidegate_rollouts{phase=\"Paused\"}", 1.0), ("tidegate_pauses_total{reason=\"Approval\"}", 0.0)],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_metrics_are_all_that_is_served() {
    let cluster = Cluster::start().await;
    eventually("ready", || cluster.readyz(), |(code, _)| *code == 200).await;
    let address = cluster.served_at();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = async |method: &str, path: &str| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let answer = client.request(method, format!("http://{address}{path}")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(asked("GET", path).await.0, 200, "{path}");
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            assert_eq!(asked(method, path).await, (405, String::new()), "{method} {path}");
        }
    }
    let elsewhere = [
        "/",
        "/debug",
        "/debug/pprof",
        "/debug/pprof/",
        "/debug/pprof/heap",
        "/config",
        "/configz",
        "/flagz",
        "/statusz",
        "/healthz",
        "/env",
        "/rollouts",
        "/api",
        "/apis",
        "/version",
        "/favicon.ico",
        "/metrics/",
        "/metrics/config",
        "/livez/..",
        "/readyz/verbose",
        "/etc/tidegate/config/tidegate.yaml",
        "//metrics",
    ];
    for path in elsewhere {
        for method in ["GET", "POST"] {
            assert_eq!(asked(method, path).await, (404, String::new()), "{method} {path}");
        }
    }
    // What is served takes no orders and tells nothing of the configuration.
    let told =
        format!("{}{}", asked("GET", "/metrics?debug=1").await.1, asked("GET", "/readyz?verbose").await.1);
    assert!(!told.contains(&cluster.gateway.url()), "{told}");
}

/// Holds a scrape against what Prometheus' own tool asks of names and helps. It reads the older of the two text formats, in
/// which a counter's full name is declared.
fn prometheus_takes(text: &str) {
    let older = |line: &str| match line.rsplit_once(' ') {
        _ if line.starts_with("# UNIT") || line == "# EOF" => None,
        Some((declared, "counter")) => Some(format!("{declared}_total counter")),
        Some((declared, "info")) => Some(format!("{declared}_info gauge")),
        _ => Some(line.to_owned()),
    };
    let endings: Vec<(String, &str)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .filter_map(|(name, kind)| Some((name.to_owned(), ending(kind)?)))
        .collect();
    let named = |line: String| match line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
        Some((name, help)) => {
            let ending = endings.iter().find(|(known, _)| known == name).map_or("", |(_, ending)| ending);
            format!("# HELP {name}{ending} {help}")
        }
        None => line,
    };
    let older: Vec<String> = text.lines().filter_map(older).map(named).collect();
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else { return skip("promtool is not on PATH") };
    tool.stdin.take().unwrap().write_all(format!("{}\n", older.join("\n")).as_bytes()).unwrap();
    let done = tool.wait_with_output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && told.trim().is_empty(), "{told}");
}

fn ending(kind: &str) -> Option<&'static str> {
    match kind {
        "counter" => Some("_total"),
        "info" => Some("_info"),
        _ => None,
    }
}
