//! What the world of a seed consists of: its Rollouts, and the objects that they stand on.

use std::sync::Arc;

use tidegate::{
    api::{RolloutSpec, RouteKind, TargetRef},
    engine::template::TemplateSeen,
};

use crate::{
    chance::Chance,
    mirrors,
    shapes::{Own, Rules, Shape},
    specs, templates,
};

/// The versions of one service, in the order in which they came.
pub type Versions = [&'static str; 3];

const FIRST: Versions = ["v1", "v2", "v3"];
const SECOND: Versions = ["w1", "w2", "w3"];

/// Which worlds have Rollouts that do more than step weights: one in three. Under this number no seed that once found
/// something is one of them.
const VARIES: u64 = 0x7661_7357;

/// The namespace of all of them.
pub const NAMESPACE: &str = "ns";

/// Who a Rollout is, and where it stands.
pub struct Identity {
    pub name: &'static str,
    pub uid: &'static str,
    pub versions: Versions,
    /// In the order of its spec's routes.
    pub places: Vec<Place>,
    /// The routes of its own that it may make beside those, in the same order.
    pub previews: Vec<Preview>,
}

/// A route that a Rollout may make beside one that it steps.
pub struct Preview {
    pub name: String,
    pub object: usize,
    /// The object that it is made of.
    pub of: usize,
}

/// An object that a Rollout names, and what of it is its own.
#[derive(Clone, Copy)]
pub struct Place {
    pub object: usize,
    pub own: Own,
}

/// A route object.
pub struct Object {
    pub name: String,
    pub shape: Shape,
    /// The versions that the rule `ours` and all without a name list, and those that the rule `theirs` lists.
    pub lists: [Versions; 2],
    /// It is not there from the first: a Rollout makes it.
    pub made: bool,
}

/// How the two Rollouts of a world stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbours {
    /// There is one Rollout.
    None,
    /// Each has objects of its own.
    Apart,
    /// They stand on the same objects, each on a rule of its own.
    Beside,
    /// Both name the same rule: the one that comes second is refused.
    Rivals,
}

/// A world before anything happens in it.
pub struct Setup {
    pub specs: Vec<Arc<RolloutSpec>>,
    /// The template that the first of them names; none where it names none.
    pub templates: Vec<TemplateSeen>,
    /// When each is made.
    pub comes_at: Vec<u64>,
    pub identities: Vec<Identity>,
    pub objects: Vec<Object>,
    pub neighbours: Neighbours,
    /// The Rollout that all trouble of this world is aimed at; any may be where there is none.
    pub aimed: Option<usize>,
}

impl Setup {
    /// In one of six worlds there are two Rollouts; in half of those all trouble is one's.
    pub fn of(seed: u64, chance: &mut Chance) -> Self {
        let mut own = Chance::new(seed ^ 0x7477_6f73);
        let neighbours = match own.below(48) {
            0 => Neighbours::Rivals,
            1..=4 => Neighbours::Beside,
            5..=7 => Neighbours::Apart,
            _ => Neighbours::None,
        };
        let mut shapes = Shape::of_seed(seed);
        if neighbours == Neighbours::Beside {
            shapes = shapes.map(|shape| shape.with_two_rules(&mut own));
        }
        let first = specs::any(chance);
        let mut setup = Self::alone(first, shapes);
        setup.neighbours = neighbours;
        if neighbours != Neighbours::None {
            let same = neighbours == Neighbours::Rivals || own.per_mille(500);
            let spec = specs::any(chance);
            setup.aimed = own.per_mille(500).then(|| own.below(2));
            setup.add(spec, if same { FIRST } else { SECOND });
            setup.comes_at[1] = if own.per_mille(500) { 0 } else { own.up_to(20_000) };
        }
        let mut own = Chance::new(seed ^ VARIES);
        if own.below(3) == 0 {
            setup.vary(&mut own);
        }
        setup.templates = templates::of_seed(seed, Arc::make_mut(&mut setup.specs[0]));
        for object in setup.objects.iter_mut().filter(|object| !object.made && mirrors::has_own_beside(seed))
        {
            object.shape.beside = object.shape.kind != RouteKind::VirtualRouter && !object.shape.lone;
        }
        for at in 0..setup.specs.len() {
            let places = setup.identities[at].places.iter();
            let shapes: Vec<Shape> = places.map(|place| setup.objects[place.object].shape).collect();
            mirrors::mirror(seed, Arc::make_mut(&mut setup.specs[at]), &shapes);
        }
        setup
    }

    /// Rollouts that do more than step weights.
    fn vary(&mut self, chance: &mut Chance) {
        let lone = chance.per_mille(250) && self.objects.iter().all(|object| object.shape.may_be_lone());
        for object in self.objects.iter_mut().filter(|_| lone) {
            object.shape.lone = true;
        }
        for at in 0..self.specs.len() {
            let kinds = self.identities[at].places.iter().map(|place| self.objects[place.object].shape.kind);
            let previewed = kinds.into_iter().all(|kind| kind != RouteKind::VirtualRouter);
            specs::vary(Arc::make_mut(&mut self.specs[at]), chance, previewed, lone);
            if previewed {
                self.prepare_previews(at);
            }
        }
    }

    /// Several that don't know of each other tell by their own clocks when a version has been without traffic for long enough,
    /// and would write what they make of it over each other's until all do.
    pub fn retire_nothing(&mut self) {
        for spec in self.specs.iter_mut().filter(|spec| spec.retire.is_some()) {
            Arc::make_mut(spec).retire = None;
        }
    }

    /// Keeps a place for each preview that a Rollout may make.
    fn prepare_previews(&mut self, rollout: usize) {
        let Identity { name, places, .. } = &self.identities[rollout];
        let mut previews = Vec::new();
        for place in places {
            let Object { name: of, shape, lists, .. } = &self.objects[place.object];
            let (name, shape, lists) = (format!("{of}-preview-{name}"), *shape, *lists);
            previews.push(Preview { name: name.clone(), object: self.objects.len(), of: place.object });
            self.objects.push(Object { name, shape, lists, made: true });
        }
        self.identities[rollout].previews = previews;
    }

    /// A world with one Rollout.
    pub fn alone(spec: Arc<RolloutSpec>, shapes: [Shape; 2]) -> Self {
        let count = spec.routes.len();
        let objects = ["one", "two"].into_iter().zip(shapes).take(count);
        let objects: Vec<Object> =
            objects.map(|(name, shape)| Object::there(name, shape, [FIRST; 2])).collect();
        let places = objects.iter().enumerate();
        let places = places.map(|(object, found)| Place { object, own: found.shape.first() }).collect();
        let identity = Identity { name: "color", uid: "uid", versions: FIRST, places, previews: Vec::new() };
        let mut setup = Self {
            specs: Vec::new(),
            templates: Vec::new(),
            comes_at: Vec::new(),
            identities: Vec::new(),
            objects,
            neighbours: Neighbours::None,
            aimed: None,
        };
        setup.push(spec, identity);
        setup
    }

    /// A second Rollout. Its name begins as the first one's does.
    fn add(&mut self, spec: Arc<RolloutSpec>, versions: Versions) {
        let mut places = Vec::new();
        for (at, name) in ["three", "four"].into_iter().enumerate().take(spec.routes.len()) {
            let shared = match self.neighbours {
                Neighbours::Beside if at < self.places_of_first() => {
                    self.objects[at].lists[1] = versions;
                    Some(Place { object: at, own: Own::Rule("theirs") })
                }
                Neighbours::Rivals if at < self.places_of_first() => Some(self.identities[0].places[at]),
                _ => None,
            };
            places.push(shared.unwrap_or_else(|| {
                let shape = self.objects[0].shape;
                self.objects.push(Object::there(name, shape, [versions; 2]));
                Place { object: self.objects.len() - 1, own: shape.first() }
            }));
        }
        self.push(spec, Identity { name: "colors", uid: "uid-2", versions, places, previews: Vec::new() });
    }

    fn places_of_first(&self) -> usize {
        self.identities[0].places.len()
    }

    /// Takes a Rollout in, its routes in the spec as they look here.
    fn push(&mut self, mut spec: Arc<RolloutSpec>, identity: Identity) {
        let plain = identity.places.iter().all(|place| self.objects[place.object].shape == Shape::PLAIN);
        if !plain || !self.identities.is_empty() {
            let spec = Arc::make_mut(&mut spec);
            for (route, place) in spec.routes.iter_mut().zip(&identity.places) {
                let Object { name, shape, .. } = &self.objects[place.object];
                *route = shape.reference(name, place.own, identity.versions);
            }
            if spec.routes.iter().any(|route| route.stable.is_some()) {
                spec.stable =
                    Some(TargetRef { name: identity.versions[0].into(), port: None, workload_ref: None });
            }
            crate::shapes::set_target(spec, identity.versions[1]);
        }
        self.specs.push(spec);
        self.comes_at.push(0);
        self.identities.push(identity);
    }
}

impl Object {
    fn there(name: &str, shape: Shape, lists: [Versions; 2]) -> Self {
        Self { name: name.to_owned(), shape, lists, made: false }
    }
}

impl Identity {
    /// The place that is kept for a preview of that name.
    pub fn preview(&self, name: &str) -> Option<&Preview> {
        self.previews.iter().find(|preview| preview.name == name)
    }

    /// Whether it stands on an object, or may make it.
    pub fn stands_on(&self, object: usize) -> bool {
        self.places.iter().any(|place| place.object == object)
            || self.previews.iter().any(|preview| preview.object == object)
    }

    /// What of an object is its own.
    pub fn own(&self, object: usize) -> Option<Own> {
        self.places.iter().find(|place| place.object == object).map(|place| place.own)
    }
}

impl Shape {
    /// What of such an object is the first Rollout's.
    fn first(self) -> Own {
        match self.rules {
            Rules::One => Own::All,
            Rules::Named => Own::Rule("ours"),
            Rules::Every => Own::Listing,
        }
    }
}
