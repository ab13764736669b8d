//! A session and an Envoy that obeys the protocol, at every order in which they can take their turns.

use std::{collections::VecDeque, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::dataplane::{
    Cluster, Destination, Endpoints, Entrance, HeaderChanges, HostRewrite, Inbound, Limits, Listener, Match,
    ObjectKind, ObjectRef, PathMatch, PathRewrite, Plan, PlannedRoute, Protocol, Rewrite, Route, Timeout,
};

/// A gateway of one route to these clusters.
fn snapshot(clusters: &[u8], weight: u32) -> Arc<Snapshot> {
    snapshot_beside(clusters, weight, &[])
}

/// The same with other clusters beside, which no route names.
fn snapshot_beside(clusters: &[u8], weight: u32, beside: &[u8]) -> Arc<Snapshot> {
    let name = |number: &u8| format!("c{number}");
    let destination = |number: &u8| Destination {
        target: name(number),
        namespace: "shop".into(),
        virtual_service: None,
        port: None,
        weight,
    };
    let route = Route {
        name: "r".into(),
        namespace: "shop".into(),
        priority: 0,
        protocol: Protocol::Http,
        matcher: Match {
            method: None,
            hostname: None,
            path: PathMatch::Any,
            headers: vec![],
            query: vec![],
            port: None,
        },
        onward: vec![],
        mirrors: vec![],
        destinations: clusters.iter().map(destination).collect(),
        rewrite: Rewrite { path: PathRewrite::Keep, host: HostRewrite::Keep },
        headers: HeaderChanges::default(),
        timeout: Timeout { per_request: Some(Duration::from_secs(1)), idle: None },
        retry: None,
    };
    let cluster = |number: &u8| Cluster {
        protocol: Protocol::Http,
        endpoints: Endpoints::Service { namespace: "shop".into(), name: name(number), port: 80 },
        tls: None,
        health: None,
        limits: Limits::default(),
        outliers: None,
    };
    let plan = Plan {
        entrance: Entrance::Gateway(vec![Listener { port: 80, protocol: Protocol::Http, tls: None }]),
        routes: vec![PlannedRoute {
            object: ObjectRef { kind: ObjectKind::GatewayRoute, namespace: "shop".into(), name: "r".into() },
            route,
            clusters: clusters.iter().map(name).collect(),
            mirrors: vec![],
        }],
        clusters: clusters.iter().chain(beside).map(|number| (name(number), cluster(number))).collect(),
    };
    Arc::new(Snapshot::of(&plan, &BTreeMap::new()).0)
}

fn published(number: u64, snapshot: &Snapshot) -> Arc<Published> {
    Arc::new(Published { number, snapshot: snapshot.clone() })
}

/// An Envoy: it asks for clusters first, for endpoints when it has clusters, for routes when it has listeners.
#[derive(Default)]
struct Envoy {
    /// Requests on their way.
    sends: VecDeque<(Kind, Ask)>,
    /// Responses on their way.
    gets: VecDeque<Answer>,
    has: BTreeMap<Kind, Resources>,
    /// The clusters whose endpoints it knows: it keeps them as long as the cluster.
    endpoints: BTreeSet<String>,
    nonces: BTreeMap<Kind, String>,
    asks_for: BTreeMap<Kind, BTreeSet<String>>,
    /// How many responses it got of a type.
    got: BTreeMap<Kind, usize>,
    refuses: Option<Kind>,
}

impl Envoy {
    fn connect(&mut self) {
        self.sends.clear();
        self.gets.clear();
        self.nonces.clear();
        let mut kinds: BTreeSet<Kind> = std::mem::take(&mut self.asks_for).into_keys().collect();
        kinds.insert(Kind::Cluster);
        for kind in kinds {
            self.ask(kind, None);
        }
    }

    fn ask(&mut self, kind: Kind, refusal: Option<String>) {
        let names = match kind {
            Kind::Endpoints => self.names(Kind::Cluster),
            Kind::Routes => {
                let mut names = self.names(Kind::Listener);
                // Which has routes for what was sent to Envoy itself besides.
                names.extend(names.contains("egress").then(|| "direct".to_owned()));
                names
            }
            Kind::Secret | Kind::Cluster | Kind::Listener => BTreeSet::new(),
        };
        self.asks_for.insert(kind, names.clone());
        let version = self.has.get(&kind).map(|has| has.version.clone()).unwrap_or_default();
        let nonce = self.nonces.get(&kind).cloned().unwrap_or_default();
        self.sends.push_back((kind, Ask { names, nonce, version, refusal }));
    }

    fn names(&self, kind: Kind) -> BTreeSet<String> {
        self.has.get(&kind).map(|has| has.resources.keys().cloned().collect()).unwrap_or_default()
    }

    /// Takes in the next response.
    fn take(&mut self) {
        let Some(answer) = self.gets.pop_front() else { return };
        let kind = answer.kind;
        *self.got.entry(kind).or_default() += 1;
        self.nonces.insert(kind, answer.nonce);
        if self.refuses == Some(kind) {
            return self.ask(kind, Some("no such thing".to_owned()));
        }
        self.has.insert(kind, answer.content);
        let clusters = self.names(Kind::Cluster);
        self.endpoints.extend(self.names(Kind::Endpoints));
        self.endpoints.retain(|name| clusters.contains(name));
        self.ask(kind, None);
        let next = match kind {
            Kind::Cluster if !self.asks_for.contains_key(&Kind::Listener) => {
                self.ask(Kind::Endpoints, None);
                Some(Kind::Listener)
            }
            Kind::Cluster => Some(Kind::Endpoints),
            Kind::Listener => Some(Kind::Routes),
            Kind::Secret | Kind::Endpoints | Kind::Routes => None,
        };
        if let Some(next) = next {
            self.ask(next, None);
        }
    }
}

/// Both of them.
struct World {
    session: Session,
    envoy: Envoy,
    /// The clusters that routes of a version name.
    named: BTreeMap<String, BTreeSet<String>>,
}

impl World {
    fn new(target: &Arc<Snapshot>) -> Self {
        let mut world = Self {
            session: Session::new(published(1, target)),
            envoy: Envoy::default(),
            named: BTreeMap::new(),
        };
        world.note(target);
        world.envoy.connect();
        world
    }

    fn note(&mut self, target: &Snapshot) {
        let named = target.resources(Kind::Cluster).resources.keys().cloned().collect();
        self.named.insert(target.resources(Kind::Routes).version.clone(), named);
    }

    fn aim(&mut self, target: &Arc<Snapshot>) {
        self.note(target);
        self.session.aim(published(self.session.target.number + 1, target));
    }

    /// One of them takes a turn. Returns whether there was anything to do.
    fn turn(&mut self, envoy: bool) -> bool {
        if envoy {
            let had = !self.envoy.gets.is_empty();
            self.envoy.take();
            self.check();
            return had;
        }
        if let Some((kind, ask)) = self.envoy.sends.pop_front() {
            self.session.take(kind, ask);
            return true;
        }
        match self.session.answer() {
            Some(answer) => {
                self.envoy.gets.push_back(answer);
                true
            }
            None => false,
        }
    }

    /// Routes name no cluster that is not there, with its endpoints.
    fn check(&self) {
        let Some(routes) = self.envoy.has.get(&Kind::Routes).filter(|has| !has.resources.is_empty()) else {
            return;
        };
        let named = &self.named[&routes.version];
        let (clusters, endpoints) = (self.envoy.names(Kind::Cluster), &self.envoy.endpoints);
        assert!(named.is_subset(&clusters), "{named:?} of {clusters:?}");
        assert!(named.is_subset(endpoints), "{named:?} of {endpoints:?}");
    }

    fn settle(&mut self) {
        for _ in 0..200 {
            let some = [self.turn(false), self.turn(true)];
            if some == [false, false] {
                return;
            }
        }
        panic!("they never come to rest: {:?}", self.envoy.got);
    }

    fn standings(&self) -> Vec<Standing> {
        let kinds = [Kind::Cluster, Kind::Endpoints, Kind::Listener, Kind::Routes];
        kinds.into_iter().map(|kind| self.session.standing(kind)).collect()
    }
}

#[test]
fn an_envoy_that_connects_gets_everything_and_then_only_what_changes() {
    let mut world = World::new(&snapshot(&[1, 2], 50));
    world.settle();
    assert_eq!(world.standings(), vec![Standing::Has; 4]);
    world.envoy.got.clear();
    world.aim(&snapshot(&[1, 2], 60));
    assert_eq!(world.session.standing(Kind::Routes), Standing::Lags);
    world.settle();
    assert_eq!(world.envoy.got, BTreeMap::from([(Kind::Routes, 1)]), "a weight is one response");
    assert_eq!(world.standings(), vec![Standing::Has; 4]);
    assert_eq!(world.session.up_to(), 2);
}

/// While one change follows the other, what was answered counts.
#[test]
fn in_a_burst_of_changes_envoy_has_the_older_ones() {
    let mut world = World::new(&snapshot(&[1, 2], 50));
    assert_eq!(world.session.up_to(), 0);
    world.settle();
    for weight in 60..70 {
        let before = world.session.up_to();
        world.aim(&snapshot(&[1, 2], weight));
        assert_eq!(world.session.up_to(), before, "it has not been sent yet");
        // Sent; a change comes before the answer.
        assert!(world.turn(false));
        world.aim(&snapshot(&[1, 2], weight + 100));
        assert!(world.turn(true) && world.turn(false));
        assert_eq!(world.session.up_to(), world.session.target.number - 1);
    }
    world.settle();
    assert_eq!(world.session.up_to(), world.session.target.number);
}

#[test]
fn an_envoy_that_comes_back_has_what_it_had() {
    let target = snapshot(&[1, 2], 50);
    let mut world = World::new(&target);
    world.settle();
    world.envoy.got.clear();
    // Another replica, or the same one started anew.
    world.session = Session::new(published(1, &target));
    world.envoy.connect();
    world.settle();
    assert_eq!(world.standings(), vec![Standing::Has; 4]);
    let whole: Vec<_> =
        world.envoy.got.keys().filter(|kind| [Kind::Cluster, Kind::Listener].contains(kind)).collect();
    assert!(whole.is_empty(), "{whole:?} were sent again");
}

#[test]
fn what_envoy_refuses_is_told_in_its_words_and_not_sent_again() {
    let mut world = World::new(&snapshot(&[1], 1));
    world.settle();
    world.envoy.refuses = Some(Kind::Routes);
    world.envoy.got.clear();
    world.aim(&snapshot(&[1, 2], 1));
    world.settle();
    assert_eq!(world.session.standing(Kind::Routes), Standing::Refuses("no such thing".into()));
    assert_eq!(world.session.refusals(), [(Kind::Routes, "no such thing".into())].into());
    assert_eq!((world.session.up_to(), world.envoy.got[&Kind::Routes]), (1, 1));
    world.envoy.refuses = None;
    world.aim(&snapshot(&[1, 2], 2));
    world.settle();
    assert_eq!(world.standings(), vec![Standing::Has; 4]);
}

#[test]
fn clusters_that_envoy_refuses_do_not_hold_up_the_routes() {
    let mut world = World::new(&snapshot(&[1, 2], 1));
    world.settle();
    world.envoy.refuses = Some(Kind::Cluster);
    world.session.aim(published(2, &snapshot_beside(&[1, 2], 2, &[3])));
    world.named.insert(
        world.session.target.snapshot.resources(Kind::Routes).version.clone(),
        ["c1".into(), "c2".into()].into(),
    );
    world.settle();
    assert_eq!(world.session.standing(Kind::Cluster), Standing::Refuses("no such thing".into()));
    assert_eq!(world.session.standing(Kind::Routes), Standing::Has);
}

/// Envoy watches the endpoints of such a cluster anew, and waits for them although it has them.
#[test]
fn who_asks_again_for_what_he_has_is_answered() {
    let mut world = World::new(&snapshot(&[1], 1));
    world.settle();
    world.envoy.got.clear();
    world.envoy.ask(Kind::Endpoints, None);
    world.settle();
    assert_eq!(world.envoy.got, BTreeMap::from([(Kind::Endpoints, 1)]));
    assert_eq!(world.standings(), vec![Standing::Has; 4]);
}

/// What Envoys beside the pods of a node have that listens on this port; the cluster behind it has its number.
fn beside(port: u16) -> Arc<Snapshot> {
    let cluster = format!("in-{port}");
    let local = Cluster {
        protocol: Protocol::Http,
        endpoints: Endpoints::Local { port },
        tls: None,
        health: None,
        limits: Limits::default(),
        outliers: None,
    };
    let inbound = Inbound {
        port,
        protocol: Some(Protocol::Http),
        tls: None,
        timeout: Timeout::default(),
        cluster: cluster.clone(),
    };
    let entrance = Entrance::Sidecar(vec![inbound]);
    let plan = Plan { entrance, routes: vec![], clusters: [(cluster, local)].into() };
    Arc::new(Snapshot::of(&plan, &BTreeMap::new()).0)
}

/// Their routes are the same before and after.
#[test]
fn a_cluster_that_a_listener_leads_to_goes_after_it() {
    let (before, after) = (beside(1), beside(2));
    let mut world = World::new(&before);
    world.named.values_mut().for_each(BTreeSet::clear);
    world.settle();
    world.aim(&after);
    world.named.values_mut().for_each(BTreeSet::clear);
    let old = before.resources(Kind::Listener).version.clone();
    for _ in 0..50 {
        world.turn(false);
        world.turn(true);
        let is_old = world.envoy.has[&Kind::Listener].version == old;
        let led_to = if is_old { "in-1" } else { "in-2" };
        let clusters = world.envoy.names(Kind::Cluster);
        assert!(clusters.contains(led_to), "{led_to} of {clusters:?}");
    }
    assert_eq!(world.session.up_to(), 2);
    assert!(!world.envoy.names(Kind::Cluster).contains("in-1"), "nobody is led there any more");
}

/// It has nothing left to watch then.
#[test]
fn nobody_waits_for_an_answer_to_nothing() {
    let mut world = World::new(&snapshot(&[], 1));
    world.settle();
    assert_eq!(world.standings(), vec![Standing::Has; 4]);
    let asks = Ask { names: ["gone".to_owned()].into(), ..Ask::default() };
    world.session.take(Kind::Endpoints, asks);
    let answer = world.session.answer();
    assert!(answer.is_none_or(|answer| answer.content.resources.is_empty()));
    assert_eq!(world.session.standing(Kind::Endpoints), Standing::Has);
}

proptest! {
    #[test]
    fn nothing_is_named_before_it_is_there_and_all_comes_to_rest(
        targets in prop::collection::vec((prop::collection::btree_set(0u8..5, 1..4), 1u32..3), 1..6),
        turns in prop::collection::vec(0u8..12, 0..120),
    ) {
        let mut targets = targets.into_iter().map(|(clusters, weight)| {
            snapshot(&clusters.into_iter().collect::<Vec<_>>(), weight)
        }).collect::<VecDeque<_>>();
        let mut world = World::new(&targets.pop_front().unwrap());
        for turn in turns {
            match turn {
                0 => if let Some(target) = targets.pop_front() { world.aim(&target) },
                // At rest: who serves a stream anew can't know what else an Envoy still has.
                1 if world.standings() == vec![Standing::Has; 4] => {
                    let target = Arc::clone(&world.session.target);
                    world.session = Session::new(target);
                    world.envoy.connect();
                    world.settle();
                }
                other => drop(world.turn(other % 2 == 0)),
            }
        }
        for target in targets {
            world.aim(&target);
            world.turn(false);
        }
        world.settle();
        prop_assert_eq!(world.standings(), vec![Standing::Has; 4]);
        let wanted = world.session.target.snapshot.resources(Kind::Cluster).resources.keys().cloned().collect();
        prop_assert_eq!(world.envoy.names(Kind::Cluster), wanted, "and what nobody names is gone");
    }
}
