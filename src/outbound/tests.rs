//! What every call is, whoever makes it. How providers, gates and receivers take what comes back is tried with them.

use std::time::Duration;

use reqwest::StatusCode;

use super::{
    fake::{Asked, Fake, Reply, SECRET, serve},
    *,
};
use crate::config::{Auth, HttpConfig};

fn config() -> HttpConfig {
    HttpConfig { timeout: Duration::from_secs(5), tls: None, auth: None, headers: Vec::new() }
}

async fn called(fake: &Fake, http: &Http) -> (Result<StatusCode, CallError>, Result<Receipt, CallError>) {
    let sent = http.send(|client| client.get(fake.url.clone())).await;
    (sent.map(|answer| answer.status), http.tell(|client| client.get(fake.url.clone())).await)
}

#[tokio::test]
async fn what_comes_back_is_a_status_or_a_reason_without_a_byte_of_it() {
    let body = |status| Reply::Body(status, SECRET.to_owned());
    let receipt = |status, after: Option<u64>| {
        let status = StatusCode::from_u16(status).unwrap();
        Ok(Receipt { status, retry_after: after.map(Duration::from_secs) })
    };
    let status = |status| Ok(StatusCode::from_u16(status).unwrap());
    let refused = |status| Err(CallError::Refused { status, presented: false });
    let cases = [
        (body(200), status(200), receipt(200, None)),
        (body(404), status(404), receipt(404, None)),
        (body(401), refused(401), receipt(401, None)),
        (body(403), refused(403), receipt(403, None)),
        (Reply::Busy(503, 9), status(503), receipt(503, Some(9))),
        (Reply::Redirect, Err(CallError::Redirect), Err(CallError::Redirect)),
        (Reply::Flood, Err(CallError::TooLarge), receipt(200, None)),
    ];
    for (reply, sent, told) in cases {
        let fake = serve(move |_| reply.clone()).await;
        let http = Http::new(&config(), false).unwrap();
        let came = called(&fake, &http).await;
        assert!(!format!("{came:?}").contains(SECRET), "{came:?}");
        assert_eq!(came, (sent, told));
        assert_eq!(fake.asked(), 2, "neither followed nor retried");
    }
}

#[tokio::test]
async fn a_rotated_token_is_presented_and_never_shown() {
    let fake = serve(|asked: Asked| match asked.headers["authorization"].to_str().unwrap() {
        "Bearer hunter2-the-second" => Reply::ok(""),
        _ => Reply::Body(401, String::new()),
    })
    .await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let auth = Some(Auth::Bearer { token_file: file.path().to_owned() });
    std::fs::write(file.path(), "hunter2").unwrap();
    let http = Http::new(&HttpConfig { auth, ..config() }, false).unwrap();
    let refused = CallError::Refused { status: 401, presented: true };
    assert_eq!(called(&fake, &http).await.0, Err(refused.clone()));
    assert!(refused.to_string().contains("refuses the credentials of auth"), "{refused}");

    std::fs::write(file.path(), "hunter2-the-second\n").unwrap();
    assert_eq!(called(&fake, &http).await.0, Ok(StatusCode::OK));
    assert!(!format!("{http:?}").contains("hunter2"), "{http:?}");

    std::fs::write(file.path(), "hunter2\nof two lines").unwrap();
    let error = called(&fake, &http).await.0.unwrap_err();
    assert!(
        error.to_string().ends_with("of auth.bearer.tokenFile does not hold one line of text; correct it")
    );
    file.close().unwrap();
    let error = called(&fake, &http).await.0.unwrap_err();
    assert!(error.to_string().contains("mount it, or correct auth.bearer.tokenFile"), "{error}");
}

#[test]
fn a_reason_names_whoever_was_called() {
    let cases = [
        (CallError::Timeout("5s".to_owned()), "the gate gave no answer within 5s"),
        (CallError::Unreachable, "the gate can't be reached"),
        (CallError::Status(500), "the gate answered HTTP 500"),
        (CallError::TooLarge, "the answer of the gate is larger than 1 MiB"),
        (CallError::Credentials("cannot read it".to_owned()), "cannot read it"),
    ];
    for (error, want) in cases {
        assert_eq!(error.sentence("the gate"), want);
    }
}
