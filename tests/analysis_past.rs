//! `tidegate analysis replay` over the past of a real Prometheus, which is written into it beforehand.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    fmt::Write,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tidegate::clock::Clock;

const ROLLOUT: &str = r#"
apiVersion: tidegate.dev/v1alpha1
kind: Rollout
metadata: {name: color, namespace: shop}
spec:
  routes: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: color}]
  target: {name: v2}
  strategy: {canary: {hold: 5m, steps: [{weight: 5}, {weight: 20}, {weight: 50, approval: Required}]}}
  analysis:
    provider: default
    interval: 15s
    settle: 30s
    series: {errors: 'requests_total{app="{{target}}",code="500"}', total: 'requests_total{app="{{target}}"}'}
    errorRate: {}
"#;

/// Seconds between two scrapes, and how many there were.
const SCRAPE: i64 = 15;
const SCRAPES: i64 = 4 * 180;
/// The run begins at this scrape: stable has more than an hour behind it then.
const BEGINS: i64 = 300;
/// A hole, in scrapes.
const HOLE: std::ops::Range<i64> = 330..380;

/// What was scraped of a pair of versions: the canary fails so much, from when it has traffic.
struct Past {
    name: &'static str,
    canary_fails: f64,
    hole: bool,
}

const PASTS: [Past; 3] = [
    Past { name: "good", canary_fails: 0.001, hole: false },
    Past { name: "bad", canary_fails: 0.03, hole: false },
    Past { name: "gap", canary_fails: 0.001, hole: true },
];

fn open_metrics(begin: i64) -> String {
    let mut text = String::from("# TYPE requests counter\n");
    for past in PASTS {
        for (version, rate, fails, since) in [("v1", 95.0, 0.001, 0), ("v2", 5.0, past.canary_fails, BEGINS)]
        {
            for (code, share) in [("200", 1.0 - fails), ("500", fails)] {
                for scrape in since..SCRAPES {
                    // A canary of 5 requests a second has its first failure some time later, and its series with it.
                    let count = ((scrape - since) as f64 * SCRAPE as f64 * rate * share).floor();
                    if (past.hole && HOLE.contains(&scrape)) || (code == "500" && count < 1.0) {
                        continue;
                    }
                    let (name, at) = (past.name, begin + scrape * SCRAPE);
                    let _ = writeln!(
                        text,
                        "requests_total{{app=\"{version}-{name}\",code=\"{code}\"}} {count} {at}"
                    );
                }
            }
        }
    }
    text + "# EOF\n"
}

/// A Prometheus with that past; it ends with the test.
struct Prometheus {
    child: Child,
    url: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    async fn start(folder: &Path, begin: i64) -> Self {
        let (metrics, data, config) =
            (folder.join("past.om"), folder.join("data"), folder.join("prometheus.yml"));
        std::fs::write(&metrics, open_metrics(begin)).unwrap();
        std::fs::write(&config, "global: {scrape_interval: 15s}\n").unwrap();
        let written = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&metrics, &data])
            .output()
            .unwrap();
        assert!(written.status.success(), "{written:?}");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut prometheus = Self { child, url: format!("http://127.0.0.1:{port}") };
        let listens = async {
            while tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
                assert!(prometheus.child.try_wait().unwrap().is_none(), "Prometheus ended");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), listens).await.expect("Prometheus listens");
        prometheus
    }

    /// Replays a run; the arguments that are given besides come last.
    fn replay(&self, folder: &Path, name: &str, begin: i64, more: &[&str]) -> (bool, String, String) {
        self.replay_of(ROLLOUT, folder, name, begin, more)
    }

    fn replay_of(
        &self,
        manifest: &str,
        folder: &Path,
        name: &str,
        begin: i64,
        more: &[&str],
    ) -> (bool, String, String) {
        let rollout = folder.join("rollout.yaml");
        std::fs::write(&rollout, manifest).unwrap();
        let time = |scrape: i64| jiff::Timestamp::from_second(begin + scrape * SCRAPE).unwrap().to_string();
        let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["analysis", "replay", "--prometheus", &self.url, "--rollout"])
            .arg(&rollout)
            .args(["--from", &time(BEGINS), "--to", &time(SCRAPES - 1)])
            .args(["--canary", &format!("v2-{name}"), "--stable", &format!("v1-{name}")])
            .args(more)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }
}

#[tokio::test]
async fn what_a_rollout_would_have_done_over_the_past_of_a_prometheus() {
    if ["prometheus", "promtool"]
        .iter()
        .any(|program| Command::new(program).arg("--version").output().is_err())
    {
        eprintln!(
            "skipped: the past of a real Prometheus is not replayed, for prometheus and promtool are not installed"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let now = Clock::start().now().as_second();
    let begin = now - now % 60 - (SCRAPES + 240) * SCRAPE;
    let prometheus = Prometheus::start(folder, begin).await;
    let told = |name: &str| {
        let (done, out, why) = prometheus.replay(folder, name, begin, &["-o", "json"]);
        assert!(done, "{name}: {why}");
        serde_json::from_str::<Value>(&out).unwrap()
    };

    let good = told("good");
    assert_eq!((&good["end"], &good["share"]), (&"promoted".into(), &100.into()), "{good:#}");
    assert!(good["fixed"].as_str().unwrap().contains("would not have ended it either"), "{}", good["fixed"]);

    let bad = told("bad");
    assert_eq!((&bad["end"], &bad["share"]), (&"rolledBack".into(), &5.into()), "{bad:#}");
    let sentence = bad["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("Rolled back at 5%: canary failed"), "{sentence}");
    // Three percent stay below five, however often one looks.
    assert!(bad["fixed"].as_str().unwrap().contains("would never have ended it"), "{}", bad["fixed"]);

    // The same by a template of the same file.
    let (before, analysis) = ROLLOUT.split_once("  analysis:\n").unwrap();
    let named = "  analysis: {templateRef: {name: common}, args: {code: '500'}}\n";
    let head = "---\napiVersion: tidegate.dev/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: common}\n";
    let template = format!(
        "{head}spec:\n  args: [{{name: code}}]\n  analysis:\n{}",
        analysis.replace("500", "{{args.code}}")
    );
    let by_template = |template: &str| {
        let manifest = format!("{before}{named}{template}");
        prometheus.replay_of(&manifest, folder, "bad", begin, &["-o", "json"])
    };
    let (done, out, why) = by_template(&template);
    assert!(done, "{why}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), bad);
    let (done, _, why) = by_template("");
    assert!(!done && why.contains("there is no AnalysisTemplate common"), "{why}");

    // Nothing was scraped for twelve minutes: the run holds, blames nobody, and goes on.
    let gap = told("gap");
    assert_eq!(gap["end"], "promoted", "{gap:#}");
    let moments = gap["moments"].as_array().unwrap();
    assert!(moments.iter().any(|moment| moment["reason"] == "MetricError"), "{gap:#}");

    let page = folder.join("page.html");
    let (done, out, why) = prometheus.replay(folder, "bad", begin, &["--html", page.to_str().unwrap()]);
    assert!(done && out.contains("Rolled back at"), "{out}{why}");
    assert!(std::fs::read_to_string(page).unwrap().contains("errorRate: the evidence"));

    let (done, _, why) = prometheus.replay(folder, "nobody", begin, &[]);
    assert!(!done && why.contains("check --canary and --stable"), "{why}");
}
