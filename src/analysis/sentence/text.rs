//! Numbers as people read them: grouped thousands, as many digits as mean something, no float noise.

use std::time::Duration;

use super::super::level::Level;

/// `value` with at most `decimals` decimals, no trailing zeros, thousands grouped.
pub fn number(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let mut shown = String::with_capacity(text.len() + 4);
    if value < 0.0 && (whole != "0" || !fraction.is_empty()) {
        shown.push('-');
    }
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && (whole.len() - position).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    if !fraction.is_empty() {
        shown.push('.');
        shown.push_str(fraction);
    }
    shown
}

/// A count: `2,400`; a small fractional one keeps a decimal: `1.5`.
pub fn count(value: f64) -> String {
    number(value, usize::from(value < 100.0))
}

/// A share from 0 to 1 in percent: `0%`, `0.02%`, `1.0%`, `33%`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent <= 0.0 {
        "0%".to_owned()
    } else if percent < 0.0001 {
        "under 0.0001%".to_owned()
    } else if percent < 0.095 {
        // One significant digit; a rounding up to the next power of ten loses its trailing zero.
        let mut decimals = 2;
        let mut scaled = percent * 100.0;
        while scaled < 0.95 {
            scaled *= 10.0;
            decimals += 1;
        }
        format!("{}%", number(percent, decimals))
    } else if percent < 9.95 {
        format!("{percent:.1}%")
    } else if (99.5..100.0).contains(&percent) {
        "over 99%".to_owned()
    } else {
        format!("{percent:.0}%")
    }
}

/// A time to two of its units at most: `40 s`, `9 min`, `2.5 h`.
pub fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 59.5 {
        format!("{} s", number(seconds.max(1.0), 0))
    } else if seconds < 119.5 * 60.0 {
        format!("{} min", number(seconds / 60.0, 0))
    } else {
        format!("{} h", number(seconds / 3600.0, 1))
    }
}

/// A ratio: `10x`, `1.3x`.
pub fn times(ratio: f64) -> String {
    // Rungs of the ladder such as 1.25 keep their digits; above 9.5 a decimal means nothing.
    format!("{}x", number(ratio, if ratio < 2.0 { 2 } else { usize::from(ratio < 9.5) }))
}

/// A level: `2x + 1 point`, `1.25x`, `2%`.
pub fn level_text(level: Level) -> String {
    if level.ratio <= 0.0 {
        return percent(level.absolute);
    }
    if level.absolute <= 0.0 {
        return times(level.ratio);
    }
    let points = level.absolute * 100.0;
    format!("{} + {} {}", times(level.ratio), number(points, 4), plural(points, "point"))
}

/// Odds to one, from their logarithm.
pub fn odds(log: f64) -> String {
    let odds = log.exp();
    if odds > 1_000_000.0 { "over 1,000,000:1".to_owned() } else { format!("{}:1", number(odds, 0)) }
}

/// An estimated count, rounded up to two digits that mean something.
pub fn more(requests: i64) -> String {
    let mut unit = 1;
    while requests / unit >= 100 {
        unit *= 10;
    }
    number((requests.div_euclid(unit) * unit + if requests % unit > 0 { unit } else { 0 }) as f64, 0)
}

/// `word` for one, its plural for any other number.
pub fn plural(number: f64, word: &str) -> String {
    if (number - 1.0).abs() < 1e-9 { word.to_owned() } else { format!("{word}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let cases =
            [(0.0, "0"), (-0.00001, "0"), (-1234.5, "-1,234.5"), (0.1 + 0.2, "0.3"), (1e6, "1,000,000")];
        for (value, want) in cases {
            assert_eq!(number(value, 4), want);
        }
        assert_eq!([count(1.5), count(99.96), count(999.6)], ["1.5", "100", "1,000"]);
    }

    #[test]
    fn percents() {
        let cases = [
            (0.0, "0%"),
            (1e-9, "under 0.0001%"),
            (0.00002, "0.002%"),
            (0.000_096, "0.01%"),
            (0.0002, "0.02%"),
            (0.001_018, "0.1%"),
            (0.01, "1.0%"),
            (0.0996, "10%"),
            (1.0 / 3.0, "33%"),
            (0.996, "over 99%"),
            (1.0, "100%"),
        ];
        for (share, want) in cases {
            assert_eq!(percent(share), want, "{share}");
        }
    }

    #[test]
    fn levels_odds_times_and_estimates() {
        let level = |ratio, absolute| level_text(Level { ratio, absolute });
        assert_eq!(level(2.0, 0.01), "2x + 1 point");
        assert_eq!(level(1.25, 0.0001), "1.25x + 0.01 points");
        assert_eq!(level(2.0, 0.0), "2x");
        assert_eq!(level(0.0, 0.02), "2.0%");
        assert_eq!([odds(6.562_143), odds(93.7), odds(0.0)], ["708:1", "over 1,000,000:1", "1:1"]);
        assert_eq!([more(7), more(100), more(544), more(7231)], ["7", "100", "550", "7,300"]);
        let times = [0, 40, 60, 540, 7200, 9000].map(|s| seconds(Duration::from_secs(s)));
        assert_eq!(times, ["1 s", "40 s", "1 min", "9 min", "2 h", "2.5 h"]);
    }
}
