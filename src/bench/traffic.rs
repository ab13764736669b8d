//! The traffic of a bench: as many requests reach each version of a Rollout as the weights of its route say.

use jiff::Timestamp;

/// Requests a second of both versions together: enough that a step of a few percent is proved within seconds.
const RATE: f64 = 80_000.0;

/// How many requests the first and the second version have had from `since` until `at`, both in seconds of Unix time: `shares`
/// are the second one's weights in percent and from when each held; before the first of them it had none.
pub fn requests(shares: &[(Timestamp, i64)], since: f64, at: f64) -> (f64, f64) {
    let ends = shares.iter().skip(1).map(|(end, _)| seconds(*end)).chain([at]);
    let second: f64 = shares
        .iter()
        .zip(ends)
        .map(|((start, share), end)| {
            let lasted = end.min(at) - seconds(*start).max(since);
            lasted.max(0.0) * weight(*share)
        })
        .sum();
    let second = second * RATE;
    ((at - since).max(0.0).mul_add(RATE, -second), second)
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

fn weight(percent: i64) -> f64 {
    u8::try_from(percent.clamp(0, 100)).map_or(0.0, f64::from) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_follow_the_weights() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let shares = [(at(10), 0), (at(20), 50), (at(30), 5)];
        assert_eq!(requests(&[], 0.0, 10.0), (10.0 * RATE, 0.0));
        assert_eq!(requests(&shares, 0.0, 15.0), (15.0 * RATE, 0.0));
        assert_eq!(requests(&shares, 0.0, 24.0), (22.0 * RATE, 2.0 * RATE));
        assert_eq!(requests(&shares, 0.0, 50.0), (44.0 * RATE, 6.0 * RATE));
        assert_eq!(requests(&shares, 60.0, 50.0), (0.0, 0.0), "before anything was counted");
    }
}
