//! Conditions on a measured number, as Argo writes them, and the bounds that say the same.
//!
//! Only what compares the one number with fixed ones is understood: `result[0] >= 0.95`, also joined by `&&`, `||` and
//! `!`. What a condition means is found by trying it on every stretch between the numbers that it names, so there is no
//! rule about directions that could be turned the wrong way round.

use super::expression::{Expression, Sample};

/// What a metric must be to be good, as a closed range.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Range {
    /// The least good number.
    pub(super) min: Option<f64>,
    /// The greatest good number.
    pub(super) max: Option<f64>,
    /// Bounds that are not good themselves: our bounds are.
    pub(super) open: Vec<f64>,
    /// What an answer without a number counts as, where the condition asks for that.
    pub(super) absent: Option<bool>,
    /// Whether some numbers are neither a success nor a failure.
    pub(super) between: bool,
}

/// What a success condition and a failure condition ask for together, or why no range says the same. A failure wins; a
/// number that is neither is inconclusive, and not good.
pub(super) fn range(success: Option<&str>, failure: Option<&str>) -> Result<Range, String> {
    let success = success.map(Expression::parse).transpose()?;
    let failure = failure.map(Expression::parse).transpose()?;
    if success.is_none() && failure.is_none() {
        return Err("it has no condition, so it is never bad".to_owned());
    }
    let good = |sample: Sample| {
        success.as_ref().is_none_or(|success| success.holds(sample))
            && failure.as_ref().is_none_or(|failure| !failure.holds(sample))
    };
    let bad = |sample: Sample| match (&success, &failure) {
        (_, Some(failure)) => failure.holds(sample),
        (Some(_) | None, None) => !good(sample),
    };
    let named = || success.iter().chain(&failure);
    let pieces = pieces(named().flat_map(Expression::numbers).collect());
    let absent = named().any(Expression::asks_for_absence).then(|| good(Sample::Absent));
    let not_a_number = named().any(Expression::asks_for_nan).then(|| good(Sample::Number(f64::NAN)));
    let mut range = only_stretch(&pieces, |number| good(Sample::Number(number)))?;
    range.absent = absent.or(not_a_number);
    range.between = pieces.iter().map(|piece| Sample::Number(piece.inside)).any(|at| !good(at) && !bad(at));
    Ok(range)
}

/// A stretch of numbers on which no condition changes: one of those that are named, or all between two of them.
#[derive(Debug)]
struct Piece {
    /// The named number below it, or the number itself.
    low: Option<f64>,
    /// The named number above it, or the number itself.
    high: Option<f64>,
    /// A number in it.
    inside: f64,
}

/// The whole line of numbers, cut at those that are named.
fn pieces(mut named: Vec<f64>) -> Vec<Piece> {
    named.sort_by(f64::total_cmp);
    named.dedup();
    let mut all = vec![];
    let mut low = None;
    for number in named {
        let inside = low.map_or(number - 1.0, |low: f64| f64::midpoint(low, number));
        all.push(Piece { low, high: Some(number), inside });
        all.push(Piece { low: Some(number), high: Some(number), inside: number });
        low = Some(number);
    }
    all.push(Piece { low, high: None, inside: low.map_or(0.0, |low| low + 1.0) });
    all
}

/// The stretch of good numbers, where there is one and not all are good.
fn only_stretch(pieces: &[Piece], good: impl Fn(f64) -> bool) -> Result<Range, String> {
    let verdicts: Vec<bool> = pieces.iter().map(|piece| good(piece.inside)).collect();
    let (Some(first), Some(last)) =
        (verdicts.iter().position(|good| *good), verdicts.iter().rposition(|good| *good))
    else {
        return Err("no number meets its condition".to_owned());
    };
    if verdicts[first..=last].iter().any(|good| !good) {
        return Err("its condition leaves numbers out between good ones, and min and max can't".to_owned());
    }
    let (min, max) = (pieces[first].low, pieces[last].high);
    if min.is_none() && max.is_none() {
        return Err("every number meets its condition".to_owned());
    }
    let open = min.iter().chain(&max).copied().filter(|bound| !good(*bound)).collect();
    Ok(Range { min, max, open, absent: None, between: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(success: &str, failure: &str) -> String {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (success, failure) = (some(success), some(failure));
        match range(success.as_deref(), failure.as_deref()) {
            Err(why) => why,
            Ok(range) => {
                let bound = |word: &str, bound: Option<f64>| bound.map(|bound| format!("{word} {bound}"));
                let open = range.open.iter().map(|open| format!("open {open}"));
                let absent = range.absent.map(|good| format!("absent {good}"));
                let between = range.between.then(|| "between".to_owned());
                let all = bound("min", range.min).into_iter().chain(bound("max", range.max)).chain(open);
                all.chain(absent).chain(between).collect::<Vec<_>>().join(", ")
            }
        }
    }

    #[test]
    fn conditions_and_their_bounds() {
        let cases = [
            // One comparison, each direction, both ways round.
            ("result[0] >= 0.95", "", "min 0.95"),
            ("result[0] > 0.95", "", "min 0.95, open 0.95"),
            ("result <= 5", "", "max 5"),
            ("result < 5", "", "max 5, open 5"),
            ("0.95 <= result[0]", "", "min 0.95"),
            ("5 > result", "", "max 5, open 5"),
            ("result == 0", "", "min 0, max 0"),
            ("result[0] < -1.5e2", "", "max -150, open -150"),
            // A failure condition is the other side.
            ("", "result[0] >= 0.05", "max 0.05, open 0.05"),
            ("", "result[0] > 0.05", "max 0.05"),
            ("", "result[0] < 0.95", "min 0.95"),
            ("", "result[0] != 0", "min 0, max 0"),
            // Both: a failure wins, and what is neither is not good.
            ("result[0] >= 0.95", "result[0] < 0.95", "min 0.95"),
            ("result[0] >= 0.95", "result[0] < 0.90", "min 0.95, between"),
            ("result[0] >= 0.90", "result[0] < 0.95", "min 0.95"),
            // Joined and turned round.
            ("result[0] > 0.9 && result[0] <= 1.1", "", "min 0.9, max 1.1, open 0.9"),
            ("result[0] > 0.9 and result[0] <= 1.1", "", "min 0.9, max 1.1, open 0.9"),
            ("result > 3 || result > 5", "", "min 3, open 3"),
            ("!(result[0] > 5)", "", "max 5"),
            ("not (result[0] < 1 or result[0] > 5)", "", "min 1, max 5"),
            ("", "!(result[0] <= 5)", "max 5"),
            (
                "result < 1 || result > 5",
                "",
                "its condition leaves numbers out between good ones, and min and max can't",
            ),
            ("result != 3", "", "its condition leaves numbers out between good ones, and min and max can't"),
            ("result > 5 && result < 1", "", "no number meets its condition"),
            ("result > 1 || result < 5", "", "every number meets its condition"),
            ("true", "", "every number meets its condition"),
            ("", "", "it has no condition, so it is never bad"),
            // Without a number.
            ("isNaN(result[0]) || result[0] >= 0.95", "", "min 0.95, absent true"),
            ("!isNaN(result) && result >= 0.95", "", "min 0.95, absent false"),
            ("len(result) == 0 || result[0] < 5", "", "max 5, open 5, absent true"),
            ("len(result) > 0 && result[0] < 5", "", "max 5, open 5, absent false"),
            ("default(result, 0) < 5", "", "max 5, open 5, absent true"),
            ("default(result[0], 9) < 5", "", "max 5, open 5, absent false"),
            ("result == nil || result[0] < 5", "", "max 5, open 5, absent true"),
            ("", "isNaN(result) || result > 5", "max 5, absent false"),
            ("float(result[0]) < 5", "", "max 5, open 5"),
        ];
        for (success, failure, want) in cases {
            assert_eq!(told(success, failure), want, "{success:?} {failure:?}");
        }
    }

    #[test]
    fn what_is_no_comparison_of_the_number_is_refused() {
        let cases = [
            "result[1] > 5",
            "result.rate > 5",
            "result[0] * 100 > 5",
            "all(result, # > 5)",
            "result[0] > ",
            "result[0] > 'a'",
            "result[0]",
            "5",
            "result[0] > 5 ||",
            "(result[0] > 5",
            "result[0] > 5)",
            "result > result[0]",
            "1 < 2",
            "result[0] > {{args.limit}}",
            "",
        ];
        for text in cases {
            let why = range(Some(text), None).unwrap_err();
            assert!(why.starts_with("its condition "), "{text}: {why}");
        }
    }
}
