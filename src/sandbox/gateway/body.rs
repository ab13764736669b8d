//! A response body under the route's limits, which tells when it is complete.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::{
    clock::Clock,
    sandbox::{serve::BodyError, stats::ClusterStats},
};
use jiff::Timestamp;

/// Passes frames on until the end, the deadline or the idle limit; only a complete response has its time counted.
pub(super) struct Limited {
    inner: Incoming,
    deadline: Option<Pin<Box<Sleep>>>,
    idle: Option<(Duration, Pin<Box<Sleep>>)>,
    done: Option<Done>,
}

pub(super) struct Done {
    pub(super) stats: Arc<ClusterStats>,
    pub(super) clock: Clock,
    pub(super) started: Timestamp,
}

#[derive(Debug, thiserror::Error)]
#[error("the response of a destination exceeded the route's {0} limit")]
struct Exceeded(&'static str);

impl Limited {
    pub(super) fn new(
        inner: Incoming,
        deadline: Option<Pin<Box<Sleep>>>,
        idle: Option<Duration>,
        done: Done,
    ) -> Self {
        let mut body = Self {
            idle: idle.map(|limit| (limit, Box::pin(sleep(limit)))),
            done: Some(done),
            inner,
            deadline,
        };
        if body.inner.is_end_stream() {
            body.complete();
        }
        body
    }

    fn complete(&mut self) {
        if let Some(Done { stats, clock, started }) = self.done.take() {
            stats.took(clock.now().duration_since(started).try_into().unwrap_or_default());
        }
    }
}

impl Body for Limited {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.deadline.as_mut().is_some_and(|limit| limit.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Some(Err(Exceeded("perRequest").into())));
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            if let Some((limit, timer)) = &mut self.idle {
                *timer = Box::pin(sleep(*limit));
            }
            // A body of known length is never polled past its last frame.
            if frame.is_none() || self.inner.is_end_stream() {
                self.complete();
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        match &mut self.idle {
            Some((_, timer)) => {
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Some(Err(Exceeded("idle").into())))
            }
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
