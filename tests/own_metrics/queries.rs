//! What a PromQL expression asks for, held against what is defined.

use std::collections::BTreeSet;

use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{self, Expr, VectorSelector},
};
use tidegate::controller::meters::definitions::{Definition, Kind, Values, all};

/// What Prometheus adds to every series that it scrapes.
const SCRAPED: [&str; 2] = ["job", "instance"];
/// What Grafana fills in where a duration is to stand.
const DURATIONS: [&str; 2] = ["$__rate_interval", "$__range"];

type Labels = BTreeSet<String>;

/// What there is to say of an expression.
#[derive(Default)]
pub struct Query {
    /// The labels that its series may have.
    pub labels: Labels,
    /// What it asks for that is never told.
    pub faults: Vec<String>,
}

impl Query {
    pub fn read(text: &str) -> Self {
        let mut query = Self::default();
        let filled = DURATIONS.iter().fold(text.to_owned(), |text, name| text.replace(name, "5m"));
        match parser::parse(&filled) {
            Ok(expression) => query.labels = query.series(&expression),
            Err(error) => query.faults.push(format!("{text} is no PromQL: {error}")),
        }
        query
    }

    /// The labels that an expression's series may have.
    fn series(&mut self, expression: &Expr) -> Labels {
        match expression {
            Expr::VectorSelector(selector) => self.selected(selector),
            Expr::MatrixSelector(selector) => self.selected(&selector.vs),
            Expr::Paren(inner) => self.series(&inner.expr),
            Expr::Unary(inner) => self.series(&inner.expr),
            Expr::Subquery(inner) => self.series(&inner.expr),
            Expr::Call(call) => {
                let each: Vec<Labels> = call.args.args.iter().map(|argument| self.series(argument)).collect();
                let mut labels: Labels = each.into_iter().flatten().collect();
                if call.func.name == "histogram_quantile" && !labels.remove("le") {
                    self.faults.push(format!("{expression} has no buckets"));
                }
                labels
            }
            Expr::Aggregate(aggregate) => {
                let inner = self.series(&aggregate.expr);
                let by = aggregate.modifier.as_ref().map(|by| (by.is_include(), &by.labels().labels));
                let Some((true, by)) = by else {
                    assert!(by.is_none(), "{expression}: this test knows no `without`");
                    return Labels::new();
                };
                for label in by.iter().filter(|label| !inner.contains(*label)) {
                    self.faults
                        .push(format!("{expression} is grouped by {label}, which its series have not"));
                }
                by.iter().cloned().collect()
            }
            Expr::Binary(binary) => {
                let (mut left, right) = (self.series(&binary.lhs), self.series(&binary.rhs));
                let on = binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref());
                for label in on.into_iter().flat_map(|on| &on.labels().labels) {
                    if !left.contains(label) || !right.contains(label) {
                        self.faults
                            .push(format!("{expression} is matched on {label}, which one side has not"));
                    }
                }
                if binary.op.to_string() == "or" {
                    left.extend(right);
                    return left;
                }
                // A number has no labels, and a series keeps its own beside one.
                if left.is_empty() { right } else { left }
            }
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Labels::new(),
            Expr::Extension(_) => panic!("the parser makes none: {expression}"),
        }
    }

    fn selected(&mut self, selector: &VectorSelector) -> Labels {
        let Some(name) = &selector.name else {
            self.faults.push(format!("{selector} has no name"));
            return Labels::new();
        };
        let Some((definition, is_bucket)) = self.defined(name) else { return Labels::new() };
        for matcher in &selector.matchers.matchers {
            match definition.labels.iter().find(|label| label.name == matcher.name) {
                Some(label) => self.faults.extend(never(definition, label.values, matcher)),
                None => self.faults.push(format!("{name} has no label {}", matcher.name)),
            }
        }
        let own = definition.labels.iter().map(|label| label.name);
        own.chain(is_bucket.then_some("le")).chain(SCRAPED).map(str::to_owned).collect()
    }

    /// The metric that a name is of, and whether it names the buckets of a histogram.
    fn defined(&mut self, name: &str) -> Option<(&'static Definition, bool)> {
        let exact = all().find(|definition| definition.name == name);
        if let Some(definition) = exact.filter(|definition| definition.kind != Kind::Histogram) {
            return Some((definition, false));
        }
        let part = ["_bucket", "_sum", "_count"]
            .into_iter()
            .find_map(|ending| Some((name.strip_suffix(ending)?, ending)));
        let whole =
            part.and_then(|(name, ending)| Some((all().find(|definition| definition.name == name)?, ending)));
        if let Some((definition, ending)) = whole.filter(|(definition, _)| definition.kind == Kind::Histogram)
        {
            return Some((definition, ending == "_bucket"));
        }
        self.faults.push(match exact {
            Some(_) => format!("{name} is a histogram; it has _bucket, _sum and _count"),
            None => format!("{name} is no metric of ours"),
        });
        None
    }
}

/// The values that are asked for and that a label never has. What Grafana fills in is anything.
fn never(of: &Definition, values: Values, matcher: &Matcher) -> Vec<String> {
    let Values::Of(list) = values else { return vec![] };
    let asked: Vec<&str> = match &matcher.op {
        MatchOp::Equal | MatchOp::NotEqual => vec![&matcher.value],
        MatchOp::Re(_) | MatchOp::NotRe(_) => matcher.value.split('|').collect(),
    };
    let known = |asked: &str| {
        let pattern = regex::Regex::new(&format!("^(?:{asked})$")).unwrap();
        asked.starts_with('$') || list.iter().any(|value| pattern.is_match(value))
    };
    let unknown = asked.into_iter().filter(|asked| !known(asked));
    unknown.map(|asked| format!("{} of {} is never {asked}", matcher.name, of.name)).collect()
}
