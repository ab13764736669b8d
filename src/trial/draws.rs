//! Random counts. Every trial has a seed of its own, so that a table comes out the same on any machine.

use fastrand::Rng;

/// How many of `n` requests fail, each with probability `p` for itself.
///
/// Geometric gaps between failures: the time it takes grows with the failures and not with the requests.
pub fn binomial(rng: &mut Rng, n: u64, p: f64) -> u64 {
    if p <= 0.0 || n == 0 {
        return 0;
    }
    if p >= 1.0 {
        return n;
    }
    if p > 0.5 {
        return n - binomial(rng, n, 1.0 - p);
    }
    let log_miss = (-p).ln_1p();
    let (mut failed, mut at) = (0, 0.0);
    loop {
        // Uniform on (0, 1]: its logarithm is finite.
        at += ((1.0 - rng.f64()).ln() / log_miss).floor() + 1.0;
        if at > n as f64 {
            return failed;
        }
        failed += 1;
    }
}

/// How many of `n` requests fail where failures come `together` at a time: one in so many events, each of that size.
pub fn in_bursts(rng: &mut Rng, n: u64, p: f64, together: u64) -> u64 {
    let together = together.max(1);
    (binomial(rng, n, p / together as f64) * together).min(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_the_mean_that_is_asked_for() {
        let mut rng = Rng::with_seed(1);
        for (n, p, together) in [(1000, 0.001, 1), (1000, 0.3, 1), (50, 0.9, 1), (1000, 0.01, 3)] {
            let all: u64 = (0..20_000).map(|_| in_bursts(&mut rng, n, p, together)).sum();
            let (mean, want) = (all as f64 / 20_000.0, n as f64 * p);
            let spread = (want * together as f64 / 20_000.0).sqrt();
            assert!((mean - want).abs() < 5.0 * spread, "{n} {p} {together}: {mean}");
        }
    }

    #[test]
    fn nothing_and_everything_are_exact() {
        let mut rng = Rng::with_seed(1);
        assert_eq!(
            (binomial(&mut rng, 9, 0.0), binomial(&mut rng, 9, 1.0), binomial(&mut rng, 0, 0.5)),
            (0, 9, 0)
        );
    }
}
