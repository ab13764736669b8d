//! Series that are not there for a while: a pod that is not scraped, an exporter that restarts.
//!
//! A series that is new counts whole, for the first failure of a canary often brings its own. One that comes back would count
//! whole once more; so its last value is kept as long as the run is followed, and what it has counted since is the difference.

use crate::engine::look::{Arms, Counters, Snapshot};

/// No more series of one counter are kept: names of pods that come and go add up.
const MOST: usize = 2_000;

/// The counters as they stand now, and the last values of what is absent.
pub(super) fn with_absent(now: &Arms, before: &Arms) -> Arms {
    let mut now = now.clone();
    keep(&mut now.canary, &before.canary);
    keep(&mut now.stable, &before.stable);
    now
}

fn keep(now: &mut Counters, before: &Counters) {
    keep_series(&mut now.errors, &before.errors);
    keep_series(&mut now.total, &before.total);
    for (bound, known) in &before.buckets {
        match now.buckets.binary_search_by(|(other, _)| other.total_cmp(bound)) {
            Ok(at) => {
                if let Some((_, snapshot)) = now.buckets.get_mut(at) {
                    keep_series(snapshot, known);
                }
            }
            Err(at) => now.buckets.insert(at, (*bound, known.clone())),
        }
    }
}

fn keep_series(now: &mut Snapshot, before: &Snapshot) {
    if now.len() == before.len() && now.keys().eq(before.keys()) {
        return;
    }
    for (series, value) in before {
        if now.len() < MOST && !now.contains_key(series) {
            now.insert(series.clone(), *value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::increment;

    fn snapshot(all: &[(&str, f64)]) -> Snapshot {
        all.iter().map(|(series, value)| ((*series).to_owned(), *value)).collect()
    }

    fn counters(total: &[(&str, f64)]) -> Counters {
        Counters { total: snapshot(total), buckets: vec![(0.1, snapshot(total))], ..Counters::default() }
    }

    fn arms(canary: &[(&str, f64)]) -> Arms {
        let at = jiff::Timestamp::UNIX_EPOCH;
        Arms { at, canary: counters(canary), stable: Counters::default(), past: vec![] }
    }

    #[test]
    fn what_comes_back_counts_from_where_it_was() {
        let looks: [&[(&str, f64)]; 5] = [
            &[("a", 900.0), ("b", 100.0)],
            &[("b", 110.0)],
            &[],
            &[("a", 950.0), ("b", 5.0)],
            &[("a", 951.0), ("b", 6.0), ("c", 2.0)],
        ];
        let mut before = arms(looks[0]);
        let mut counted = vec![];
        for look in &looks[1..] {
            let now = with_absent(&arms(look), &before);
            let grown = |of: fn(&Counters) -> &Snapshot| increment(Some(of(&before.canary)), of(&now.canary));
            counted.push((grown(|counters| &counters.total), grown(|counters| &counters.buckets[0].1)));
            before = now;
        }
        // b restarted meanwhile, and c is new.
        let want = [10.0, 0.0, 55.0, 4.0].map(|count| (count, count));
        assert_eq!(counted, want);
    }

    #[test]
    fn what_never_comes_back_does_not_add_up_for_ever() {
        let names: Vec<String> = (0..MOST + 10).map(|at| at.to_string()).collect();
        let before = arms(&names.iter().map(|name| (name.as_str(), 1.0)).collect::<Vec<_>>());
        assert_eq!(with_absent(&arms(&[("new", 1.0)]), &before).canary.total.len(), MOST);
    }
}
