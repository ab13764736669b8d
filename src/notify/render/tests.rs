use serde_json::json;

use super::*;
use crate::config::{Config, ReceiverKind, Severity};

/// A message with the markup of everybody, as a spec or a person may bring it in.
const MARKUP: &str = "v2 <!channel> & *b*\n[x](http://evil) \"q\" {{run}}";

fn notice(transition: Transition) -> Notice {
    Notice {
        id: "7-3".to_owned(),
        transition,
        run: Some(7),
        step: Some(2),
        reason: "AnalysisFailed".to_owned(),
        message: MARKUP.to_owned(),
        target: "v2".to_owned(),
        stable: Some("v1".to_owned()),
        weight: Some(0),
        at: "2026-10-01T12:00:00Z".parse().unwrap(),
        to: vec!["team".to_owned()],
    }
}

fn about() -> About {
    About { namespace: "shop".to_owned(), rollout: "color".to_owned(), uid: "0b1c".to_owned() }
}

/// What a renderer makes of a transition in the cluster `prod-eu`.
fn rendered(transition: Transition, render: impl Fn(Told<'_>) -> Message) -> Value {
    let (notice, about) = (notice(transition), about());
    render(Told { notice: &notice, about: &about, cluster: Some("prod-eu") }).body
}

/// What a renderer makes of a Rollout of which nothing is known yet.
fn rendered_least(render: impl Fn(Told<'_>) -> Message) -> Value {
    let notice = Notice {
        run: None,
        step: None,
        message: String::new(),
        stable: None,
        weight: None,
        ..notice(Transition::Invalid)
    };
    let about = about();
    render(Told { notice: &notice, about: &about, cluster: None }).body
}

fn whole() -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Notice", "id": "0b1c/7-3", "clusterName": "prod-eu",
        "namespace": "shop", "rollout": "color", "uid": "0b1c", "transition": "RolledBack", "warning": true,
        "run": 7, "step": 2, "reason": "AnalysisFailed", "message": MARKUP, "target": "v2", "stable": "v1",
        "weight": 0, "at": "2026-10-01T12:00:00Z",
    })
}

#[test]
fn slack_gets_blocks_that_call_nobody() {
    let message = "v2 &lt;!channel&gt; &amp; *b* [x](http://evil) \"q\" {{run}}";
    let facts = "target v2 · stable v1 · weight 0% · run 7 · step 2 · reason AnalysisFailed · cluster prod-eu · \
                 at 2026-10-01T12:00:00Z";
    let text = |text: &str| json!({"type": "mrkdwn", "text": text, "verbatim": true});
    let want = json!({
        "text": format!("RolledBack: shop/color: {message}"),
        "blocks": [
            {"type": "section", "text": text("⏪ *RolledBack: shop/color*")},
            {"type": "section", "text": text(message)},
            {"type": "context", "elements": [text(facts)]},
        ],
    });
    assert_eq!(rendered(Transition::RolledBack, slack), want);
    let blocks = rendered_least(slack)["blocks"].as_array().unwrap().len();
    assert_eq!(blocks, 2, "Slack refuses a block without text");
}

#[test]
fn teams_gets_a_card_without_markdown() {
    let facts = "target v2 · stable v1 · weight 0% · run 7 · step 2 · reason AnalysisFailed · cluster prod-eu · \
                 at 2026-10-01T12:00:00Z";
    let line = |run: Value| json!({"type": "RichTextBlock", "inlines": [run]});
    let message = "v2 <!channel> & *b* [x](http://evil) \"q\" {{run}}";
    let want = json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": {"width": "Full"},
                "body": [
                    line(json!({
                        "type": "TextRun", "text": "⏪ RolledBack: shop/color", "weight": "Bolder",
                        "size": "Medium", "color": "Attention",
                    })),
                    line(json!({"type": "TextRun", "text": message})),
                    line(json!({"type": "TextRun", "text": facts, "size": "Small", "isSubtle": true})),
                ],
            },
        }],
    });
    assert_eq!(rendered(Transition::RolledBack, teams), want);
}

#[test]
fn pager_duty_gets_an_alert_and_its_end() {
    let render = |severity| move |told: Told<'_>| pager_duty(told, "key", severity);
    let want = json!({
        "routing_key": "key",
        "event_action": "trigger",
        "dedup_key": "tidegate/0b1c",
        "client": "Tidegate",
        "payload": {
            "summary": "RolledBack: shop/color: v2 <!channel> & *b* [x](http://evil) \"q\" {{run}}",
            "source": "prod-eu/shop/color",
            "severity": "error",
            "timestamp": "2026-10-01T12:00:00Z",
            "component": "color",
            "group": "shop",
            "class": "AnalysisFailed",
            "custom_details": whole(),
        },
    });
    assert_eq!(rendered(Transition::RolledBack, render(None)), want);
    for transition in Transition::ALL {
        let alert = rendered(transition, render(Some(Severity::Critical)));
        if transition.is_warning() {
            assert_eq!(
                (&alert["event_action"], &alert["payload"]["severity"]),
                (&json!("trigger"), &json!("critical"))
            );
        } else {
            let end = json!({"routing_key": "key", "event_action": "resolve", "dedup_key": "tidegate/0b1c"});
            assert_eq!(alert, end, "{transition:?}");
        }
    }
    assert_eq!(rendered_least(render(None))["payload"]["source"], "shop/color");
}

#[test]
fn cloud_events_are_structured() {
    let want = json!({
        "specversion": "1.0",
        "id": "0b1c/7-3",
        "source": "tidegate/prod-eu",
        "type": "dev.tidegate.rollout.rolledback",
        "subject": "shop/color",
        "time": "2026-10-01T12:00:00Z",
        "datacontenttype": "application/json",
        "data": whole(),
    });
    assert_eq!(rendered(Transition::RolledBack, |told| cloud_events(told, "tidegate/prod-eu")), want);
    let (notice, about) = (notice(Transition::Started), about());
    let message = cloud_events(Told { notice: &notice, about: &about, cluster: None }, "x");
    assert_eq!(message.content_type, "application/cloudevents+json; charset=utf-8");
    assert_eq!(message.body["data"]["clusterName"], Value::Null);
}

#[test]
fn a_webhook_gets_what_its_body_says() {
    assert_eq!(rendered(Transition::RolledBack, |told| webhook(told, None)), whole());
    let text = r#"
notifications:
  receivers:
    hook:
      webhook:
        url: http://hook
        body:
          text: "{{transition}} of {{namespace}}/{{ rollout }}: {{message}}"
          run: "{{run}}"
          all: ["{{step}}", "{{weight}}", "{{weight}}%", "{{stable}}", "{{target}}", "{{reason}}", "{{at}}", "{{id}}"]
          fixed: {yes: true, none: null, n: 1.5, brace: "{run}"}
          cluster: "on {{clusterName}}"
"#;
    let config = Config::parse(text, "f").unwrap().notifications;
    let ReceiverKind::Webhook(hook) = &config.receivers["hook"].kind else { panic!("{config:?}") };
    let render = |told: Told<'_>| webhook(told, hook.body.as_ref());
    let want = json!({
        "text": format!("RolledBack of shop/color: {MARKUP}"),
        "run": 7,
        "all": [2, 0, "0%", "v1", "v2", "AnalysisFailed", "2026-10-01T12:00:00Z", "0b1c/7-3"],
        "fixed": {"yes": true, "none": null, "n": 1.5, "brace": "{run}"},
        "cluster": "on prod-eu",
    });
    assert_eq!(rendered(Transition::RolledBack, render), want);
    let least = rendered_least(render);
    assert_eq!(
        (&least["run"], &least["all"][2], &least["cluster"]),
        (&Value::Null, &json!("%"), &json!("on "))
    );
}

#[test]
fn long_texts_are_cut_to_what_each_takes() {
    let notice = Notice { message: "<é".repeat(10_000), ..notice(Transition::Paused) };
    let about = about();
    let told = Told { notice: &notice, about: &about, cluster: None };
    let length = |value: &Value| value.as_str().unwrap().chars().count();
    let text = &slack(told).body["blocks"][1]["text"]["text"];
    assert!((2990..=3000).contains(&length(text)) && text.as_str().unwrap().ends_with('…'), "{text}");
    assert!(teams(told).body.to_string().len() < 28_000);
    assert_eq!(length(&pager_duty(told, "key", None).body["payload"]["summary"]), 1024);
}

proptest::proptest! {
    #[test]
    fn no_text_leaves_its_place(message in "\\PC{0,40}|(.|\n|<|>|&|\"|\\{){0,40}") {
        let notice = Notice { message: message.clone(), ..notice(Transition::Drifted) };
        let about = about();
        let told = Told { notice: &notice, about: &about, cluster: None };
        let sent: Value = serde_json::from_str(&webhook(told, None).body.to_string()).unwrap();
        proptest::prop_assert_eq!(&sent["message"], &Value::from(message));
        let slack = slack(told).body;
        let text = slack["text"].as_str().unwrap();
        proptest::prop_assert!(!text.contains(['<', '>', '\n']), "{}", text);
        let entities = ["&amp;", "&lt;", "&gt;"];
        let plain = entities.iter().fold(text.to_owned(), |text, entity| text.replace(entity, ""));
        proptest::prop_assert!(!plain.contains('&'), "{}", text);
    }
}
