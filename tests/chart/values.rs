//! Values that can't be meant are refused, with a sentence; the configuration is passed on as it is.

use std::net::SocketAddr;

use tidegate::config::{Config, LeaderElection, Replicas};

use crate::helm::{Helm, NAMESPACE, RELEASE, SETS};

/// What Helm says of values that it does not take.
pub fn refusal(helm: &Helm, values: &[&str]) -> String {
    match helm.template(RELEASE, NAMESPACE, values) {
        Ok(_) => panic!("{values:?} are taken"),
        Err(told) => told,
    }
}

#[test]
fn bad_values_are_refused_by_the_schema() {
    let Some(helm) = Helm::find() else { return };
    for (value, part) in [
        ("replicas=two", "/replicas"),
        ("replica=2", "additional properties 'replica' not allowed"),
        ("mode=leader", "'/mode': value must be one of 'leaderElection', 'sharded', 'single'"),
        ("namespaces={Shop}", "/namespaces/0"),
        ("image.tags=1", "/image': additional properties 'tags' not allowed"),
        ("image.digest=1234", "/image/digest"),
        ("secrets.a.name=b", "/secrets/a"),
        ("secrets.A.secretName=b", "/secrets"),
        ("crds.gateway=true", "/crds"),
        ("port=80", "/port"),
        ("podDisruptionBudget.maxUnavailable=0", "/podDisruptionBudget/maxUnavailable"),
        ("networkPolicy.apiServer.ports={70000}", "/networkPolicy/apiServer/ports/0"),
        ("metrics.serviceMonitor.interval=often", "/metrics/serviceMonitor/interval"),
        ("flowControl.matchingPrecedence=9000", "/flowControl/matchingPrecedence"),
        ("admission.approvers.serviceAccounts={ci}", "/admission/approvers/serviceAccounts/0"),
        ("fullnameOverride=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeef", "/fullnameOverride"),
    ] {
        let told = refusal(&helm, &["--set", value]);
        assert!(told.contains(part), "{value}: {told}");
    }
}

#[test]
fn values_that_contradict_each_other_are_refused_with_a_remedy() {
    let Some(helm) = Helm::find() else { return };
    for (values, part) in [
        (
            "config.namespaces={a}",
            "config.namespaces is set by the chart: remove it, and use the value namespaces",
        ),
        ("config.listen=0.0.0.0:1", "use the value port"),
        ("config.leaderElection.lease=a", "use the value mode"),
        ("config.previews=true", "use the value previews"),
        ("config.scaling=true", "use the value scaling"),
        ("mode=single", "set replicas to 1, or mode to leaderElection or sharded"),
        ("serviceAccount.create=false", "serviceAccount.name: name the account"),
        (
            "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true",
            "enable the serviceMonitor or the podMonitor",
        ),
    ] {
        let told = refusal(&helm, &["--set", values]);
        assert!(told.contains(part), "{values}: {told}");
    }
}

/// The configuration that a set of values comes to.
fn config(helm: &Helm, values: &[&str]) -> Config {
    let rendered = helm.template(RELEASE, NAMESPACE, values).unwrap();
    Config::parse(rendered.config(), "the chart's").unwrap()
}

#[test]
fn the_program_takes_the_configuration_of_every_set() {
    let Some(helm) = Helm::find() else { return };
    for name in SETS {
        let rendered = helm.set(name);
        let config = Config::parse(rendered.config(), name).unwrap();
        let port = rendered.container()["ports"][0]["containerPort"].as_u64().unwrap();
        assert_eq!(config.listen, SocketAddr::from(([0, 0, 0, 0], port.try_into().unwrap())), "{name}");
        let led = Replicas::Led(LeaderElection { lease: "tidegate".to_owned(), namespace: None });
        let want = if name == "single" { Replicas::One } else { led };
        assert_eq!(config.replicas, want, "{name}");
        let arguments = rendered.container()["args"].as_array().unwrap();
        assert_eq!(arguments.iter().any(|one| one == "--shards=auto"), name == "sharded");
    }
}

#[test]
fn what_the_user_writes_into_the_configuration_comes_out_as_it_is() {
    let Some(helm) = Helm::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.yaml");
    let text = "
namespaces: [shop, shop]
previews: true
config:
  providers:
    default: {prometheus: {url: 'http://p:9090', maxConcurrent: 4, timeout: 5s, tenant: {id: 'team-{{namespace}}'}}}
  log: {format: json, level: 'info,kube=debug'}
";
    std::fs::write(&file, text).unwrap();
    let found = config(&helm, &["-f", file.to_str().unwrap()]);
    let written = "
namespaces: [shop]
previews: true
listen: '0.0.0.0:8080'
leaderElection: {}
providers:
  default: {prometheus: {url: 'http://p:9090', maxConcurrent: 4, timeout: 5s, tenant: {id: 'team-{{namespace}}'}}}
log: {format: json, level: 'info,kube=debug'}
";
    assert_eq!(found, Config::parse(written, "by hand").unwrap());
    // A key that this chart has never heard of is the program's to judge.
    let odd = helm.template(RELEASE, NAMESPACE, &["--set", "config.notYet.known=1"]).unwrap();
    assert!(odd.config().contains("notYet:"), "{}", odd.config());
}

#[test]
fn pods_are_made_anew_for_another_configuration_and_for_nothing_else() {
    let Some(helm) = Helm::find() else { return };
    let template = |values: &[&str]| {
        let rendered = helm.template(RELEASE, NAMESPACE, values).unwrap();
        rendered.one("Deployment")["spec"]["template"].clone()
    };
    let before = template(&[]);
    assert_ne!(before, template(&["--set", "config.log.format=json"]));
    assert_eq!(before, template(&["--set", "flowControl.enabled=true,networkPolicy.enabled=true"]));
}
