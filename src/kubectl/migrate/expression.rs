//! Conditions, parsed: comparisons of the one measured number with fixed ones, joined by `&&`, `||` and `!`.

use std::cmp::Ordering;

/// An answer to try a condition on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sample {
    /// A number, which may be NaN.
    Number(f64),
    /// Nothing: an empty list.
    Absent,
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    /// The number, or what stands in for an absent one, against a fixed number.
    Compare(Measured, Operator, f64),
    /// How many numbers there are, against a fixed one.
    Count(Operator, f64),
    /// Whether it is NaN.
    IsNan,
    /// Whether it is infinite.
    IsInfinite,
    /// Whether there is none.
    IsAbsent,
    /// Always so, or never.
    Constant(bool),
    /// The opposite.
    Not(Box<Expression>),
    /// Both.
    And(Box<Expression>, Box<Expression>),
    /// At least one.
    Or(Box<Expression>, Box<Expression>),
}

/// The measured number, and what is taken where there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    /// Stands in for an absent one.
    default: Option<f64>,
}

/// How two numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
    /// `!=`
    Unequal,
}

impl Operator {
    const ALL: [(&'static str, Self); 6] = [
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("==", Self::Equal),
        ("!=", Self::Unequal),
        ("<", Self::Less),
        (">", Self::More),
    ];

    /// NaN is unequal to everything, and neither less nor more.
    fn holds(self, left: f64, right: f64) -> bool {
        let order = left.partial_cmp(&right);
        match self {
            Self::Less => order == Some(Ordering::Less),
            Self::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::More => order == Some(Ordering::Greater),
            Self::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            Self::Equal => order == Some(Ordering::Equal),
            Self::Unequal => order != Some(Ordering::Equal),
        }
    }

    /// The same with left and right changed.
    const fn turned(self) -> Self {
        match self {
            Self::Less => Self::More,
            Self::AtMost => Self::AtLeast,
            Self::More => Self::Less,
            Self::AtLeast => Self::AtMost,
            Self::Equal => Self::Equal,
            Self::Unequal => Self::Unequal,
        }
    }
}

impl Expression {
    /// Parses a condition; else says why it is none of those that are understood.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text.trim() };
        let parsed = parser.or();
        match parsed {
            Some(expression) if parser.rest.is_empty() => Ok(expression),
            Some(_) | None => {
                Err(format!("its condition {text:?} is no plain comparison of result with numbers"))
            }
        }
    }

    /// Whether it is met.
    pub(super) fn holds(&self, sample: Sample) -> bool {
        match self {
            Self::Compare(measured, operator, bound) => match (sample, measured.default) {
                (Sample::Number(number), _) => operator.holds(number, *bound),
                (Sample::Absent, Some(default)) => operator.holds(default, *bound),
                (Sample::Absent, None) => false,
            },
            Self::Count(operator, bound) => match sample {
                Sample::Number(_) => operator.holds(1.0, *bound),
                Sample::Absent => operator.holds(0.0, *bound),
            },
            Self::IsNan => matches!(sample, Sample::Number(number) if number.is_nan()),
            Self::IsInfinite => matches!(sample, Sample::Number(number) if number.is_infinite()),
            Self::IsAbsent => matches!(sample, Sample::Absent),
            Self::Constant(so) => *so,
            Self::Not(inner) => !inner.holds(sample),
            Self::And(left, right) => left.holds(sample) && right.holds(sample),
            Self::Or(left, right) => left.holds(sample) || right.holds(sample),
        }
    }

    /// The numbers that the measured one is compared with.
    pub(super) fn numbers(&self) -> Vec<f64> {
        match self {
            Self::Compare(_, _, bound) => vec![*bound],
            Self::Not(inner) => inner.numbers(),
            Self::And(left, right) | Self::Or(left, right) => [left.numbers(), right.numbers()].concat(),
            Self::Count(..) | Self::IsNan | Self::IsInfinite | Self::IsAbsent | Self::Constant(_) => vec![],
        }
    }

    /// Whether it says what becomes of an answer without a number.
    pub(super) fn asks_for_absence(&self) -> bool {
        match self {
            Self::Compare(measured, ..) => measured.default.is_some(),
            Self::Count(..) | Self::IsAbsent => true,
            Self::IsNan | Self::IsInfinite | Self::Constant(_) => false,
            Self::Not(inner) => inner.asks_for_absence(),
            Self::And(left, right) | Self::Or(left, right) => {
                left.asks_for_absence() || right.asks_for_absence()
            }
        }
    }

    /// Whether it says what becomes of NaN or an infinite number.
    pub(super) fn asks_for_nan(&self) -> bool {
        match self {
            Self::IsNan | Self::IsInfinite => true,
            Self::Compare(..) | Self::Count(..) | Self::IsAbsent | Self::Constant(_) => false,
            Self::Not(inner) => inner.asks_for_nan(),
            Self::And(left, right) | Self::Or(left, right) => left.asks_for_nan() || right.asks_for_nan(),
        }
    }
}

/// One side of a comparison.
enum Operand {
    Measured(Measured),
    Count,
    Number(f64),
    Nil,
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn or(&mut self) -> Option<Expression> {
        let mut left = self.and()?;
        while self.takes("||") || self.takes_word("or") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Some(left)
    }

    fn and(&mut self) -> Option<Expression> {
        let mut left = self.not()?;
        while self.takes("&&") || self.takes_word("and") {
            left = Expression::And(Box::new(left), Box::new(self.not()?));
        }
        Some(left)
    }

    fn not(&mut self) -> Option<Expression> {
        if self.takes("!") || self.takes_word("not") {
            return Some(Expression::Not(Box::new(self.not()?)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Option<Expression> {
        for (word, so) in [("true", true), ("false", false)] {
            if self.takes_word(word) {
                return Some(Expression::Constant(so));
            }
        }
        let tests = [
            ("isNaN", Expression::IsNan),
            ("isInf", Expression::IsInfinite),
            ("isNil", Expression::IsAbsent),
        ];
        for (word, test) in tests {
            if self.takes_word(word) {
                return self.in_brackets(Self::measured).map(|_| test);
            }
        }
        if self.takes("(") {
            let inner = self.or()?;
            return self.takes(")").then_some(inner);
        }
        let left = self.operand()?;
        let (_, operator) = Operator::ALL.into_iter().find(|(word, _)| self.takes(word))?;
        compare(&left, operator, &self.operand()?)
    }

    fn operand(&mut self) -> Option<Operand> {
        if self.takes_word("nil") {
            return Some(Operand::Nil);
        }
        if self.takes_word("len") {
            return self.in_brackets(Self::measured).map(|_| Operand::Count);
        }
        self.number().map(Operand::Number).or_else(|| self.measured().map(Operand::Measured))
    }

    /// `result`, `result[0]`, or either as a float or with a default.
    fn measured(&mut self) -> Option<Measured> {
        if self.takes_word("result") {
            if self.takes("[") {
                let first = self.takes("0") && self.takes("]");
                return first.then_some(Measured { default: None });
            }
            let whole = !self.rest.starts_with(['.', '?']);
            return whole.then_some(Measured { default: None });
        }
        for word in ["float", "asFloat"] {
            if self.takes_word(word) {
                return self.in_brackets(Self::measured);
            }
        }
        if self.takes_word("default") {
            return self.in_brackets(|parser| {
                parser.measured()?;
                let default = parser.takes(",").then(|| parser.number())??;
                Some(Measured { default: Some(default) })
            });
        }
        None
    }

    fn in_brackets<T>(&mut self, inner: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if !self.takes("(") {
            return None;
        }
        let found = inner(self)?;
        self.takes(")").then_some(found)
    }

    fn number(&mut self) -> Option<f64> {
        let part = |(at, c): (usize, char)| {
            let exponent = at > 0 && self.rest[..at].ends_with(['e', 'E']);
            c.is_ascii_digit()
                || c == '.'
                || (matches!(c, 'e' | 'E') && at > 0)
                || (matches!(c, '-' | '+') && (at == 0 || exponent))
        };
        let end = self.rest.char_indices().find(|found| !part(*found)).map_or(self.rest.len(), |(at, _)| at);
        let number = self.rest[..end].parse::<f64>().ok().filter(|number| number.is_finite())?;
        self.rest = self.rest[end..].trim_start();
        Some(number)
    }

    fn takes(&mut self, token: &str) -> bool {
        // `!` is no operator of its own in `!=`.
        let found = self.rest.strip_prefix(token).filter(|rest| token != "!" || !rest.starts_with('='));
        if let Some(rest) = found {
            self.rest = rest.trim_start();
        }
        found.is_some()
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let ends = |rest: &&str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let found = self.rest.strip_prefix(word).filter(ends);
        if let Some(rest) = found {
            self.rest = rest.trim_start();
        }
        found.is_some()
    }
}

fn compare(left: &Operand, operator: Operator, right: &Operand) -> Option<Expression> {
    let absent = || match operator {
        Operator::Equal => Some(Expression::IsAbsent),
        Operator::Unequal => Some(Expression::Not(Box::new(Expression::IsAbsent))),
        Operator::Less | Operator::AtMost | Operator::More | Operator::AtLeast => None,
    };
    match (left, right) {
        (Operand::Measured(measured), Operand::Number(number)) => {
            Some(Expression::Compare(*measured, operator, *number))
        }
        (Operand::Number(number), Operand::Measured(measured)) => {
            Some(Expression::Compare(*measured, operator.turned(), *number))
        }
        (Operand::Count, Operand::Number(number)) => Some(Expression::Count(operator, *number)),
        (Operand::Number(number), Operand::Count) => Some(Expression::Count(operator.turned(), *number)),
        (Operand::Measured(_), Operand::Nil) | (Operand::Nil, Operand::Measured(_)) => absent(),
        (
            Operand::Measured(_) | Operand::Count | Operand::Nil,
            Operand::Measured(_) | Operand::Count | Operand::Nil,
        )
        | (Operand::Number(_), Operand::Nil)
        | (Operand::Number(_) | Operand::Nil, Operand::Number(_)) => None,
    }
}
