//! Reading: tables, objects, one Rollout whole, its history, what comes next.

use serde_json::Value;

use crate::{
    program::{BY_HOLDS, JUDGED, Scene},
    shapes::shape,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_have_the_columns_of_the_crd() {
    let scene = Scene::of(BY_HOLDS).await;
    let words = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    for line in ["get", "list", "list -l app=color"] {
        let table = words(&scene.run(line).await.ends(0).out);
        assert_eq!(table[0], ["NAME", "TARGET", "PHASE", "STEP", "WEIGHT", "AGE"], "{line}");
        assert_eq!(table[1][..3], ["color", "color-app-v1.default", "Healthy"], "{line}");
    }
    let all = words(&scene.run("list -A").await.ends(0).out);
    assert_eq!((all[0][0].as_str(), all[1][0].as_str()), ("NAMESPACE", "default"));
    let wide = scene.run("get -o wide").await.ends(0);
    wide.says("MESSAGE").says("color-app-v1.default is live");
    scene.run("get color -o wide").await.ends(0).says("color-app-v1.default is live");
    scene.run("list -l app=other").await.ends(0).says("there are no Rollouts in the namespace default");
    scene.run("list -n elsewhere").await.ends(0).says("there are no Rollouts in the namespace elsewhere");
    scene.run("get nothing -o wide").await.ends(2).says("there is no Rollout nothing");
    scene.run("list -l a=b=c").await.ends(5);
    scene.run("list -w -o json").await.ends(2).says("leave -o out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_what_kubectl_would_print() {
    let scene = Scene::of(BY_HOLDS).await;
    assert_eq!(scene.run("get -o name").await.ends(0).out, "rollout.tidegate.dev/color\n");
    assert_eq!(scene.run("get color -o name").await.ends(0).out, "rollout.tidegate.dev/color\n");
    let list = scene.run("get -o json").await.ends(0).json();
    assert_eq!((list["kind"].as_str(), list["items"].as_array().unwrap().len()), (Some("List"), 1));
    let one = scene.run("get color -o json").await.ends(0).json();
    assert_eq!(
        (one["apiVersion"].as_str(), one["kind"].as_str()),
        (Some("tidegate.dev/v1alpha1"), Some("Rollout"))
    );
    assert_eq!(one["status"]["phase"], "Healthy");
    let yaml: Value = serde_saphyr::from_str(&scene.run("get color -o yaml").await.ends(0).out).unwrap();
    assert_eq!(yaml["spec"], one["spec"]);
    let yaml: Value = serde_saphyr::from_str(&scene.run("get -o yaml").await.ends(0).out).unwrap();
    assert_eq!(yaml["items"][0]["spec"], one["spec"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_shown_whole_and_explained() {
    let scene = Scene::of(BY_HOLDS).await;
    scene.run("explain color").await.ends(0).says("kubectl tidegate release color --target NAME");
    scene.run("history color").await.ends(0).says("no run has ended yet");
    scene.run("diff color").await.ends(0).says("no run is under way");
    scene.to_approval().await;
    let whole = scene.run("get color").await.ends(0);
    let whole = whole
        .says("Run 1  color-app-v1.default to color-app-v2.default, begun")
        .says("step 2 of 3, now: 50%");
    let whole =
        whole.says("  color-app-v2.default   50%").says("canary  Deployment color-app-v2: 2 of 2 pods ready");
    assert!(!whole.out.contains(['█', '▶', '\u{1b}']), "plain where it is no terminal: {}", whole.out);
    let told = scene.run("explain color").await.ends(0);
    told.says("It ends with `kubectl tidegate promote color --step 2` or `kubectl tidegate abort color`.")
        .says("After somebody's approval step 3 gives the canary 100%, for 1s at least.");
    let told = scene.run("explain color -o json").await.ends(0).json();
    assert_eq!(shape(&told), ".besides[]\n.next[]: string\n.waits[]: string\n.why[]: string");

    let diff = scene.run("diff color").await.ends(0).says("step 3 would give the canary 100%:");
    let changed: Vec<&str> = diff.out.lines().filter(|line| line.contains(" weight: ")).collect();
    let want =
        ["-          weight: 50", "+          weight: 0", "-          weight: 50", "+          weight: 100"];
    assert_eq!(changed, want, "{}", diff.out);
    let patch = scene.run("diff color -o json").await.ends(0).json();
    let operations = patch[0]["patch"].as_array().unwrap();
    assert!(
        operations.iter().any(|one| one["op"] == "test" && one["path"] == "/metadata/resourceVersion"),
        "{patch}"
    );

    scene.run("promote color").await.ends(0);
    scene.run("status color --wait --for step=3").await.ends(0);
    scene.run("diff color").await.ends(0).says("no weight changes any more");
    scene.run("status color --wait").await.ends(0);
    scene.run("history color").await.ends(0).says("Promoted").says("color-app-v2.default is live");
    let history = scene.run("history color -o json").await.ends(0).json();
    insta::assert_snapshot!(shape(&history), @r"
    [].at: string
    [].message: string
    [].outcome: string
    [].run: number
    [].stable.hash: string
    [].stable.name: string
    [].stable.workloadRef.apiVersion: string
    [].stable.workloadRef.kind: string
    [].stable.workloadRef.name: string
    [].target.hash: string
    [].target.name: string
    [].target.workloadRef.apiVersion: string
    [].target.workloadRef.kind: string
    [].target.workloadRef.name: string
    ");
    let status = scene.run("status color -o json").await.ends(0).json();
    insta::assert_snapshot!(shape(&status), @r"
    .canary.hash: string
    .canary.name: string
    .canary.workloadRef.apiVersion: string
    .canary.workloadRef.kind: string
    .canary.workloadRef.name: string
    .current: bool
    .evidence[]
    .exitCode: number
    .message: string
    .name: string
    .namespace: string
    .pause: null
    .phase: string
    .run: number
    .stable.hash: string
    .stable.name: string
    .stable.workloadRef.apiVersion: string
    .stable.workloadRef.kind: string
    .stable.workloadRef.name: string
    .step.elapsed: string
    .step.index: number
    .step.label: string
    .step.of: number
    .step.promoted: bool
    .step.restoring: bool
    .step.since: string
    .step.storedAt: string
    .step.weight: number
    .target: string
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_failed_is_explained_by_its_counts() {
    let scene = Scene::of(JUDGED).await;
    scene.stage.app.set_error_share("v2", 0.5);
    scene.run("release color --target color-app-v2.default --wait").await.ends(1);
    let told = scene.run("explain color").await.ends(0);
    told.says("canary failed ").says("`kubectl tidegate retry color`");
    scene.run("get color").await.ends(0).says("errorRate Fail");
    scene.run("history color").await.ends(0).says(" Failed ");
}
