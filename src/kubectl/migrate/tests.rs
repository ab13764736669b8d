//! Whole manifests of both tools: what comes out of them is as expected, valid, and says what became of every field.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{
    super::out::{Look, Out},
    *,
};

/// The manifests, each beside what is expected of it.
const MANIFESTS: [&str; 8] = [
    "argo-canary-gateway",
    "argo-canary-appmesh",
    "argo-canary-istio",
    "argo-blue-green",
    "flagger-gateway",
    "flagger-appmesh",
    "flagger-ab",
    "flagger-blue-green",
];

fn path(name: &str) -> PathBuf {
    PathBuf::from(format!("tests/data/migrate/{name}.yaml"))
}

fn ran(files: &[&str], output: Option<Machine>, strict: bool) -> (Result<Exit, Error>, String) {
    let mut text = Vec::new();
    let args = Args { filename: files.iter().map(|name| path(name)).collect(), output, strict };
    let exit =
        run(&args, &mut Out::to(&mut text, Look { colour: false, live: false, width: None, height: None }));
    (exit, String::from_utf8(text).unwrap())
}

fn source(text: &str) -> Source {
    let mut source = Source::default();
    source.add("given.yaml", text).unwrap();
    source
}

fn refused(text: &str) -> String {
    match migrate(&source(text)) {
        Err(error) => {
            assert_eq!(error.exit(), Exit::Usage, "{error}");
            error.to_string()
        }
        Ok(migrated) => panic!("migrated: {migrated:?}"),
    }
}

#[test]
fn the_manifests_become_what_is_expected() {
    for name in MANIFESTS {
        let (exit, text) = ran(&[name], None, false);
        assert_eq!(exit.unwrap(), Exit::Reached, "{name}");
        let file = path(&format!("{name}.expected"));
        if std::env::var_os("TIDEGATE_ACCEPT").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        let want = std::fs::read_to_string(&file).unwrap();
        assert_eq!(
            text, want,
            "{name}: if that is right, accept it with TIDEGATE_ACCEPT=1 in the environment"
        );
    }
}

#[test]
fn what_comes_out_is_valid_and_its_comments_fit() {
    let schema = draft::schema().unwrap();
    for name in MANIFESTS {
        let (_, text) = ran(&[name], None, false);
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        assert!(!documents.is_empty(), "{name}");
        for mut rollout in documents {
            assert_eq!(schema.prune(&mut rollout), Vec::<String>::new(), "{name}");
            schema.apply_defaults(&mut rollout);
            let errors = schema.validate(&rollout, None);
            assert!(errors.is_empty(), "{name}: {errors:?}");
            assert_eq!(rollout["spec"]["suspend"], true, "{name}: nothing happens by applying it");
            let typed: crate::api::Rollout = serde_json::from_value(rollout).unwrap();
            assert_ne!(Some(&typed.spec.target), typed.spec.stable.as_ref(), "{name}");
        }
        let comments = text.lines().filter(|line| line.starts_with('#'));
        assert!(comments.clone().count() > 5, "{name}");
        for line in comments {
            assert!(line.chars().count() <= 100 || !line[4..].contains(' '), "{name}: {line}");
        }
    }
}

/// The fields that say something, by their paths: texts, numbers, and lists and objects without any.
fn leaves(at: &str, value: &Value) -> Vec<String> {
    let children = ledger::children(at, value);
    if children.is_empty() {
        return vec![at.to_owned()];
    }
    children.into_iter().flat_map(|(path, child)| leaves(&path, child)).collect()
}

fn read(name: &str) -> Source {
    Source::read(&[path(name)]).unwrap()
}

#[test]
fn every_field_is_carried_over_or_told() {
    let mut seen = 0;
    for name in MANIFESTS {
        let source = read(name);
        let origins =
            source.objects.iter().filter(|object| ["Rollout", "Canary"].contains(&kind(&object.value)));
        let (drafts, origins) = (drafts(&source).unwrap(), origins.collect::<Vec<_>>());
        assert_eq!(drafts.len(), origins.len(), "{name}");
        for (draft, origin) in drafts.iter().zip(origins) {
            for leaf in leaves("spec", &origin.value["spec"]) {
                assert!(draft.ledger.covers(&leaf), "{name}: nobody speaks for {leaf}");
                seen += 1;
            }
        }
        for template in source.objects.iter().filter(|object| kind(&object.value).ends_with("Template")) {
            let at = format!("{}/{}:spec", kind(&template.value), template.name());
            for leaf in leaves(&at, &template.value["spec"]) {
                assert!(drafts[0].ledger.covers(&leaf), "{name}: nobody speaks for {leaf}");
                seen += 1;
            }
        }
    }
    assert!(seen > 150, "{seen}");
}

#[test]
fn a_field_that_nobody_foresaw_is_told_wherever_it_stands() {
    for name in MANIFESTS {
        let source = read(name);
        let first =
            source.objects.iter().position(|object| ["Rollout", "Canary"].contains(&kind(&object.value)));
        let first = first.unwrap();
        for pointer in objects("/spec", &source.objects[first].value["spec"]) {
            let mut more = Source { files: vec![], objects: source.objects.clone() };
            let mut fresh = json!("new in the next version");
            let at = more.objects[first].value.pointer_mut(&pointer).unwrap();
            std::mem::swap(&mut at["unforeseen"], &mut fresh);
            // A list of texts by name takes any name: there is nothing that could not be foreseen.
            let Ok(drafts) = drafts(&more) else { continue };
            let all = leaves("spec", &more.objects[first].value["spec"]);
            let own = all.iter().filter(|leaf| leaf.ends_with(".unforeseen"));
            for leaf in own {
                assert!(drafts[0].ledger.covers(leaf), "{name}: {leaf} is lost in silence");
            }
        }
    }
}

/// What is said to be carried over is: another value makes another Rollout, other notes, or an error.
#[test]
fn what_is_carried_over_makes_a_difference() {
    let mut tried = 0;
    for name in MANIFESTS {
        let source = read(name);
        let before = told(&source).unwrap();
        for (draft, object) in drafts(&source).unwrap().iter().zip(places(&source)) {
            let carried = draft.ledger.all_carried();
            let all = leaves("spec", &source.objects[object].value["spec"]);
            for leaf in all.iter().filter(|leaf| carried.iter().any(|known| ledger::within(leaf, known))) {
                let mut other = Source { files: vec![], objects: source.objects.clone() };
                let Some(value) = at(&mut other.objects[object].value, leaf) else { panic!("{leaf}") };
                change(value);
                assert!(told(&other).as_ref() != Some(&before), "{name}: {leaf} makes no difference");
                tried += 1;
            }
        }
    }
    assert!(tried > 60, "{tried}");
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap()
}

fn places(source: &Source) -> Vec<usize> {
    let of = |(place, object): (usize, &Object)| {
        ["Rollout", "Canary"].contains(&kind(&object.value)).then_some(place)
    };
    source.objects.iter().enumerate().filter_map(of).collect()
}

/// All that is said; none where it is refused.
fn told(source: &Source) -> Option<String> {
    let told = |draft: Draft| {
        let Draft { name, namespace, spec, ledger } = draft;
        serde_json::to_string(&(name, namespace, spec, ledger.into_notes())).unwrap()
    };
    drafts(source).ok().map(|all| all.into_iter().map(told).collect())
}

fn change(value: &mut Value) {
    *value = match &value {
        Value::Bool(so) => json!(!so),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| json!(number.as_f64().unwrap() + 1.0), |whole| json!(whole + 1))
        }
        Value::String(text) => json!(format!("x{text}")),
        Value::Object(_) => json!({"duration": "7m"}),
        Value::Null | Value::Array(_) => json!(null),
    };
}

/// The value at a path of the ledger's.
fn at<'a>(object: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let path = path.replace("['", ".\u{1}").replace("']", "\u{1}").replace('[', ".").replace(']', "");
    let parts: Vec<&str> = path.split('.').collect();
    let mut value = object;
    for part in parts {
        value = match value {
            Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?)?,
            other => other.get_mut(part.trim_matches('\u{1}'))?,
        };
    }
    Some(value)
}

/// Pointers to the objects in a value.
fn objects(at: &str, value: &Value) -> Vec<String> {
    let below = |key: String, child: &Value| objects(&format!("{at}/{}", key.replace('/', "~1")), child);
    match value {
        Value::Object(fields) => {
            let inner = fields.iter().flat_map(|(key, child)| below(key.clone(), child));
            std::iter::once(at.to_owned()).chain(inner).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(i, child)| below(i.to_string(), child)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
    }
}

#[test]
fn yaml_and_json_say_the_same() {
    for name in MANIFESTS {
        let yaml: Vec<Value> = serde_saphyr::from_multiple(&ran(&[name], None, false).1).unwrap();
        let json = ran(&[name], Some(Machine::Json), false).1;
        let json = serde_json::Deserializer::from_str(&json).into_iter::<Value>();
        let json: Vec<Value> = json.map(|both| both.unwrap()["rollout"].clone()).collect();
        assert_eq!(yaml, json, "{name}");
    }
}

#[test]
fn strict_fails_where_anything_is_left_out_and_json_has_the_notes_beside() {
    let (exit, text) = ran(&["flagger-ab"], Some(Machine::Json), true);
    assert_eq!(exit.unwrap(), Exit::Failed);
    let both: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(both["rollout"]["kind"], "Rollout");
    let notes = both["notes"].as_array().unwrap();
    let regex = notes.iter().find(|note| note["field"] == "spec.analysis.match[1]").unwrap();
    assert_eq!(regex["kind"], "NotCarried");
    let whole = "apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {name: a}\nspec:\n  provider: gatewayapi:v1\n  \
                 targetRef: {apiVersion: apps/v1, kind: Deployment, name: a}\n  service: {port: 80}\n  analysis: {stepWeights: [5]}";
    let all = migrate(&source(whole)).unwrap();
    assert!(all[0].notes.iter().all(|note| note.kind != Kind::NotCarried), "{:?}", all[0].notes);
}

#[test]
fn templates_may_stand_in_another_file_and_lists_are_opened() {
    let template = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: argoproj.io/v1alpha1, kind: AnalysisTemplate, metadata: {name: \
                    not-in-the-file}, spec: {metrics: [{name: lag, successCondition: result < 5, provider: {prometheus: {query: lag}}}]}}";
    let mut source = read("argo-canary-istio");
    let before = migrate(&source).unwrap();
    assert!(before[0].rollout.0["spec"].get("analysis").is_none());
    source.add("more.yaml", template).unwrap();
    let after = migrate(&source).unwrap();
    assert_eq!(after[0].rollout.0["spec"]["analysis"]["metrics"][0]["max"], "5");
}

#[test]
fn what_is_no_such_object_or_malformed_is_refused_with_file_and_field() {
    let rollout = |strategy: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {{name: a}}\nspec: {{strategy: {{{strategy}}}}}"
        )
    };
    let canary = |rest: &str| {
        format!(
            "apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {{name: a}}\nspec:\n  targetRef: {{kind: Deployment, name: a}}\n  {rest}"
        )
    };
    let cases = [
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}".to_owned(),
            "nothing to migrate in given.yaml: looked for a Rollout",
        ),
        (
            "apiVersion: tidegate.dev/v1alpha1\nkind: Rollout\nmetadata: {name: a}".to_owned(),
            "nothing to migrate",
        ),
        (String::new(), "nothing to migrate"),
        (
            "apiVersion: flagger.app/v1alpha3\nkind: Canary\nmetadata: {name: a}".to_owned(),
            "given.yaml: Canary a: apiVersion is flagger.app/v1alpha3; only flagger.app/v1beta1",
        ),
        (
            "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: a}\nspec: {replicas: 1}"
                .to_owned(),
            "given.yaml: Rollout a: spec: missing field `strategy`",
        ),
        (rollout(""), "spec.strategy: it must have either canary or blueGreen"),
        (rollout("canary: {}, blueGreen: {activeService: a}"), "spec.strategy: it must have either"),
        (
            rollout("canary: {steps: [{setWeight: five}]}"),
            "spec.strategy.canary.steps[0].setWeight: invalid type",
        ),
        (
            rollout("canary: {steps: [{setWeight: 120}]}"),
            "steps[0].setWeight: 120 is no weight; it must be from 0 to 100",
        ),
        (
            rollout("canary: {steps: [{pause: {duration: soon}}]}"),
            "steps[0].pause.duration: \"soon\" is not a duration",
        ),
        (rollout("canary: {trafficRouting: {maxTrafficWeight: 0}}"), "maxTrafficWeight: 0 is no sum"),
        (canary("service: {}"), "given.yaml: Canary a: spec.service: missing field `port`"),
        (canary("service: {port: 80}\n  analysis: {interval: soon}"), "spec.analysis.interval: \"soon\""),
    ];
    for (text, want) in cases {
        let told = refused(&text);
        assert!(told.contains(want), "{text}: {told}");
    }
    let mut source = read("argo-canary-istio");
    let template = "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: not-in-the-file}\nspec: {metrics: [{name: a, \
                    interval: soon, successCondition: result < 5, provider: {prometheus: {query: a}}}]}";
    source.add("more.yaml", template).unwrap();
    let told = migrate(&source).unwrap_err().to_string();
    assert!(told.contains("AnalysisTemplate/not-in-the-file:spec.metrics[0].interval: \"soon\""), "{told}");
}

#[test]
fn a_file_that_is_missing_or_no_yaml_is_named() {
    let (exit, _) = ran(&["nowhere"], None, false);
    assert!(exit.unwrap_err().to_string().contains("nowhere.yaml"));
    let error = Source::default().add("odd.yaml", "a: [").unwrap_err();
    assert!(error.to_string().contains("odd.yaml"), "{error}");
}
