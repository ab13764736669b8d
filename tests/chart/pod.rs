//! The pods: restricted, spread, and started as the program wants to be.

use serde_json::{Value, json};

use crate::helm::{Helm, NAMESPACE, RELEASE, SETS};

#[test]
fn they_meet_the_restricted_standard_and_more() {
    let Some(helm) = Helm::find() else { return };
    for name in SETS {
        let rendered = helm.set(name);
        let pod = &rendered.one("Deployment")["spec"]["template"]["spec"];
        let context = &pod["securityContext"];
        assert_eq!(context["runAsNonRoot"], true, "{name}");
        assert_eq!(context["runAsUser"], 65532, "{name}: that of the image");
        assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(pod["containers"].as_array().unwrap().len(), 1, "{name}");
        let want = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        });
        assert_eq!(rendered.container()["securityContext"], want, "{name}");
        for host in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
            assert_eq!(pod[host], Value::Null, "{name}: {host}");
        }
        let volumes = pod["volumes"].as_array().unwrap();
        let kinds = ["configMap", "projected", "secret", "emptyDir"];
        assert!(volumes.iter().all(|one| kinds.iter().any(|kind| one.get(kind).is_some())), "{name}");
    }
}

#[test]
fn the_account_s_token_is_projected_and_short_lived() {
    let Some(helm) = Helm::find() else { return };
    let rendered = helm.set("default");
    assert_eq!(rendered.one("ServiceAccount")["automountServiceAccountToken"], false);
    let pod = &rendered.one("Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    let volumes = pod["volumes"].as_array().unwrap();
    let sources = volumes.iter().find_map(|one| one["projected"]["sources"].as_array()).unwrap();
    assert_eq!(sources[0]["serviceAccountToken"], json!({ "path": "token", "expirationSeconds": 3600 }));
    // Where kube's client looks for it, and for the two files beside it.
    let mounts = rendered.container()["volumeMounts"].as_array().unwrap();
    let place = "/var/run/secrets/kubernetes.io/serviceaccount";
    assert!(mounts.iter().any(|one| one["name"] == "account" && one["mountPath"] == place));
    assert_eq!(sources[1]["configMap"]["items"][0]["path"], "ca.crt");
    assert_eq!(sources[2]["downwardAPI"]["items"][0]["path"], "namespace");
}

#[test]
fn secrets_are_files_and_nothing_of_them_is_rendered() {
    let Some(helm) = Helm::find() else { return };
    let rendered = helm.set("production");
    assert!(rendered.of_kind("Secret").is_empty());
    let mounts = rendered.container()["volumeMounts"].as_array().unwrap();
    for name in ["prometheus", "ca"] {
        let place = format!("/etc/tidegate/secrets/{name}");
        let mount = mounts.iter().find(|one| one["mountPath"] == place.as_str()).unwrap();
        // A mount of a single file would never show a rotated Secret.
        assert_eq!((&mount["readOnly"], &mount["subPath"]), (&json!(true), &Value::Null));
    }
}

#[test]
fn several_are_spread_and_updated_without_a_gap_and_one_alone_with_one() {
    let Some(helm) = Helm::find() else { return };
    for name in SETS {
        let rendered = helm.set(name);
        let deployment = &rendered.one("Deployment")["spec"];
        let single = name == "single";
        let strategy = if single { "Recreate" } else { "RollingUpdate" };
        assert_eq!(deployment["strategy"]["type"], strategy, "{name}");
        assert_eq!(rendered.of_kind("PodDisruptionBudget").is_empty(), single, "{name}");
        for spread in deployment["template"]["spec"]["topologySpreadConstraints"].as_array().unwrap() {
            assert_eq!(spread["labelSelector"], deployment["selector"], "{name}");
        }
        let labels = &deployment["template"]["metadata"]["labels"];
        for (key, value) in deployment["selector"]["matchLabels"].as_object().unwrap() {
            assert_eq!(&labels[key], value, "{name}");
        }
    }
}

#[test]
fn the_image_is_named_by_tag_or_by_digest() {
    let Some(helm) = Helm::find() else { return };
    let image = |values: &[&str]| {
        let rendered = helm.template(RELEASE, NAMESPACE, values).unwrap();
        rendered.container()["image"].as_str().unwrap().to_owned()
    };
    assert_eq!(image(&[]), format!("ghcr.io/tidegate/tidegate:{}", env!("CARGO_PKG_VERSION")));
    let digest = format!("sha256:{}", "a".repeat(64));
    let set = format!("image.repository=r.example/t,image.tag=1.0.0,image.digest={digest}");
    assert_eq!(image(&["--set", &set]), format!("r.example/t:1.0.0@{digest}"));
}
