//! Places for so many at a time. Where there are fewer than are wanted, each namespace has its share: one with a
//! hundred Rollouts never keeps another's waiting for all of them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// The places of one provider. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// How many each namespace has; those with none are absent.
    taken: BTreeMap<String, usize>,
    /// Who waits, each namespace's in the order they came; the number tells the order among namespaces.
    waiting: BTreeMap<String, VecDeque<(u64, oneshot::Sender<Place>)>>,
    came: u64,
}

/// A place; dropped, it goes to whoever's turn it is.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    namespace: String,
}

impl Places {
    /// At least one.
    pub(super) fn new(most: usize) -> Self {
        let state = State { free: most.max(1), taken: BTreeMap::new(), waiting: BTreeMap::new(), came: 0 };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Waits for a place. Whoever gives up waiting takes none.
    pub(super) async fn take(&self, namespace: &str) -> Place {
        loop {
            let turn = {
                let mut state = self.lock();
                if state.free > 0 {
                    state.give(namespace);
                    return self.place(namespace);
                }
                state.wait(namespace)
            };
            // It is never closed without a place while this is alive; asked again all the same, it costs nothing.
            if let Ok(place) = turn.await {
                return place;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, namespace: &str) -> Place {
        Place { places: self.clone(), namespace: namespace.to_owned() }
    }
}

impl State {
    fn give(&mut self, namespace: &str) {
        self.free -= 1;
        *self.taken.entry(namespace.to_owned()).or_default() += 1;
    }

    fn take_back(&mut self, namespace: &str) {
        self.free += 1;
        if let Some(taken) = self.taken.get_mut(namespace) {
            *taken -= 1;
            if *taken == 0 {
                self.taken.remove(namespace);
            }
        }
    }

    fn wait(&mut self, namespace: &str) -> oneshot::Receiver<Place> {
        let (sender, turn) = oneshot::channel();
        self.came += 1;
        self.waiting.entry(namespace.to_owned()).or_default().push_back((self.came, sender));
        turn
    }

    /// Gives a free place to the namespace that has the fewest, of several to the one that waits longest.
    fn next(&mut self) -> Option<(String, oneshot::Sender<Place>)> {
        self.waiting.retain(|_, queue| {
            while queue.front().is_some_and(|(_, sender)| sender.is_closed()) {
                queue.pop_front();
            }
            !queue.is_empty()
        });
        if self.free == 0 {
            return None;
        }
        let rank = |namespace: &String, queue: &VecDeque<(u64, _)>| {
            let taken = self.taken.get(namespace).copied().unwrap_or(0);
            (taken, queue.front().map_or(0, |(came, _)| *came))
        };
        let namespace =
            self.waiting.iter().min_by_key(|(namespace, queue)| rank(namespace, queue))?.0.clone();
        let (_, sender) = self.waiting.get_mut(&namespace)?.pop_front()?;
        self.give(&namespace);
        Some((namespace, sender))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let next = {
            let mut state = self.places.lock();
            state.take_back(&self.namespace);
            state.next()
        };
        if let Some((namespace, sender)) = next {
            // One that gave up this moment drops the place, and so hands it on.
            let _ = sender.send(self.places.place(&namespace));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_namespace_with_many_leaves_others_their_share() {
        let places = Places::new(2);
        let mut held: Vec<Place> = vec![places.take("big").await, places.take("big").await];
        let mut waiting: Vec<_> = ["big", "big", "big", "small", "other", "small"]
            .into_iter()
            .map(|namespace| (namespace, Box::pin(places.take(namespace))))
            .collect();
        let mut order = Vec::new();
        for (_, place) in &mut waiting {
            assert!(place.now_or_never().is_none(), "both are taken");
        }
        while !waiting.is_empty() {
            held.remove(0);
            let (at, place) = waiting
                .iter_mut()
                .enumerate()
                .find_map(|(at, (_, place))| place.now_or_never().map(|place| (at, place)))
                .unwrap();
            order.push(waiting.remove(at).0);
            held.push(place);
        }
        assert_eq!(order, ["small", "big", "other", "big", "small", "big"]);
        drop(held);
        let state = places.lock();
        assert_eq!((state.free, state.taken.len(), state.waiting.len()), (2, 0, 0));
    }

    #[tokio::test]
    async fn who_gave_up_takes_no_place() {
        let places = Places::new(1);
        let first = places.take("a").await;
        let mut second = Box::pin(places.take("a"));
        assert!(second.as_mut().now_or_never().is_none());
        let mut third = Box::pin(places.take("b"));
        assert!(third.as_mut().now_or_never().is_none());
        drop(second);
        drop(first);
        assert_eq!(third.now_or_never().unwrap().namespace, "b");
        // It was given to one that never looked.
        let first = places.take("a").await;
        let mut unseen = Box::pin(places.take("a"));
        assert!(unseen.as_mut().now_or_never().is_none());
        drop(first);
        drop(unseen);
        assert!(places.take("c").now_or_never().is_some());
    }
}
