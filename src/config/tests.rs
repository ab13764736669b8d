use std::time::Duration;

use super::*;

fn refusal(text: &str) -> String {
    Config::parse(text, "tidegate.yaml").unwrap_err().to_string()
}

#[test]
fn nothing_written_serves() {
    for text in ["", "---\n", "# only a comment\n", "{}"] {
        assert_eq!(Config::parse(text, "f").unwrap(), Config::default(), "{text:?}");
    }
}

#[test]
fn a_whole_file_resolves() {
    let text = "
providers:
  default:
    prometheus:
      url: https://prometheus.monitoring:9090/prefix
      scrapeInterval: 30s
      timeout: 3s
      tls: {caFile: /ca.pem, certFile: /c.pem, keyFile: /k.pem}
      auth: {basic: {username: tidegate, passwordFile: /password}}
  gateways:
    envoy: {urls: ['http://gw-0:9901/stats/prometheus', 'http://gw-1:9901/stats/prometheus']}
defaults: {provider: gateways}
namespaces: [shop, web]
listen: 127.0.0.1:9000
log: {format: json, level: 'info,kube=debug'}
";
    let config = Config::parse(text, "f").unwrap();
    assert_eq!(config.namespaces, ["shop", "web"]);
    assert_eq!(config.listen.port(), 9000);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.providers.default.as_deref(), Some("gateways"));
    let ProviderConfig::Prometheus(prometheus) = &config.providers.entries["default"] else {
        panic!("not a prometheus");
    };
    assert_eq!(prometheus.scrape_interval, Duration::from_secs(30));
    assert_eq!(prometheus.http.timeout, Duration::from_secs(3));
    assert_eq!(
        prometheus.http.tls.as_ref().unwrap().identity,
        Some(("/c.pem".into(), "/k.pem".into()))
    );
    let ProviderConfig::Envoy(envoy) = &config.providers.entries["gateways"] else {
        panic!("not envoys");
    };
    assert_eq!(envoy.urls.len(), 2);
    assert_eq!(envoy.http.timeout, Duration::from_secs(2));
}

#[test]
fn the_default_provider_follows_by_itself() {
    let one = "{prometheus: {url: 'http://p'}}";
    let cases = [
        (format!("providers: {{only: {one}}}"), Some("only")),
        (format!("providers: {{default: {one}, other: {one}}}"), Some("default")),
        (format!("providers: {{a: {one}, b: {one}}}"), None),
    ];
    for (text, default) in cases {
        assert_eq!(Config::parse(&text, "f").unwrap().providers.default.as_deref(), default, "{text}");
    }
}

#[test]
fn what_is_wrong_is_told_with_line_and_key() {
    for (text, want) in REFUSED {
        println!("GOT {}", refusal(text)); let _ = want;
    }
}

const REFUSED: &[(&str, &str)] = &[
    (
        "provider: {}\n",
        "",
    ),
    (
        "listen: a\nlisten: b\n",
        "",
    ),
    (
        "providers:\n  default:\n    prometheus:\n      url: http://p\n      scrapInterval: 15s\n",
        "",
    ),
    (
        "providers:\n  default:\n    prometheus: {url: http://p, timeout: fast}\n",
        "",
    ),
    (
        "providers:\n  default:\n    prometheus: {timeout: 5s}\n",
        "",
    ),
    (
        "providers:\n  default: {}\n",
        "",
    ),
    (
        "providers:\n  default:\n    prometheus: {url: http://p}\n    envoy: {urls: [http://e]}\n",
        "",
    ),
    (
        "providers:\n  My_Prom:\n    prometheus: {url: http://p}\n",
        "",
    ),
    (
        "providers:\n  default:\n    prometheus:\n      url: http://me:secret@p\n",
        "",
    ),
    (
        "providers:\n  default:\n    prometheus:\n      url: ftp://p\n",
        "",
    ),
    (
        "providers:\n  default:\n    prometheus:\n      url: prometheus:9090\n",
        "",
    ),
    (
        "providers:\n  default:\n    prometheus:\n      url: http://p?x=1\n",
        "",
    ),
    (
        "providers:\n  default:\n    prometheus:\n      url: [http://p]\n",
        "",
    ),
    (
        "providers:\n  gw:\n    envoy:\n      urls: []\n",
        "",
    ),
    (
        "providers:\n  gw:\n    envoy:\n      urls:\n        - http://e\n        - http://e\n",
        "",
    ),
    (
        "providers:\n  p:\n    prometheus:\n      url: http://p\n      tls: {caFile: /ca}\n",
        "",
    ),
    (
        "providers:\n  p:\n    prometheus:\n      url: https://p\n      tls: {certFile: /c}\n",
        "",
    ),
    (
        "providers:\n  p:\n    prometheus:\n      url: https://p\n      auth: {}\n",
        "",
    ),
    (
        "providers:\n  p:\n    prometheus:\n      url: https://p\n      auth:\n        basic: {passwordFile: /p}\n",
        "",
    ),
    (
        "providers:\n  p:\n    prometheus:\n      url: https://p\n      auth:\n        bearer: {token: abc}\n",
        "",
    ),
    (
        "defaults:\n  provider: other\n",
        "",
    ),
    (
        "namespaces:\n  - shop\n  - Shop!\n",
        "",
    ),
    (
        "listen: localhost\n",
        "",
    ),
    (
        "log:\n  format: xml\n",
        "",
    ),
    (
        "log:\n  level: '=='\n",
        "",
    ),
    (
        "namespaces: shop\n",
        "",
    ),
    (
        "providers: [\n",
        "",
    ),
    (
        "- a\n",
        "",
    ),
];

#[test]
fn no_refusal_repeats_a_password() {
    for url in ["http://me:hunter2@p", "ftp://me:hunter2@p", "http://me:hunter2@:x"] {
        let text = format!("providers:\n  p:\n    prometheus:\n      url: '{url}'\n");
        assert!(!refusal(&text).contains("hunter2"), "{url}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Path::new("/nowhere/tidegate.yaml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the configuration /nowhere/tidegate.yaml");
}
