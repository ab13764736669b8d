//! Argo CD: what its rule leaves out of a comparison and of a sync, in the Application and in `argocd-cm`.

use serde_json::{Value, json};
use tidegate::api::{Phase, RouteKind};

use super::{
    asking::ARGO_CD,
    doc,
    kubectl::apply,
    routes::{MidRun, SHAPES, Shape, applied, live},
    tool::Tool,
    weights::undisturbed,
};
use crate::{
    cluster::Cluster,
    objects::{ROLLOUT, rollout_of, route_of},
};

/// The ways to say the rule: what is asked of Argo CD besides the objects.
fn rules() -> [(&'static str, Value); 3] {
    let respecting =
        json!({ "spec": { "syncPolicy": { "syncOptions": ["RespectIgnoreDifferences=true"] } } });
    [
        ("the Application", json!({ "application": doc::yaml("application") })),
        ("argocd-cm", json!({ "configMap": doc::yaml("argocd-cm"), "application": respecting })),
        (
            "its one key",
            json!({ "configMap": doc::yaml("resource-customizations"), "application": respecting }),
        ),
    ]
}

/// What is asked of Argo CD.
fn asked(rule: &Value, live: &Value, git: &Value) -> Value {
    let mut question = rule.clone();
    (question["live"], question["target"]) = (live.clone(), git.clone());
    question
}

/// What Argo CD makes of one question.
fn answer(rule: &Value, live: &Value, git: &Value) -> Value {
    ARGO_CD.answers(&[asked(rule, live, git)]).remove(0)
}

/// An Application with one rule for a kind.
fn ignoring(shape: &Shape, jq: &str) -> Value {
    let rule =
        json!({ "group": shape.kind.group().word(), "kind": shape.kind.word(), "jqPathExpressions": [jq] });
    let policy = json!({ "syncOptions": ["RespectIgnoreDifferences=true"] });
    json!({ "application": { "spec": { "ignoreDifferences": [rule], "syncPolicy": policy } } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rule_hides_the_list_and_nothing_else() {
    if !ARGO_CD.is_there() {
        return;
    }
    for shape in SHAPES {
        let MidRun { git, live, cluster, .. } = shape.mid_run().await;
        drop(cluster);
        let list = |object: &Value| object.pointer(shape.list).cloned().unwrap();
        assert_ne!(list(&live), list(&git), "{}: a version was added", shape.row);
        let (mut edited, mut outside) = (git.clone(), git.clone());
        shape.edit(&mut edited);
        shape.edit_outside(&mut outside);
        let mut all = rules().to_vec();
        all.push(("the table", ignoring(&shape, &shape.paths().0)));
        let gits = [&git, &edited, &outside];
        let questions: Vec<Value> =
            all.iter().flat_map(|(_, rule)| gits.map(|git| asked(rule, &live, git))).collect();
        let answers = ARGO_CD.answers(&questions);
        for ((form, _), answers) in all.iter().zip(answers.chunks(gits.len())) {
            let what = format!("{}, {form}", shape.row);
            let [same, other, around] = answers else { panic!("an answer each") };
            assert_eq!(same["inSync"], json!(true), "{what}");
            assert_eq!(other["inSync"], json!(false), "{what}: the rule hides more than the list");
            assert_eq!(around["inSync"], json!(false), "{what}");
            for applied in [&same["applied"], &other["applied"], &around["applied"]] {
                assert_eq!(list(applied), list(&live), "{what}: a sync keeps the list");
            }
            // Within a list that is kept as a whole, nothing else is brought either.
            let brought = shape.kind == RouteKind::GatewayRoute;
            assert_eq!(shape.is_edited(&other["applied"]), brought, "{what}");
            assert_eq!(around_the_list(&around["applied"]), around_the_list(&outside), "{what}");
        }
        let without = answer(&json!({}), &live, &git);
        assert_eq!(without["inSync"], json!(false), "{}: without the rule", shape.row);
        assert_eq!(list(&without["applied"]), list(&git));
    }
}

/// What of a route stands in no list that is kept as a whole.
fn around_the_list(route: &Value) -> [&Value; 3] {
    [&route["metadata"]["labels"], &route["spec"]["hostnames"], &route["spec"]["listeners"]]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_rule_is_none() {
    if !ARGO_CD.is_there() {
        return;
    }
    for shape in SHAPES {
        let MidRun { git, live, cluster, .. } = shape.mid_run().await;
        drop(cluster);
        let list = |object: &Value| object.pointer(shape.list).cloned().unwrap();
        let (jq, _) = shape.paths();
        let in_sync = |rule: &Value| answer(rule, &live, &git)["inSync"].clone();
        // Synced, and yet every sync writes Git's weights.
        let mut unrespected = ignoring(&shape, &jq);
        unrespected["application"]["spec"]["syncPolicy"].take();
        let seen = answer(&unrespected, &live, &git);
        assert_eq!((&seen["inSync"], list(&seen["applied"])), (&json!(true), list(&git)), "{}", shape.row);
        // The weights alone: the entry that was added is still a difference.
        assert_eq!(in_sync(&ignoring(&shape, &format!("{jq}[].weight"))), json!(false), "{}", shape.row);
        // Tied to a mark, which Git's object has not.
        let mark = r#"select(.metadata.annotations["state.tidegate.dev/color"] != null)"#;
        assert_eq!(in_sync(&ignoring(&shape, &format!("{mark} | {jq}"))), json!(false), "{}", shape.row);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_a_rule_comes_with_the_weights_that_are_live() {
    if !ARGO_CD.is_there() || !Tool::Apply.is_there() {
        return;
    }
    let kinds = SHAPES.into_iter().filter(|shape| shape.kind != RouteKind::GatewayRoute);
    for shape in kinds {
        let cluster = shape.made().await;
        cluster.roll(&rollout_of(shape.kind)).await;
        cluster.phase(Phase::Healthy).await;
        let mut git = shape.manifest();
        let promoted = route_of(shape.kind, "color", &[("v1", 0), ("v2", 100)]);
        *git.pointer_mut(shape.list).unwrap() = promoted.pointer(shape.list).cloned().unwrap();
        shape.edit(&mut git);
        let before = live(&cluster).await;
        let rule = json!({ "application": doc::yaml("application") });
        assert_eq!(answer(&rule, &before, &git)["inSync"], json!(false), "{}", shape.row);
        apply(&cluster, &git);
        let after = live(&cluster).await;
        let seen = answer(&rule, &after, &git);
        assert_eq!(seen["inSync"], json!(true), "{}", shape.row);
        assert!(shape.is_edited(&after) && shape.is_edited(&seen["applied"]), "{}", shape.row);
        undisturbed(&cluster).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_needs_no_rule() {
    if !ARGO_CD.is_there() {
        return;
    }
    let cluster = Cluster::start().await;
    let git: Value = serde_saphyr::from_str(&ROLLOUT.replace("hold: 1s", "hold: 5m")).unwrap();
    cluster.create(applied(git.clone())).await;
    let live = serde_json::to_value(cluster.at(10).await).unwrap();
    assert_eq!(answer(&json!({}), &live, &git)["inSync"], json!(true));
    let mut released = git;
    released["spec"]["target"]["name"] = json!("v3");
    assert_eq!(answer(&json!({}), &live, &released)["inSync"], json!(false));
}
