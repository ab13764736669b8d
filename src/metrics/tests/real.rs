//! A real Prometheus, where one is on PATH.

use std::process::{Command, Stdio};

use super::{look_at_number, providers, *};
use crate::{clock::Clock, config::PrometheusConfig};

#[tokio::test]
async fn a_real_prometheus_answers() {
    if Command::new("prometheus")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
        {
            eprintln!("SKIPPED: no program `prometheus` on PATH");
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("prometheus.yml"), "{}\n").unwrap();
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut program = Command::new("prometheus")
        .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let providers = providers(ProviderConfig::Prometheus(PrometheusConfig {
        scrape_interval: Duration::from_secs(1),
        lag: Duration::from_secs(1),
        ..prometheus_at(format!("http://127.0.0.1:{port}").parse().unwrap(), Duration::from_secs(5))
    }));
    let clock = Clock::start();
    let number = async |query: &str| {
        let look = providers.look(&look_at_number(query), clock.now()).await;
        look.numbers["queue"].clone()
    };
    let ready = tokio::time::timeout(Duration::from_mins(1), async {
        while number("vector(2)").await.map(|sample| sample.value) != Ok(2.0) {
            tokio::task::yield_now().await;
        }
    });
    let ready = ready.await;
    let outcomes = [
        number("1 +").await,
        number("nothing").await,
        number("0 / 0").await,
        number("vector(1) or label_replace(vector(2), \"a\", \"b\", \"\", \"\")").await,
    ];
    program.kill().unwrap();
    program.wait().unwrap();
    ready.unwrap();
    let query = "queue".to_owned();
    let want = [
        Err(ReadError::BadQuery { query: query.clone() }),
        Err(ReadError::Empty { query: query.clone() }),
        Err(ReadError::NotFinite { query: query.clone() }),
        Err(ReadError::ManySeries { query, count: 2 }),
    ];
    assert_eq!(outcomes, want);
}
