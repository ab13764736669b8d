//! Series that are not there for a while: a pod that is not scraped, an exporter that restarts.
//!
//! A series that is new counts whole, for the first failure of a canary often brings its own. One that comes back would count
//! whole once more; so its last value is kept as long as a controller follows the run, and what it has counted since is the
//! difference. After a restart what is there at the first look is all that is known.

use super::Test;
use crate::{
    analysis::increment,
    engine::look::{Arms, Counters, Snapshot},
};

/// No more series of one counter are kept: names of pods that come and go add up.
const MOST: usize = 500;

/// The counters as they stand now, and the last values of what is absent.
pub(super) fn with_absent(now: &Arms, known: Option<&Arms>) -> Arms {
    let mut now = Arms { past: Vec::new(), ..now.clone() };
    if let Some(known) = known {
        keep(&mut now.canary, &known.canary);
        keep(&mut now.stable, &known.stable);
    }
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

/// What there is to say where an arm has traffic and its histogram, as the provider showed it, is not there. Where there is no
/// traffic either, nothing is missing.
pub(super) fn missing_histogram(test: &Test, before: &Counters, shown: &Counters) -> Option<String> {
    let (_, told) = test.bound.as_ref()?;
    let missing = shown.buckets.is_empty() && increment(Some(&before.total), &shown.total) > 0.0;
    missing.then(|| format!("there is traffic but no latency series to find those slower than {told}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Level;

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
            let now = with_absent(&arms(look), Some(&before));
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
        assert_eq!(with_absent(&arms(&[("new", 1.0)]), Some(&before)).canary.total.len(), MOST);
    }

    #[test]
    fn a_histogram_that_vanishes_while_there_is_traffic_is_missing() {
        let level = Level::LATENCY_TOLERATE;
        let test =
            |bound| Test { name: "t".into(), bound, max: None, tolerate: level, catch: level, mode: None };
        let before = counters(&[("a", 100.0)]);
        let bare = |total: f64| Counters { buckets: vec![], ..counters(&[("a", total)]) };
        let slower = || test(Some((0.3, "300ms".to_owned())));
        assert!(missing_histogram(&slower(), &before, &bare(150.0)).unwrap().contains("slower than 300ms"));
        assert_eq!(missing_histogram(&slower(), &before, &bare(100.0)), None, "no traffic either");
        assert_eq!(missing_histogram(&slower(), &before, &counters(&[("a", 150.0)])), None);
        assert_eq!(missing_histogram(&test(None), &before, &bare(150.0)), None, "errors need none");
    }
}
