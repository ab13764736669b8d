use std::time::Duration;

use super::*;
use crate::{api::Transition, config::EnvoySource};

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
leaderElection: {namespace: ops}
log: {format: json, level: 'info,kube=debug'}
";
    let config = Config::parse(text, "f").unwrap();
    assert_eq!(config.namespaces, ["shop", "web"]);
    assert_eq!(config.listen.port(), 9000);
    assert_eq!(config.log.format, LogFormat::Json);
    let lease = LeaderElection { lease: "tidegate".into(), namespace: Some("ops".into()) };
    assert_eq!(config.replicas, Replicas::Led(lease.clone()));
    assert_eq!(config.clone().sharing().replicas, Replicas::Sharing(lease));
    assert_eq!(config.providers.default.as_deref(), Some("gateways"));
    let ProviderConfig::Prometheus(prometheus) = &config.providers.entries["default"] else {
        panic!("not a prometheus");
    };
    assert_eq!(prometheus.scrape_interval, Duration::from_secs(30));
    assert_eq!(prometheus.http.timeout, Duration::from_secs(3));
    assert_eq!(prometheus.http.tls.as_ref().unwrap().identity, Some(("/c.pem".into(), "/k.pem".into())));
    let ProviderConfig::Envoy(envoy) = &config.providers.entries["gateways"] else {
        panic!("not envoys");
    };
    assert!(matches!(&envoy.source, EnvoySource::Urls(urls) if urls.len() == 2), "{envoy:?}");
    assert_eq!(envoy.http.timeout, Duration::from_secs(2));
}

#[test]
fn cloud_watch_resolves_with_and_without_keys() {
    let config = |text: &str| match Config::parse(text, "f").unwrap().providers.entries.remove("aws") {
        Some(ProviderConfig::CloudWatch(config)) => config,
        other => panic!("{other:?}"),
    };
    let least = CloudWatchConfig {
        region: None,
        role_arn: None,
        endpoint: None,
        period: Duration::from_mins(1),
        timeout: Duration::from_secs(10),
    };
    assert_eq!(config("providers: {aws: {cloudWatch: {}}}"), least);
    let text = "
providers:
  aws:
    cloudWatch:
      region: eu-central-1
      roleArn: arn:aws-cn:iam::123456789012:role/ops/tidegate
      endpoint: https://vpce-1.monitoring.eu-central-1.vpce.amazonaws.com
      period: 5m
      timeout: 20s
";
    let whole = CloudWatchConfig {
        region: Some("eu-central-1".to_owned()),
        role_arn: Some("arn:aws-cn:iam::123456789012:role/ops/tidegate".to_owned()),
        endpoint: Some("https://vpce-1.monitoring.eu-central-1.vpce.amazonaws.com".parse().unwrap()),
        period: Duration::from_mins(5),
        timeout: Duration::from_secs(20),
    };
    assert_eq!(config(text), whole);
}

#[test]
fn web_resolves_with_its_headers() {
    let text = "providers: {w: {web: {url: 'https://w/api', timeout: 3s, headers: {X-Scope: shop}, tls: {caFile: /ca}}}}";
    let Some(ProviderConfig::Web(web)) = Config::parse(text, "f").unwrap().providers.entries.remove("w")
    else {
        panic!("not web");
    };
    assert_eq!(web.url.as_str(), "https://w/api");
    assert_eq!(web.http.timeout, Duration::from_secs(3));
    let [(name, value)] = web.http.headers.as_slice() else { panic!("{web:?}") };
    assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-scope", "shop"));
}

#[test]
fn a_prometheus_of_many_tenants_resolves() {
    let config = |text: &str| match Config::parse(text, "f").unwrap().providers.entries.remove("p") {
        Some(ProviderConfig::Prometheus(config)) => config,
        other => panic!("{other:?}"),
    };
    let least = config("providers: {p: {prometheus: {url: 'http://p', scrapeInterval: 30s}}}");
    assert_eq!((least.lag, least.max_concurrent, least.tenant), (Duration::from_secs(30), 16, None));
    let whole = config(
        "providers: {p: {prometheus: {url: 'http://p', lag: 1m, maxConcurrent: 4, tenant: {id: 'team-{{namespace}}'}, \
         headers: {X-Team: ops}}}}",
    );
    assert_eq!((whole.lag, whole.max_concurrent), (Duration::from_mins(1), 4));
    let tenant = whole.tenant.unwrap();
    assert_eq!((tenant.header.as_str(), tenant.of("shop")), ("x-scope-orgid", "team-shop".to_owned()));
    assert_eq!(whole.http.headers[0].0.as_str(), "x-team");
    let thanos =
        config("providers: {p: {prometheus: {url: 'http://p', tenant: {id: ops, header: THANOS-TENANT}}}}");
    assert_eq!(thanos.tenant.unwrap().header.as_str(), "thanos-tenant");
}

#[test]
fn gates_resolve_with_and_without_keys() {
    let text = "
gates:
  least: {url: 'http://gates/x?team=shop'}
  change-window:
    url: https://gates.example/change-window
    timeout: 3s
    interval: 1s
    headers: {X-Team: ops}
    tls: {caFile: /ca.pem}
    auth: {bearer: {tokenFile: /token}}
";
    let gates = Config::parse(text, "f").unwrap().gates;
    let least = &gates["least"];
    assert_eq!(least.url.as_str(), "http://gates/x?team=shop");
    assert_eq!((least.http.timeout, least.interval), (Duration::from_secs(5), Duration::from_secs(10)));
    let whole = &gates["change-window"];
    assert_eq!((whole.http.timeout, whole.interval), (Duration::from_secs(3), Duration::from_secs(1)));
    assert_eq!(whole.http.auth, Some(Auth::Bearer { token_file: "/token".into() }));
    assert_eq!((whole.http.headers[0].0.as_str(), whole.http.tls.is_some()), ("x-team", true));
}

#[test]
fn receivers_of_each_kind_resolve() {
    let text = "
notifications:
  clusterName: prod-eu
  receivers:
    team: {slack: {urlFile: /slack}, on: [Paused, RolledBack], namespaces: [shop]}
    ms: {teams: {urlFile: /teams, timeout: 3s, tls: {caFile: /ca.pem}}}
    pager: {pagerDuty: {routingKeyFile: /key}}
    pager-eu: {pagerDuty: {routingKeyFile: /key, url: 'https://events.eu.pagerduty.com/v2/enqueue', severity: critical}}
    events: {cloudEvents: {url: 'http://broker/x', headers: {X-A: b}}}
    events-of: {cloudEvents: {url: 'http://broker/x', source: 'https://tidegate.example/a?b=c'}}
    hook: {webhook: {url: 'https://hook/x?token=1', auth: {bearer: {tokenFile: /t}}, body: {text: 'a {{run}}', n: 1}}}
    plain: {webhook: {url: 'http://hook'}}
";
    let notifications = Config::parse(text, "f").unwrap().notifications;
    assert_eq!(notifications.cluster_name.as_deref(), Some("prod-eu"));
    let receiver = |name: &str| &notifications.receivers[name];
    let kind = |name: &str| receiver(name).kind.clone();
    assert_eq!(receiver("team").on, [Transition::Paused, Transition::RolledBack].into());
    assert_eq!(receiver("team").namespaces, ["shop"]);
    let default = [Transition::Paused, Transition::RolledBack, Transition::Promoted];
    assert_eq!((&receiver("ms").on, receiver("ms").namespaces.len()), (&default.into(), 0));

    let (ReceiverKind::Slack(slack), ReceiverKind::Teams(teams)) = (kind("team"), kind("ms")) else {
        panic!()
    };
    assert_eq!((slack.url_file, slack.http.timeout), ("/slack".into(), Duration::from_secs(10)));
    assert_eq!((teams.http.timeout, teams.http.tls.is_some()), (Duration::from_secs(3), true));
    let ReceiverKind::PagerDuty(pager) = kind("pager") else { panic!() };
    assert_eq!((pager.url.as_str(), pager.severity), ("https://events.pagerduty.com/v2/enqueue", None));
    let ReceiverKind::PagerDuty(pager) = kind("pager-eu") else { panic!() };
    assert_eq!(
        (pager.url.host_str(), pager.severity),
        (Some("events.eu.pagerduty.com"), Some(Severity::Critical))
    );
    let sources = ["events", "events-of"].map(|name| match kind(name) {
        ReceiverKind::CloudEvents(events) => events.source,
        other => panic!("{other:?}"),
    });
    assert_eq!(sources, ["tidegate/prod-eu", "https://tidegate.example/a?b=c"]);
    let (ReceiverKind::Webhook(hook), ReceiverKind::Webhook(plain)) = (kind("hook"), kind("plain")) else {
        panic!()
    };
    let parts = vec![Part::Written("a ".to_owned()), Part::Placeholder(Placeholder::Run)];
    let fields = [("n", Body::Fixed(1.into())), ("text", Body::Text(parts))];
    assert_eq!(hook.body, Some(Body::Object(fields.map(|(name, field)| (name.to_owned(), field)).into())));
    assert_eq!(plain.body, None);
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
fn previews_and_scaling_are_off_unless_they_are_switched_on() {
    let switches = |config: Config| (config.previews, config.scaling);
    assert_eq!(switches(Config::default()), (false, false));
    assert_eq!(switches(Config::parse("namespaces: []", "f").unwrap()), (false, false));
    assert_eq!(switches(Config::parse("previews: true", "f").unwrap()), (true, false));
    assert_eq!(switches(Config::parse("scaling: true", "f").unwrap()), (false, true));
}

#[test]
fn rollouts_have_series_of_their_own_unless_that_is_switched_off() {
    let per_rollout = |text: &str| Config::parse(text, "f").unwrap().metrics.per_rollout;
    assert!(per_rollout("namespaces: []"));
    assert!(per_rollout("metrics: {}"));
    assert!(per_rollout("metrics: {perRollout: true}"));
    assert!(!per_rollout("metrics: {perRollout: false}"));
}

#[test]
fn leader_election_needs_no_more_than_its_key() {
    let replicas = |text: &str| Config::parse(text, "f").unwrap().replicas;
    let default = LeaderElection { lease: "tidegate".into(), namespace: None };
    assert_eq!(replicas("leaderElection: {}"), Replicas::Led(default.clone()));
    assert_eq!(replicas("namespaces: []"), Replicas::One);
    assert_eq!(Config::default().sharing().replicas, Replicas::Sharing(default));
}

#[test]
fn what_is_wrong_is_told_with_line_and_key() {
    for (text, want) in REFUSED {
        assert_eq!(&refusal(text), want, "{text}");
    }
}

const REFUSED: &[(&str, &str)] = &[
    (
        "provider: {}\n",
        "tidegate.yaml:1: provider: there is no key \"provider\" here; the keys are providers, defaults, gates, notifications, namespaces, previews, scaling, listen, leaderElection, log, metrics",
    ),
    (
        "leaderElection:\n  lease: My_Lease\n",
        "tidegate.yaml:2: leaderElection.lease: \"My_Lease\" is not a name; it must be a DNS label like \"tidegate\"",
    ),
    ("listen: a\nlisten: b\n", "tidegate.yaml:2: the file: \"listen\" is given twice; remove one"),
    (
        "providers:\n  default:\n    prometheus:\n      url: http://p\n      scrapInterval: 15s\n",
        "tidegate.yaml:5: providers.default.prometheus.scrapInterval: there is no key \"scrapInterval\" here; the keys are url, scrapeInterval, lag, timeout, maxConcurrent, tenant, headers, tls, auth",
    ),
    (
        "providers:\n  default:\n    prometheus: {url: http://p, timeout: fast}\n",
        "tidegate.yaml:3: providers.default.prometheus.timeout: \"fast\" is not a duration; it must be like 30s, 5m or 1h30m",
    ),
    (
        "providers:\n  default:\n    prometheus: {timeout: 5s}\n",
        "tidegate.yaml:3: providers.default.prometheus: the key \"url\" is missing; add it",
    ),
    (
        "providers:\n  default: {}\n",
        "tidegate.yaml:2: providers.default: a provider must have one of prometheus, envoy, cloudWatch and web; add it",
    ),
    (
        "providers:\n  default:\n    prometheus: {url: http://p}\n    envoy: {urls: [http://e]}\n",
        "tidegate.yaml:3: providers.default: a provider must be only one of prometheus, envoy, cloudWatch and web; make an entry of each",
    ),
    (
        "providers:\n  My_Prom:\n    prometheus: {url: http://p}\n",
        "tidegate.yaml:3: providers.My_Prom: a provider's name must be a DNS label of at most 63 lower-case letters, digits and hyphens; rename it",
    ),
    (
        "providers:\n  default:\n    prometheus:\n      url: http://me:secret@p\n",
        "tidegate.yaml:4: providers.default.prometheus.url: the address must hold no credentials; use auth, which reads them from files",
    ),
    (
        "providers:\n  default:\n    prometheus:\n      url: ftp://p\n",
        "tidegate.yaml:4: providers.default.prometheus.url: the address must begin with http:// or https://",
    ),
    (
        "providers:\n  default:\n    prometheus:\n      url: prometheus:9090\n",
        "tidegate.yaml:4: providers.default.prometheus.url: the address must begin with http:// or https://",
    ),
    (
        "providers:\n  default:\n    prometheus:\n      url: http://p?x=1\n",
        "tidegate.yaml:4: providers.default.prometheus.url: the address must have no query; remove what follows the ?",
    ),
    (
        "providers:\n  default:\n    prometheus:\n      url: [http://p]\n",
        "tidegate.yaml:4: providers.default.prometheus.url: there must be a single text here; quote it if it has special characters",
    ),
    (
        "providers:\n  gw:\n    envoy: {scrapeInterval: 1s}\n",
        "tidegate.yaml:3: providers.gw.envoy: it must have urls (every gateway pod's, like http://gw-0:9901/stats/prometheus) or registry (the list of the gateways' control plane, like http://tidegate-gateway.tidegate:18001/envoys)",
    ),
    (
        "providers:\n  gw:\n    envoy: {registry: 'http://gw/envoys', gateway: color}\n",
        "tidegate.yaml:3: providers.gw.envoy.gateway: it must be the namespace and the name of a VirtualGateway, like default/color-gateway",
    ),
    (
        "providers:\n  gw:\n    envoy: {urls: ['http://e'], gateway: shop/gw}\n",
        "tidegate.yaml:3: providers.gw.envoy.gateway: gateway chooses among the Envoys of a registry, and there is none; remove it",
    ),
    (
        "providers:\n  gw:\n    envoy: {registry: 'http://gw/envoys', virtualNodes: [shop/front, cart]}\n",
        "tidegate.yaml:3: providers.gw.envoy.virtualNodes[1]: it must be the namespace and the name of a VirtualNode, like default/front",
    ),
    (
        "providers:\n  gw:\n    envoy: {registry: 'http://gw/envoys', virtualNodes: []}\n",
        "tidegate.yaml:3: providers.gw.envoy.virtualNodes: it names no VirtualNode; name those whose Envoys are to be read, or remove it",
    ),
    (
        "providers:\n  gw:\n    envoy: {urls: ['http://e'], virtualNodes: [shop/front]}\n",
        "tidegate.yaml:3: providers.gw.envoy.virtualNodes: virtualNodes chooses among the Envoys of a registry, and there is none; remove it",
    ),
    (
        "providers:\n  gw:\n    envoy: {urls: ['http://e'], registry: 'http://gw/envoys'}\n",
        "tidegate.yaml:3: providers.gw.envoy: urls and registry are two ways to find the same Envoys; keep one of them",
    ),
    (
        "providers:\n  gw:\n    envoy:\n      urls: []\n",
        "tidegate.yaml:4: providers.gw.envoy.urls: there must be at least one address; list every gateway pod's, like http://gw-0:9901/stats/prometheus",
    ),
    (
        "providers:\n  gw:\n    envoy:\n      urls:\n        - http://e\n        - http://e\n",
        "tidegate.yaml:6: providers.gw.envoy.urls[1]: the address is listed twice, and its requests would count twice; remove one",
    ),
    (
        "providers:\n  p:\n    prometheus:\n      url: http://p\n      tls: {caFile: /ca}\n",
        "tidegate.yaml:5: providers.p.prometheus.tls: tls has no effect on an http:// address; make it https:// or remove tls",
    ),
    (
        "providers:\n  p:\n    prometheus:\n      url: http://p\n      lag: 10s\n",
        "tidegate.yaml:5: providers.p.prometheus.lag: lag must not be shorter than scrapeInterval, or some targets would not have been scraped yet; lengthen it or leave it out",
    ),
    (
        "providers:\n  p:\n    prometheus:\n      url: http://p\n      maxConcurrent: 0\n",
        "tidegate.yaml:5: providers.p.prometheus.maxConcurrent: maxConcurrent must be at least 1, or nothing could ever be asked",
    ),
    (
        "providers:\n  p:\n    prometheus:\n      url: http://p\n      tenant: {id: '{{rollout}}'}\n",
        "tidegate.yaml:5: providers.p.prometheus.tenant.id: the only placeholder here is {{namespace}}, the Rollout's; correct it",
    ),
    (
        "providers:\n  p:\n    prometheus:\n      url: http://p\n      tenant: {id: \"a\\nb\"}\n",
        "tidegate.yaml:5: providers.p.prometheus.tenant.id: an HTTP header can't have such a value; it must be one line of text",
    ),
    (
        "providers:\n  p:\n    prometheus:\n      url: http://p\n      tenant: {id: a, header: Cookie}\n",
        "tidegate.yaml:5: providers.p.prometheus.tenant.header: this header holds credentials; use auth, which reads them from files",
    ),
    (
        "providers:\n  p:\n    prometheus:\n      url: http://p\n      tenant: {id: a}\n      headers:\n        X-Scope-OrgID: b\n",
        "tidegate.yaml:7: providers.p.prometheus.headers.X-Scope-OrgID: tenant sets this header; remove one of them",
    ),
    (
        "providers:\n  p:\n    prometheus:\n      url: https://p\n      tls: {certFile: /c}\n",
        "tidegate.yaml:5: providers.p.prometheus.tls: certFile and keyFile must be given together; add the other one",
    ),
    (
        "providers:\n  p:\n    prometheus:\n      url: https://p\n      auth: {}\n",
        "tidegate.yaml:5: providers.p.prometheus.auth: auth must have one of basic and bearer; add it",
    ),
    (
        "providers:\n  p:\n    prometheus:\n      url: https://p\n      auth:\n        basic: {passwordFile: /p}\n",
        "tidegate.yaml:6: providers.p.prometheus.auth: basic must have exactly one of username and usernameFile",
    ),
    (
        "providers:\n  p:\n    prometheus:\n      url: https://p\n      auth:\n        bearer: {token: abc}\n",
        "tidegate.yaml:6: providers.p.prometheus.auth.bearer.token: there is no key \"token\" here; the keys are tokenFile",
    ),
    (
        "providers:\n  aws:\n    cloudWatch:\n      region: eu_central\n",
        "tidegate.yaml:4: providers.aws.cloudWatch.region: \"eu_central\" is not a region; it must be like eu-central-1",
    ),
    (
        "providers:\n  aws:\n    cloudWatch: {roleArn: tidegate}\n",
        "tidegate.yaml:3: providers.aws.cloudWatch.roleArn: \"tidegate\" is not a role; it must be like arn:aws:iam::123456789012:role/tidegate",
    ),
    (
        "providers:\n  aws:\n    cloudWatch: {roleArn: 'arn:aws:iam::1234:role/tidegate'}\n",
        "tidegate.yaml:3: providers.aws.cloudWatch.roleArn: \"arn:aws:iam::1234:role/tidegate\" is not a role; it must be like arn:aws:iam::123456789012:role/tidegate",
    ),
    (
        "providers:\n  aws:\n    cloudWatch:\n      endpoint: monitoring\n",
        "tidegate.yaml:4: providers.aws.cloudWatch.endpoint: this is not an endpoint; it must be like https://monitoring.eu-central-1.amazonaws.com, without credentials, query and fragment",
    ),
    (
        "providers:\n  aws:\n    cloudWatch:\n      endpoint: http://me:secret@p\n",
        "tidegate.yaml:4: providers.aws.cloudWatch.endpoint: this is not an endpoint; it must be like https://monitoring.eu-central-1.amazonaws.com, without credentials, query and fragment",
    ),
    (
        "providers:\n  aws:\n    cloudWatch:\n      period: 90s\n",
        "tidegate.yaml:4: providers.aws.cloudWatch.period: 1m30s is not a period that can be read; it must be one of 1m, 2m, 3m, 4m, 5m, 6m, 10m, 12m and 15m",
    ),
    (
        "providers:\n  aws:\n    cloudWatch: {profile: ops}\n",
        "tidegate.yaml:3: providers.aws.cloudWatch.profile: there is no key \"profile\" here; the keys are region, roleArn, endpoint, period, timeout",
    ),
    (
        "providers:\n  w:\n    web: {url: 'http://w?x=1'}\n",
        "tidegate.yaml:3: providers.w.web.url: the address must have no query; remove what follows the ?",
    ),
    (
        "providers:\n  w:\n    web:\n      url: http://w\n      headers:\n        Authorization: abc\n",
        "tidegate.yaml:6: providers.w.web.headers.Authorization: this header holds credentials; use auth, which reads them from files",
    ),
    (
        "providers:\n  w:\n    web:\n      url: http://w\n      headers: {'X Scope': shop}\n",
        "tidegate.yaml:5: providers.w.web.headers.X Scope: this is not the name of an HTTP header; correct it",
    ),
    (
        "providers:\n  w:\n    web:\n      url: http://w\n      headers: {host: shop}\n",
        "tidegate.yaml:5: providers.w.web.headers.host: this header is the program's own; remove it",
    ),
    (
        "providers:\n  w:\n    web:\n      url: http://w\n      headers: {X-A: '1', x-a: '2'}\n",
        "tidegate.yaml:5: providers.w.web.headers.x-a: this header is given twice; remove one",
    ),
    (
        "providers:\n  w:\n    web:\n      url: http://w\n      headers: {X-A: \"a\\nb\"}\n",
        "tidegate.yaml:5: providers.w.web.headers.X-A: an HTTP header can't have such a value; it must be one line of text",
    ),
    (
        "gates:\n  Window:\n    url: http://g\n",
        "tidegate.yaml:3: gates.Window: a gate's name must be a DNS label of at most 63 lower-case letters, digits and hyphens; rename it",
    ),
    (
        "gates:\n  window:\n    interval: 5s\n",
        "tidegate.yaml:3: gates.window: the key \"url\" is missing; add it",
    ),
    (
        "gates:\n  window:\n    url: http://g\n    interval: 500ms\n",
        "tidegate.yaml:4: gates.window.interval: interval must be at least 1s; lengthen it",
    ),
    (
        "gates:\n  window:\n    url: http://g\n    timeout: 1m\n",
        "tidegate.yaml:4: gates.window.timeout: timeout must be at most 30s; shorten it",
    ),
    (
        "providers:\n  aws:\n    cloudWatch: {timeout: 31s}\n",
        "tidegate.yaml:3: providers.aws.cloudWatch.timeout: timeout must be at most 30s; shorten it",
    ),
    (
        "gates:\n  window:\n    url: http://me:secret@g\n",
        "tidegate.yaml:3: gates.window.url: the address must hold no credentials; use auth, which reads them from files",
    ),
    (
        "gates:\n  window:\n    url: http://g\n    retries: 3\n",
        "tidegate.yaml:4: gates.window.retries: there is no key \"retries\" here; the keys are url, interval, timeout, headers, tls, auth",
    ),
    (
        "notifications:\n  receivers:\n    team: {}\n",
        "tidegate.yaml:3: notifications.receivers.team: a receiver must have one of slack, teams, pagerDuty, cloudEvents and webhook; add it",
    ),
    (
        "notifications:\n  receivers:\n    team:\n      slack: {urlFile: /a}\n      teams: {urlFile: /b}\n",
        "tidegate.yaml:4: notifications.receivers.team: a receiver must be only one of slack, teams, pagerDuty, cloudEvents and webhook; make an entry of each",
    ),
    (
        "notifications:\n  receivers:\n    a,b: {slack: {urlFile: /a}}\n",
        "tidegate.yaml:3: notifications.receivers.a,b: a receiver's name must be a DNS label of at most 63 lower-case letters, digits and hyphens; rename it",
    ),
    (
        "notifications:\n  receivers:\n    team:\n      slack: {url: 'https://hooks.slack.com/x'}\n",
        "tidegate.yaml:4: notifications.receivers.team.slack.url: there is no key \"url\" here; the keys are urlFile, timeout, tls",
    ),
    (
        "notifications:\n  receivers:\n    team:\n      slack: {urlFile: /a}\n      on: [Failed]\n",
        "tidegate.yaml:5: notifications.receivers.team.on[0]: \"Failed\" is not known; it must be one of Started, Step, Paused, Promoted, RolledBack, Drifted, Invalid",
    ),
    (
        "notifications:\n  receivers:\n    team:\n      slack: {urlFile: /a}\n      on: []\n",
        "tidegate.yaml:5: notifications.receivers.team.on: there must be at least one transition, like RolledBack; leave the key out for the default",
    ),
    (
        "notifications:\n  receivers:\n    team:\n      slack: {urlFile: /a}\n      namespaces: [Shop]\n",
        "tidegate.yaml:5: notifications.receivers.team.namespaces[0]: \"Shop\" is not a namespace; it must be a DNS label like \"shop\"",
    ),
    (
        "notifications:\n  receivers:\n    pager:\n      pagerDuty: {routingKeyFile: /k, severity: bad}\n",
        "tidegate.yaml:4: notifications.receivers.pager.pagerDuty.severity: \"bad\" is not known; it must be one of critical, error, warning, info",
    ),
    (
        "notifications:\n  receivers:\n    pager:\n      pagerDuty: {routingKeyFile: /k, url: events.pagerduty.com}\n",
        "tidegate.yaml:4: notifications.receivers.pager.pagerDuty.url: this is not an address; it must be like http://prometheus.monitoring:9090",
    ),
    (
        "notifications:\n  receivers:\n    events:\n      cloudEvents: {url: 'http://b', source: 'a b'}\n",
        "tidegate.yaml:4: notifications.receivers.events.cloudEvents.source: this is not a source; it must be a URI without spaces, like https://tidegate.example/prod",
    ),
    (
        "notifications:\n  receivers:\n    hook:\n      webhook:\n        url: http://h\n        body: {a: [x, '{{pod}}']}\n",
        "tidegate.yaml:6: notifications.receivers.hook.webhook.body.a[1]: the placeholder {{pod}} is not known; it must be one of namespace, rollout, transition, run, step, reason, message, target, stable, weight, at, id, clusterName",
    ),
    (
        "notifications:\n  receivers:\n    hook:\n      webhook:\n        url: http://h\n        body: 'at {{step'\n",
        "tidegate.yaml:6: notifications.receivers.hook.webhook.body: {{ is never closed; write }} behind the name",
    ),
    (
        "notifications:\n  receivers:\n    hook:\n      webhook:\n        url: http://h\n        body: {'{{run}}': 1}\n",
        "tidegate.yaml:6: notifications.receivers.hook.webhook.body: there can be no placeholder in a key; put it into the value",
    ),
    (
        "notifications:\n  receivers:\n    hook:\n      webhook: {url: 'http://h', headers: {Authorization: x}}\n",
        "tidegate.yaml:4: notifications.receivers.hook.webhook.headers.Authorization: this header holds credentials; use auth, which reads them from files",
    ),
    (
        "notifications:\n  clusterName: ''\n",
        "tidegate.yaml:2: notifications.clusterName: the name must be one line of text; correct it or leave it out",
    ),
    (
        "defaults:\n  provider: other\n",
        "tidegate.yaml:2: defaults.provider: no provider is called \"other\"; name one listed under providers",
    ),
    (
        "namespaces:\n  - shop\n  - Shop!\n",
        "tidegate.yaml:3: namespaces[1]: \"Shop!\" is not a namespace; it must be a DNS label like \"shop\"",
    ),
    (
        "listen: localhost\n",
        "tidegate.yaml:1: listen: \"localhost\" is not an address; it must be an IP address and a port, like 0.0.0.0:8080",
    ),
    (
        "metrics:\n  perRolout: false\n",
        "tidegate.yaml:2: metrics.perRolout: there is no key \"perRolout\" here; the keys are perRollout",
    ),
    ("metrics:\n  perRollout: sometimes\n", "tidegate.yaml:2: metrics.perRollout: it must be true or false"),
    (
        "log:\n  format: xml\n",
        "tidegate.yaml:2: log.format: \"xml\" is not known; it must be one of text, json",
    ),
    (
        "log:\n  level: '=='\n",
        "tidegate.yaml:2: log.level: \"==\" is not a log filter; it must be like info or info,kube=debug",
    ),
    ("namespaces: shop\n", "tidegate.yaml:1: namespaces: there must be a list here; write it as [a, b]"),
    (
        "providers: [\n",
        "tidegate.yaml:1: providers: there must be keys with values here; write them as key: value",
    ),
    ("- a\n", "tidegate.yaml:1: the file: there must be keys with values here; write them as key: value"),
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
