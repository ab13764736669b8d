//! Receivers on loopback that answer well and badly.

use std::{path::PathBuf, sync::Mutex};

use serde_json::{Value, json};

use super::*;
use crate::{
    api::Transition,
    config::{Auth, CloudEventsConfig, HookConfig, HttpConfig, PagerDutyConfig, TlsConfig, WebhookConfig},
    outbound::fake::{Asked, Fake, Reply, SECRET, serve},
};

/// Stands in every secret file, and must stand in no error.
const HIDDEN: &str = "hunter3-from-the-file";

fn notice() -> Notice {
    Notice {
        id: "7-3".to_owned(),
        transition: Transition::Paused,
        run: Some(7),
        step: Some(2),
        reason: "Approval".to_owned(),
        message: "50% is through".to_owned(),
        target: "v2".to_owned(),
        stable: Some("v1".to_owned()),
        weight: Some(50),
        at: "2026-10-01T12:00:00Z".parse().unwrap(),
        to: vec!["team".to_owned()],
    }
}

fn about() -> About {
    About { namespace: "shop".to_owned(), rollout: "color".to_owned(), uid: "0b1c".to_owned() }
}

fn http() -> HttpConfig {
    // The TLS client of an address in a file then needs no authorities of the machine that runs the tests.
    let tls = TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() };
    HttpConfig { timeout: Duration::from_secs(5), tls: Some(tls), auth: None, headers: Vec::new() }
}

fn receivers(kind: ReceiverKind) -> Result<Receivers, ReceiverError> {
    let receiver =
        ReceiverConfig { on: [Transition::Paused].into(), namespaces: vec!["shop".to_owned()], kind };
    Receivers::new(&NotificationsConfig {
        cluster_name: None,
        receivers: [("team".to_owned(), receiver)].into(),
    })
}

/// A folder with the secrets of receivers at a fake.
struct Secrets {
    folder: tempfile::TempDir,
}

impl Secrets {
    fn of(fake: &Fake) -> Self {
        let secrets = Self { folder: tempfile::tempdir().unwrap() };
        secrets.write("url", &format!("{}hook/{HIDDEN}?sig={HIDDEN}\n", fake.url));
        secrets.write("key", HIDDEN);
        secrets
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn hook(&self) -> HookConfig {
        HookConfig { url_file: self.path("url"), http: http() }
    }

    /// One of each kind.
    fn kinds(&self, fake: &Fake) -> [ReceiverKind; 5] {
        let url = fake.url.join("/hook").unwrap();
        [
            ReceiverKind::Slack(self.hook()),
            ReceiverKind::Teams(self.hook()),
            ReceiverKind::PagerDuty(PagerDutyConfig {
                routing_key_file: self.path("key"),
                url: url.clone(),
                severity: None,
                http: http(),
            }),
            ReceiverKind::CloudEvents(CloudEventsConfig {
                url: url.clone(),
                source: "tidegate".to_owned(),
                http: http(),
            }),
            ReceiverKind::Webhook(WebhookConfig { url, body: None, http: http() }),
        ]
    }
}

/// The outcome of one attempt; neither it nor the receivers may show what is hidden.
async fn attempt(receivers: &Receivers) -> Result<(), DeliveryError> {
    let outcome = receivers.deliver("team", &about(), &notice()).await;
    let shown = format!(
        "{outcome:?} {receivers:?} {}",
        outcome.as_ref().err().map_or_else(String::new, ToString::to_string)
    );
    for hidden in [SECRET, HIDDEN, "/hook/"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    outcome
}

#[tokio::test]
async fn each_kind_arrives() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let fake = serve(move |asked: Asked| {
        let kind = asked.headers["content-type"].to_str().unwrap().to_owned();
        kept.lock().unwrap().push((asked.path.clone(), kind, asked.json()));
        Reply::Body(202, SECRET.to_owned())
    })
    .await;
    let secrets = Secrets::of(&fake);
    for kind in secrets.kinds(&fake) {
        assert_eq!(attempt(&receivers(kind).unwrap()).await, Ok(()));
    }
    let seen = seen.lock().unwrap();
    let (json, events) = ("application/json", "application/cloudevents+json; charset=utf-8");
    let hidden = format!("/hook/{HIDDEN}");
    let came: Vec<_> = seen.iter().map(|(path, kind, _)| (path.as_str(), kind.as_str())).collect();
    assert_eq!(
        came,
        [(hidden.as_str(), json), (&hidden, json), ("/hook", json), ("/hook", events), ("/hook", json)]
    );
    let told: Vec<&Value> = seen.iter().map(|(_, _, body)| body).collect();
    assert_eq!(told[0]["text"], "Paused: shop/color: 50% is through");
    assert_eq!(told[1]["attachments"][0]["content"]["type"], "AdaptiveCard");
    assert_eq!((&told[2]["routing_key"], &told[2]["event_action"]), (&json!(HIDDEN), &json!("trigger")));
    assert_eq!((&told[3]["id"], &told[3]["subject"]), (&json!("0b1c/7-3"), &json!("shop/color")));
    assert_eq!((&told[4]["id"], &told[4]["weight"]), (&json!("0b1c/7-3"), &json!(50)));
}

#[tokio::test]
async fn an_unhappy_answer_says_whether_to_try_again() {
    let later = |text: &str, after| {
        Err(DeliveryError::Later {
            sentence: text.to_owned(),
            after: Option::map(after, Duration::from_secs),
        })
    };
    let refused = |status: u16| {
        Err(DeliveryError::Refused(format!(
            "the receiver answered HTTP {status}: it refuses the notice for good; check its address, its credentials \
             and what it takes"
        )))
    };
    let body = |status| Reply::Body(status, SECRET.to_owned());
    let redirect =
        "the receiver answered with a redirect, which is not followed; configure the final address";
    let cases = [
        (body(408), later("the receiver answered HTTP 408", None)),
        (body(429), later("the receiver answered HTTP 429", None)),
        (Reply::Busy(429, 7), later("the receiver answered HTTP 429", Some(7))),
        (Reply::Busy(503, 1_000_000), later("the receiver answered HTTP 503", Some(3600))),
        (body(500), later("the receiver answered HTTP 500", None)),
        (body(400), refused(400)),
        (body(401), refused(401)),
        (body(403), refused(403)),
        (body(404), refused(404)),
        (body(410), refused(410)),
        (Reply::Redirect, Err(DeliveryError::Refused(redirect.to_owned()))),
        // It was taken, whatever it goes on to say.
        (Reply::Flood, Ok(())),
    ];
    for (reply, want) in cases {
        let fake = serve(move |_| reply.clone()).await;
        let secrets = Secrets::of(&fake);
        for kind in secrets.kinds(&fake) {
            assert_eq!(attempt(&receivers(kind).unwrap()).await, want);
        }
        assert_eq!(fake.asked(), 5, "{want:?}: neither followed nor retried");
    }
}

#[tokio::test]
async fn who_does_not_answer_is_tried_again() {
    let fake = serve(|_| Reply::Hang).await;
    let secrets = Secrets::of(&fake);
    let mut hook = secrets.hook();
    hook.http.timeout = Duration::from_millis(100);
    let hanging = receivers(ReceiverKind::Slack(hook)).unwrap();
    let sentence = "the receiver gave no answer within 100ms".to_owned();
    assert_eq!(attempt(&hanging).await, Err(DeliveryError::Later { sentence, after: None }));

    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    secrets.write("url", &format!("http://127.0.0.1:{port}/hook/{HIDDEN}"));
    let gone = receivers(ReceiverKind::Slack(secrets.hook())).unwrap();
    let sentence = "the receiver can't be reached".to_owned();
    assert_eq!(attempt(&gone).await, Err(DeliveryError::Later { sentence, after: None }));

    let unknown = gone.deliver("other", &about(), &notice()).await;
    assert!(matches!(unknown, Err(DeliveryError::Refused(_))), "{unknown:?}");
}

#[tokio::test]
async fn a_rotated_secret_is_used_without_a_restart() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let fake = serve(move |asked: Asked| {
        kept.lock().unwrap().push(asked.path);
        Reply::ok("ok")
    })
    .await;
    let secrets = Secrets::of(&fake);
    let receivers = receivers(ReceiverKind::Teams(secrets.hook())).unwrap();
    assert_eq!(attempt(&receivers).await, Ok(()));
    secrets.write("url", &format!("{}next", fake.url));
    assert_eq!(attempt(&receivers).await, Ok(()));
    assert_eq!(*seen.lock().unwrap(), [format!("/hook/{HIDDEN}"), "/next".to_owned()]);

    // What is missing or spoiled may be there again for the next attempt.
    let unusable = [
        (
            format!("ftp://{HIDDEN}"),
            "does not hold an address that begins with https:// or http://; correct it",
        ),
        (HIDDEN.to_owned(), "does not hold an address that begins with https:// or http://; correct it"),
        (" \n".to_owned(), "does not hold one line of text; correct it"),
    ];
    for (text, want) in unusable {
        secrets.write("url", &text);
        let error = attempt(&receivers).await.unwrap_err();
        assert!(
            matches!(&error, DeliveryError::Later { sentence, after: None } if sentence.ends_with(want)),
            "{error}"
        );
        assert!(error.to_string().contains(" of teams.urlFile "), "{error}");
    }
    std::fs::remove_file(secrets.path("url")).unwrap();
    let error = attempt(&receivers).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot read ") && error.contains("teams.urlFile"), "{error}");
}

#[tokio::test]
async fn a_missing_secret_stops_the_start() {
    let fake = serve(|_| Reply::ok("ok")).await;
    let secrets = Secrets::of(&fake);
    for name in ["url", "key"] {
        std::fs::remove_file(secrets.path(name)).unwrap();
    }
    let [slack, teams, pager, events, webhook] = secrets.kinds(&fake);
    for (kind, key) in
        [(slack, "slack.urlFile"), (teams, "teams.urlFile"), (pager, "pagerDuty.routingKeyFile")]
    {
        let error = receivers(kind).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot set up the receiver team: cannot read ") && error.contains(key),
            "{error}"
        );
    }
    for kind in [events, webhook] {
        assert!(receivers(kind).is_ok());
    }
}

#[tokio::test]
async fn credentials_and_headers_go_along() {
    let fake = serve(|asked: Asked| {
        assert_eq!(asked.headers["x-team"], "ops");
        assert_eq!(asked.headers["authorization"], format!("Bearer {HIDDEN}"));
        Reply::Body(204, String::new())
    })
    .await;
    let secrets = Secrets::of(&fake);
    let auth = Some(Auth::Bearer { token_file: secrets.path("key") });
    let headers = vec![("x-team".parse().unwrap(), "ops".parse().unwrap())];
    let http = HttpConfig { auth, headers, ..http() };
    let kind = ReceiverKind::Webhook(WebhookConfig { url: fake.url.clone(), body: None, http });
    let receivers = receivers(kind).unwrap();
    assert_eq!(attempt(&receivers).await, Ok(()));
    let want = Receiver {
        name: "team".to_owned(),
        on: [Transition::Paused].into(),
        namespaces: vec!["shop".to_owned()],
    };
    assert_eq!(receivers.list(), [want]);
}
