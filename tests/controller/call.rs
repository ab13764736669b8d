//! A request of the controller, and which of them a test has spoilt.

use std::time::Duration;

use http::{Method, Request};

/// One request of the controller.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub verb: &'static str,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// Whether it asks for what there is: a list, or a watch that begins with one.
    pub lists: bool,
    /// The HTTP status that was answered, by the API server or in its place; none where there is no answer yet.
    pub code: Option<u16>,
}

impl Call {
    pub fn is_write(&self) -> bool {
        !self.resource.is_empty() && !matches!(self.verb, "get" | "list" | "watch")
    }

    pub fn parse<Body>(request: &Request<Body>) -> Self {
        let path: Vec<&str> = request.uri().path().split('/').filter(|part| !part.is_empty()).collect();
        let (group, rest) = match path.as_slice() {
            ["api", _version, rest @ ..] => ("", rest),
            ["apis", group, _version, rest @ ..] => (*group, rest),
            _ => ("", &[][..]),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let part = |index: usize| rest.get(index).copied().unwrap_or_default().to_owned();
        let asks = |what| request.uri().query().is_some_and(|query| query.contains(what));
        let watches = asks("watch=true");
        let verb = match *request.method() {
            Method::GET if watches => "watch",
            Method::GET if rest.len() == 1 => "list",
            Method::GET => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            _ => "delete",
        };
        let lists = verb == "list" || watches && asks("sendInitialEvents=true");
        let (group, namespace) = (group.to_owned(), namespace.to_owned());
        Self {
            verb,
            group,
            resource: part(0),
            name: part(1),
            subresource: part(2),
            namespace,
            lists,
            code: None,
        }
    }
}

/// What a write leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Written {
    /// Something that others build on, so that its loss could matter.
    State,
    /// An Event, which may come late or never.
    Event,
}

impl Written {
    /// What a request leaves; none where it only asks.
    pub fn of(call: &Call) -> Option<Self> {
        if !call.is_write() || call.group == "authorization.k8s.io" {
            return None;
        }
        Some(if call.resource == "events" { Self::Event } else { Self::State })
    }
}

/// Stands in what a test plants, and must stand in nothing that the controller tells.
pub const PLANTED: &str = "hunter2-planted";

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Spoil {
    /// Somebody in between answers in the API server's place, with this status and a page for people.
    Page(u16),
    /// This status is answered and the API server not asked; a 429 asks to come again after a second.
    Answer(u16),
    /// The API server carries it out, and the answer gets lost.
    LoseReply,
    /// It is passed on after a delay.
    Delay(Duration),
    /// A watch ends at once.
    EndWatch,
    /// A watch is told that it comes too late.
    Expire,
    /// A list is answered as it was first, by an API server that is behind and stays so for this long: a streamed one
    /// shows nothing new before, and of one that came by pages the watch that follows is delayed.
    Replay(Duration),
}

/// Which requests are spoilt, and how many of them.
#[derive(Clone, Debug)]
pub struct Rule {
    verb: Option<&'static str>,
    lists: Option<bool>,
    resource: Option<String>,
    subresource: Option<&'static str>,
    namespace: Option<String>,
    name: Option<String>,
    /// What it leaves, if that matters.
    written: Option<Written>,
    /// So many are let through before.
    spares: usize,
    /// None where there is no end to it.
    times: Option<usize>,
    used: usize,
    spoil: Spoil,
}

impl Rule {
    pub fn new(spoil: Spoil) -> Self {
        Self {
            verb: None,
            lists: None,
            resource: None,
            subresource: None,
            namespace: None,
            name: None,
            written: None,
            spares: 0,
            times: None,
            used: 0,
            spoil,
        }
    }

    pub fn verb(self, verb: &'static str) -> Self {
        Self { verb: Some(verb), ..self }
    }

    /// Only what asks for what there is.
    pub fn listing(self) -> Self {
        Self { lists: Some(true), ..self }
    }

    /// Only watches that go on from what is known.
    pub fn watching_on(self) -> Self {
        Self { verb: Some("watch"), lists: Some(false), ..self }
    }

    pub fn resource(self, resource: &str) -> Self {
        Self { resource: Some(resource.to_owned()), ..self }
    }

    pub fn subresource(self, subresource: &'static str) -> Self {
        Self { subresource: Some(subresource), ..self }
    }

    pub fn namespace(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    pub fn name(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// Only the n-th of the writes that leave this, counted from 1.
    pub fn nth(self, number: usize, written: Written) -> Self {
        Self { written: Some(written), spares: number - 1, times: Some(1), ..self }
    }

    pub fn times(self, times: usize) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Whether it has spoilt as many requests as it is to, and one at least.
    pub fn is_met(&self) -> bool {
        self.used >= self.times.unwrap_or(1)
    }

    /// What is to happen to a request by this rule.
    pub fn take(&mut self, call: &Call) -> Option<Spoil> {
        let taken = !call.resource.is_empty()
            && self.times.is_none_or(|times| self.used < times)
            && self.verb.is_none_or(|verb| verb == call.verb)
            && self.lists.is_none_or(|lists| lists == call.lists)
            && self.resource.as_ref().is_none_or(|resource| *resource == call.resource)
            && self.subresource.is_none_or(|subresource| subresource == call.subresource)
            && self.name.as_ref().is_none_or(|name| *name == call.name)
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == call.namespace)
            && self.written.is_none_or(|written| Written::of(call) == Some(written));
        if taken && self.spares > 0 {
            self.spares -= 1;
            return None;
        }
        taken.then(|| {
            self.used += 1;
            self.spoil.clone()
        })
    }
}
