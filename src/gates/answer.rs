//! What a gate's answer says. Nothing of it goes on but the word and the sentence that it is to hold.

use reqwest::StatusCode;
use serde::Deserialize;

use crate::{
    api::{GateAnswer, text::one_line},
    outbound::CallError,
};

/// The most characters of a gate's sentence that are kept.
const LONGEST_SENTENCE: usize = 200;

#[derive(Deserialize)]
struct Reply {
    answer: Word,
    sentence: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Yes,
    No,
    Wait,
}

/// The answer and its sentence, or why it does not count.
pub(super) fn read(status: StatusCode, body: &[u8]) -> Result<(GateAnswer, String), String> {
    if status != StatusCode::OK {
        return Err(CallError::Status(status.as_u16()).sentence("the gate"));
    }
    let reply: Reply = serde_json::from_slice(body).map_err(|_| {
        "the gate's answer is not what gates say; it must be JSON like {\"answer\": \"wait\"}, with yes, no or wait"
            .to_owned()
    })?;
    let (answer, plain) = match reply.answer {
        Word::Yes => (GateAnswer::Yes, "the gate says yes"),
        Word::No => (GateAnswer::No, "the gate says no"),
        Word::Wait => (GateAnswer::Wait, "the gate says wait"),
    };
    let sentence =
        reply.sentence.map(|text| one_line(&text, LONGEST_SENTENCE)).filter(|line| !line.is_empty());
    Ok((answer, sentence.unwrap_or_else(|| plain.to_owned())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn said(body: &str) -> Option<(GateAnswer, String)> {
        read(StatusCode::OK, body.as_bytes()).ok()
    }

    #[test]
    fn a_word_and_a_sentence() {
        let long = |count| format!(r#"{{"answer":"no","sentence":"{}"}}"#, "é".repeat(count));
        let cases = [
            (r#"{"answer":"yes"}"#.to_owned(), GateAnswer::Yes, "the gate says yes".to_owned()),
            (r#"{"answer":"no","sentence":null}"#.to_owned(), GateAnswer::No, "the gate says no".to_owned()),
            (
                r#" {"answer":"wait","sentence":" \n"} "#.to_owned(),
                GateAnswer::Wait,
                "the gate says wait".to_owned(),
            ),
            (
                r#"{"answer":"wait","sentence":"until 14:00","x":[1]}"#.to_owned(),
                GateAnswer::Wait,
                "until 14:00".to_owned(),
            ),
            (
                r#"{"answer":"no","sentence":"\u0007a\r\nb\u2028c\u202ed\t"}"#.to_owned(),
                GateAnswer::No,
                "a  b c d".to_owned(),
            ),
            (long(200), GateAnswer::No, "é".repeat(200)),
            (long(201), GateAnswer::No, format!("{}…", "é".repeat(199))),
        ];
        for (body, answer, sentence) in cases {
            assert_eq!(said(&body), Some((answer, sentence)), "{body}");
        }
    }

    #[test]
    fn anything_else_says_nothing() {
        let cases = [
            "",
            "yes",
            "\"yes\"",
            "null",
            "[]",
            "{}",
            "{\"answer\":\"yes\"",
            "{\"answer\":\"yes\"}}",
            "{\"answer\":true}",
            "{\"answer\":\"Yes\"}",
            "{\"answer\":\"YES\"}",
            "{\"answer\":\"yes \"}",
            "{\"answer\":\"maybe\"}",
            "{\"answer\":\"yes\",\"answer\":\"no\"}",
            "{\"answer\":[\"yes\"]}",
            "{\"answer\":\"yes\",\"sentence\":1}",
            "{\"Answer\":\"yes\"}",
            "\u{feff}{\"answer\":\"yes\"}",
            "{\"status\":{\"answer\":\"yes\"}}",
        ];
        for body in cases {
            assert_eq!(said(body), None, "{body}");
        }
        for status in [201, 202, 204, 400, 404, 500, 503] {
            let error = read(StatusCode::from_u16(status).unwrap(), br#"{"answer":"yes"}"#).unwrap_err();
            assert_eq!(error, format!("the gate answered HTTP {status}"));
        }
    }

    /// Whether a body is a yes, by another way of reading it.
    fn is_well_formed_yes(body: &[u8]) -> bool {
        let Ok(Value::Object(reply)) = serde_json::from_slice(body) else { return false };
        reply.get("answer").is_some_and(|answer| answer == "yes")
            && reply.get("sentence").is_none_or(|sentence| sentence.is_string() || sentence.is_null())
    }

    /// Bytes of all kinds, many of them nearly an answer.
    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let nearly = ("[ \n]{0,2}", "answer|Answer|sentence|x", "yes|no|wait|Yes| yes|y", "\\PC{0,250}");
        let nearly = nearly.prop_map(|(space, key, word, text)| {
            let text = serde_json::to_string(&text).unwrap();
            format!("{space}{{\"{key}\":\"{word}\",{space}\"sentence\":{text}}}").into_bytes()
        });
        let spoiled =
            (nearly.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut body, at, byte)| {
                let at = at.index(body.len());
                body[at] = byte;
                body
            });
        let cut = (nearly.clone(), any::<prop::sample::Index>())
            .prop_map(|(body, at)| body[..at.index(body.len())].to_vec());
        prop_oneof![prop::collection::vec(any::<u8>(), 0..64), nearly, spoiled, cut]
    }

    proptest! {
        #[test]
        fn never_yes_but_for_a_well_formed_yes(body in bodies(), status in 100..600_u16) {
            let status = StatusCode::from_u16(status).unwrap();
            for status in [status, StatusCode::OK] {
                match read(status, &body) {
                    Ok((answer, sentence)) => {
                        prop_assert_eq!(status, StatusCode::OK);
                        prop_assert!(sentence.chars().count() <= LONGEST_SENTENCE && !sentence.is_empty());
                        prop_assert_eq!(one_line(&sentence, LONGEST_SENTENCE), sentence);
                        prop_assert!(answer != GateAnswer::Down);
                        prop_assert!(answer != GateAnswer::Yes || is_well_formed_yes(&body));
                    }
                    Err(why) => prop_assert!(why.starts_with("the gate")),
                }
            }
        }
    }
}
