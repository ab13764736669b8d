//! How fast the rollback was: from the gateway's last answer to a scrape to the arrival of the write that put the
//! route back, both by the API server's clock.
//!
//! It holds the controller's whole way: reading the counters, judging, deciding, and sending the write.

use std::time::Duration;

use jiff::Timestamp;

use crate::sandbox::apiserver::RequestRecord;

/// The time from the last scrape to the first write of the route after `raised`, which is when the canary's share was
/// seen on it; the route is told by its kind's plural and its name. `None` where there was no such write, or no scrape before it.
pub fn scrape_to_write(
    requests: &[RequestRecord],
    scrapes: &[Timestamp],
    route: (&str, &str),
    raised: Timestamp,
) -> Option<Duration> {
    let written = requests.iter().find(|request| request.time > raised && writes(request, route))?.time;
    let last = scrapes.iter().rev().find(|scrape| **scrape <= written)?;
    written.duration_since(*last).try_into().ok()
}

fn writes(request: &RequestRecord, (resource, name): (&str, &str)) -> bool {
    request.verb == "patch"
        && request.resource == resource
        && request.subresource.is_empty()
        && request.name == name
        && !request.dry_run
        && request.code == Some(200)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    fn request(millis: i64, verb: &str, subresource: &str, code: u16) -> RequestRecord {
        RequestRecord {
            time: at(millis),
            verb: verb.to_owned(),
            group: "appmesh.k8s.aws".to_owned(),
            resource: "gatewayroutes".to_owned(),
            subresource: subresource.to_owned(),
            namespace: "default".to_owned(),
            name: "r".to_owned(),
            path: String::new(),
            user_agent: String::new(),
            field_manager: String::new(),
            dry_run: false,
            code: Some(code),
        }
    }

    #[test]
    fn from_the_scrape_before_to_the_first_write_that_was_taken() {
        let requests = [
            request(100, "patch", "", 200),
            request(300, "patch", "status", 200),
            request(320, "get", "", 200),
            request(350, "patch", "", 409),
            request(400, "patch", "", 200),
            request(900, "patch", "", 200),
        ];
        let scrapes = [at(50), at(380), at(800)];
        let took = |raised, scrapes: &[Timestamp]| {
            scrape_to_write(&requests, scrapes, ("gatewayroutes", "r"), at(raised))
        };
        assert_eq!(took(200, &scrapes), Some(Duration::from_millis(20)));
        assert_eq!(took(1000, &scrapes), None);
        assert_eq!(took(200, &[at(800)]), None);
        for other in [("gatewayroutes", "other"), ("httproutes", "r")] {
            assert_eq!(scrape_to_write(&requests, &scrapes, other, at(200)), None);
        }
    }
}
