//! A list and its watch, for as long as it takes: renewed, begun anew, and not taken at its first word when it is refused.

use std::{fmt::Debug, time::Duration};

use futures::{Stream, StreamExt, stream::BoxStream};
use kube::{
    Api, Resource,
    api::WatchParams,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;

use crate::routes;

/// A watch is renewed this often, and one that has gone silent is noticed five seconds later.
const WATCH_SECONDS: u32 = 50;
/// How long until what was refused is asked for again.
const REFUSED: Duration = Duration::from_secs(5);
/// A list that keeps failing is tried again this often at least.
const FAILING: Duration = Duration::from_secs(20);
/// So many refusals in a row are believed. An API server that has just started refuses everybody for a moment, until it
/// knows the roles; what was seen before holds meanwhile.
const REFUSALS: u32 = 3;

/// What breaks off so often before its end is asked for otherwise.
const BROKEN_OFF: u32 = 3;

/// Objects a page of a list: what is read and not yet reduced is in memory whole.
const PAGE: u32 = 100;

/// How the objects that there are come, before those that change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// One by one, as the beginning of the watch: for many that are large. They are as new as the API server's cache, as
    /// what a watch shows always is. An API server that does not know how to, or does not come to the end, is asked for
    /// pages.
    Streamed,
    /// Page by page.
    Paged,
}

/// The objects of a kind as they are and become. Where that is refused after a list, it begins anew as soon as it is
/// granted again: a watch that goes on says nothing until something happens, and so never that all is well.
pub fn follow<K>(api: Api<K>, first: First) -> impl Stream<Item = watcher::Result<Event<K>>> + use<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    futures::stream::unfold(Following::begin(api, first), async |mut following| {
        let event = following.next().await?;
        Some((event, following))
    })
}

struct Following<K> {
    api: Api<K>,
    first: First,
    events: BoxStream<'static, watcher::Result<Event<K>>>,
    course: Course,
}

impl<K> Following<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    fn begin(api: Api<K>, first: First) -> Self {
        let mut settings = watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE);
        if first == First::Streamed {
            settings = settings.streaming_lists();
        }
        let events = watcher(api.clone(), settings).default_backoff().boxed();
        Self { api, first, events, course: Course::default() }
    }

    async fn next(&mut self) -> Option<watcher::Result<Event<K>>> {
        if self.course.refused() {
            self.granted().await;
            *self = Self::begin(self.api.clone(), self.first);
        }
        loop {
            if let Some(wait) = self.course.wait() {
                tokio::time::sleep(spread(wait)).await;
            }
            let event = self.events.next().await?;
            if self.first == First::Streamed && self.course.is_not_streamed(&event) {
                tracing::info!("the API server does not stream what there is; it is read by pages");
                *self = Self { course: self.course, ..Self::begin(self.api.clone(), First::Paged) };
                continue;
            }
            if self.course.take(&event) {
                return Some(event);
            }
        }
    }

    /// Returns once the objects may be watched, again.
    async fn granted(&mut self) {
        loop {
            // Spread, so that many kinds and namespaces don't come at once.
            tokio::time::sleep(spread(REFUSED)).await;
            let params = WatchParams::default().timeout(1);
            let watch = tokio::time::timeout(REFUSED, self.api.watch(&params, "0"));
            if matches!(watch.await, Ok(Ok(_))) {
                return;
            }
        }
    }
}

/// What has come of a list and its watch so far.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    listed: bool,
    /// What there is has begun to come, and not ended.
    coming: bool,
    /// So often in a row it began to come and broke off.
    broken_off: u32,
    /// Refusals in a row.
    refusals: u32,
    /// Lists that failed in a row. Each attempt begins with an event of its own, which ends the watcher's own backoff.
    failures: u32,
    /// The next attempt does not come at once.
    waits: bool,
}

impl Course {
    /// Takes in what came. Returns whether it is to be passed on: a refusal of what was granted before is not, until it
    /// is believed.
    fn take<K>(&mut self, event: &watcher::Result<Event<K>>) -> bool {
        match event {
            // Another attempt; whether it is granted shows in what follows.
            Ok(Event::Init) => {
                self.coming = true;
                true
            }
            Ok(Event::InitDone) => {
                *self = Self { listed: true, ..Self::default() };
                true
            }
            Ok(Event::InitApply(_) | Event::Apply(_) | Event::Delete(_)) => {
                self.refusals = 0;
                true
            }
            Err(error) => {
                self.broken_off += u32::from(std::mem::take(&mut self.coming));
                if matches!(error, watcher::Error::InitialListFailed(_)) {
                    self.failures += 1;
                    self.waits = true;
                }
                if !self.listed || !matches!(code(error), Some(403 | 404)) {
                    return true;
                }
                self.refusals += 1;
                if !self.refused() {
                    tracing::info!(
                        error = told(error),
                        "the watch is refused; it is tried again before that is believed"
                    );
                }
                self.refused()
            }
        }
    }

    /// Whether what came shows that the API server does not stream what there is: it does not know how to, or what it
    /// began did not come to its end, or broke off time and again.
    fn is_not_streamed<K>(&self, event: &watcher::Result<Event<K>>) -> bool {
        match event {
            Ok(Event::Init) => self.coming,
            Ok(Event::InitApply(_) | Event::InitDone | Event::Apply(_) | Event::Delete(_)) => false,
            Err(error) => matches!(code(error), Some(400 | 422)) || self.broken_off >= BROKEN_OFF,
        }
    }

    /// Whether a refusal is believed.
    fn refused(&self) -> bool {
        self.refusals >= REFUSALS
    }

    /// How long until the next attempt, taken; ever longer while lists fail.
    fn wait(&mut self) -> Option<Duration> {
        let longer = Duration::from_secs(2_u64.saturating_pow(self.failures));
        std::mem::take(&mut self.waits).then(|| longer.min(FAILING))
    }
}

fn spread(wait: Duration) -> Duration {
    wait.mul_f64(1.0 + fastrand::f64() / 2.0)
}

/// What an error of a watch says, without a byte of an answer that is not the API server's own.
pub fn told(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(source)
        | watcher::Error::WatchStartFailed(source)
        | watcher::Error::WatchFailed(source) => routes::told(source),
        watcher::Error::WatchError(status) => routes::told_by(status),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

/// The HTTP status behind an error of a watch, where there is one.
pub fn code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => None,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn failed(code: u16) -> watcher::Result<Event<()>> {
        let status = Status::failure("", "").with_code(code);
        Err(watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status))))
    }

    fn watch_failed(code: u16) -> watcher::Result<Event<()>> {
        let status = Status::failure("", "").with_code(code);
        Err(watcher::Error::WatchStartFailed(kube::Error::Api(Box::new(status))))
    }

    #[test]
    fn a_refusal_after_a_list_is_believed_the_third_time() {
        for (name, refusal) in [
            ("a list that is forbidden", failed(403)),
            ("a list of nothing that is served", failed(404)),
            ("a watch that is forbidden", watch_failed(403)),
        ] {
            let mut course = Course::default();
            assert!(course.take(&refusal), "{name}: before any list it is believed at once");
            assert!(course.take(&Ok::<Event<()>, _>(Event::InitDone)));
            let believed: Vec<bool> = (0..3)
                .map(|_| {
                    course.take(&Ok::<Event<()>, _>(Event::Init));
                    course.take(&refusal)
                })
                .collect();
            assert_eq!(believed, [false, false, true], "{name}");
            assert!(course.refused(), "{name}");
        }
    }

    #[test]
    fn what_is_not_streamed_to_its_end_is_read_by_pages() {
        let begun = Course { coming: true, ..Course::default() };
        let listed = Course { listed: true, ..Course::default() };
        let broken = Course { broken_off: BROKEN_OFF, ..Course::default() };
        let fresh = Course::default();
        for (name, course, event, wanted) in [
            ("a server that knows no such streams", fresh, watch_failed(422), true),
            ("the same after a list", listed, watch_failed(422), true),
            ("a server in trouble", fresh, watch_failed(500), false),
            ("one that breaks off", begun, watch_failed(500), false),
            ("one that always does", broken, watch_failed(500), true),
            ("a watch that is forbidden", fresh, watch_failed(403), false),
            ("a kind that is not served", fresh, watch_failed(404), false),
            ("the beginning", fresh, Ok(Event::Init), false),
            ("a beginning after a beginning", begun, Ok(Event::Init), true),
            ("an object", begun, Ok(Event::InitApply(())), false),
            ("the end", begun, Ok(Event::InitDone), false),
        ] {
            assert_eq!(course.is_not_streamed(&event), wanted, "{name}");
        }
    }

    #[test]
    fn what_is_granted_in_between_begins_the_row_anew() {
        let mut course = Course::default();
        course.take(&Ok::<Event<()>, _>(Event::InitDone));
        for between in [Event::InitDone, Event::Apply(()), Event::Delete(())] {
            assert!(!course.take(&watch_failed(403)) && !course.take(&watch_failed(403)));
            assert!(course.take(&Ok(between)));
        }
        assert!(!course.refused());
    }

    #[test]
    fn lists_that_keep_failing_are_tried_ever_more_slowly() {
        let mut course = Course::default();
        assert_eq!(course.wait(), None);
        let waits: Vec<u64> = (0..6)
            .map(|_| {
                assert!(course.take(&failed(500)));
                course.wait().unwrap().as_secs()
            })
            .collect();
        assert_eq!(waits, [2, 4, 8, 16, 20, 20]);
        assert_eq!(course.wait(), None, "once each");
        course.take(&Ok::<Event<()>, _>(Event::InitDone));
        course.take(&failed(500));
        assert_eq!(course.wait(), Some(Duration::from_secs(2)));
    }
}
