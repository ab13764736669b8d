use super::*;

fn batch(x: f64, m: f64, y: f64, n: f64) -> Batch {
    Batch::new(x, m, y, n).expect("possible counts")
}

/// Errors among `requests`, each failing with probability `share`.
fn errors(random: &mut fastrand::Rng, requests: i32, share: f64) -> f64 {
    f64::from((0..requests).map(|_| i32::from(random.f64() < share)).sum::<i32>())
}

/// Whether a run of five steps of ten looks ever says Fail.
fn fails(random: &mut fastrand::Rng, config: &SequenceConfig, canary: f64, stable: f64) -> bool {
    let mut sequence = Sequence::new();
    (0..50).any(|look| {
        let (x, y) = (errors(random, 40, canary), errors(random, 120, stable));
        sequence.update(config, look / 10, batch(x, 40.0, y, 120.0));
        sequence.verdict(config) == Verdict::Fail
    })
}

#[test]
fn without_traffic_on_both_arms_nothing_moves() {
    let config = SequenceConfig::default();
    let mut sequence = Sequence::new();
    sequence.update(&config, 0, batch(1.0, 300.0, 1.0, 2700.0));
    let before = (sequence.log_e_harm().to_bits(), sequence.log_e_safe().to_bits());
    for lone in [Batch::default(), batch(0.0, 0.0, 9.0, 900.0)] {
        sequence.update(&config, 0, lone);
        assert_eq!((sequence.log_e_harm().to_bits(), sequence.log_e_safe().to_bits()), before);
    }
    assert_eq!(sequence.closed(), 1);
    assert_eq!(Sequence::new().verdict(&config), Verdict::Collecting);
}

#[test]
fn ten_times_worse_is_caught_at_the_threshold_and_more_metrics_raise_it() {
    let config = SequenceConfig::default();
    let mut sequence = Sequence::new();
    let mut looks = 0;
    while sequence.verdict(&config) != Verdict::Fail {
        assert!(sequence.log_e_harm() < config.fail_threshold());
        sequence.update(&config, 0, batch(6.0, 600.0, 5.4, 5400.0));
        looks += 1;
        assert!(looks < 10, "10x of 0.1 % went unnoticed");
    }
    assert!(sequence.log_e_harm() >= 100.0_f64.ln());
    let strict = SequenceConfig::error_rate(1_000_000, 5, 50);
    assert_ne!(sequence.verdict(&strict), Verdict::Fail);
}

#[test]
fn evidence_goes_on_bit_for_bit_after_storage() {
    let config = SequenceConfig::default();
    let mut random = fastrand::Rng::with_seed(3);
    let (mut kept, mut stored) = (Sequence::new(), Sequence::new());
    for look in 0..40 {
        let stable = f64::from(look % 3) * 7.7;
        let counts = batch(errors(&mut random, 50, 0.02), 50.0, random.f64() * stable, stable);
        kept.update(&config, look / 10, counts);
        let text = serde_json::to_string(&stored).expect("plain data");
        stored = serde_json::from_str(&text).expect("as written");
        stored.update(&config, look / 10, counts);
        assert_eq!(stored, kept);
        assert_eq!(stored.log_e_harm().to_bits(), kept.log_e_harm().to_bits());
    }
}

#[test]
fn a_canary_at_the_tolerated_level_is_hardly_ever_rolled_back() {
    let config = SequenceConfig { burst: 1.0, ..SequenceConfig::default() };
    let mut random = fastrand::Rng::with_seed(7);
    let runs = 1000;
    let stable = 0.02;
    let canary = config.tolerate.at(stable);
    let wrong = (0..runs).filter(|_| fails(&mut random, &config, canary, stable)).count();
    assert!(wrong <= runs / 100, "{wrong} of {runs}");
    assert!(fails(&mut random, &config, 10.0 * stable, stable));
}

#[test]
fn requests_until_safe_shrink_to_none_needed() {
    let config = SequenceConfig::default();
    let fresh = Sequence::new().requests_until_safe(&config, 0.0);
    assert_eq!(fresh, Some(724));
    let mut sequence = Sequence::new();
    sequence.update(&config, 0, batch(0.0, 180.0, 0.0, 1e9));
    let later = sequence.requests_until_safe(&config, 0.0);
    assert_eq!(later, Some(544));
    sequence.update(&config, 0, batch(0.0, 600.0, 0.0, 1e9));
    assert_eq!(sequence.requests_until_safe(&config, 0.0), Some(0));
    assert!(Sequence::new().requests_until_safe(&config, 0.01) > fresh);
}
