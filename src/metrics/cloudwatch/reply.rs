//! What CloudWatch answers, page by page. A result that is incomplete, doubled, out of range or not asked for makes an
//! error; order and pages mean nothing. Text of an answer goes no further than labels, which only tell series apart.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::{
    operation::get_metric_data::GetMetricDataOutput,
    types::{MetricDataResult, StatusCode},
};

use super::{queries::Query, window::Window};
use crate::engine::look::ReadError;

/// The most series that one query may return.
const MAX_SERIES: usize = 500;

/// Values by the start of their period, in Unix seconds.
pub(super) type Periods = BTreeMap<i64, f64>;
/// The series of one query by their labels; a metric's statistic has the label "".
pub(super) type Rows = BTreeMap<String, Periods>;

/// What has come of an answer.
pub(super) struct Collected<'a> {
    window: Window,
    queries: &'a [Query],
    results: Vec<BTreeMap<String, Series>>,
}

struct Series {
    periods: Periods,
    /// What the last page that mentions it says.
    complete: bool,
}

/// How the query of an index is called in a call.
pub(super) fn id(index: usize) -> String {
    format!("q{index}")
}

impl<'a> Collected<'a> {
    pub(super) fn new(queries: &'a [Query], window: Window) -> Self {
        Self { window, queries, results: queries.iter().map(|_| BTreeMap::new()).collect() }
    }

    /// Takes a page in.
    pub(super) fn take(&mut self, page: &GetMetricDataOutput) -> Result<(), ReadError> {
        if !page.messages().is_empty() {
            // It is about the answer as a whole, such as a limit on what was looked through.
            let role = self.queries.first().map_or("total", Query::role);
            return Err(ReadError::Incomplete { query: role.to_owned() });
        }
        page.metric_data_results().iter().try_for_each(|result| self.result(result))
    }

    fn result(&mut self, result: &MetricDataResult) -> Result<(), ReadError> {
        let index = result
            .id()
            .and_then(|id| id.strip_prefix('q')?.parse::<usize>().ok())
            .ok_or(ReadError::Malformed)?;
        let (query, rows) =
            self.queries.get(index).zip(self.results.get_mut(index)).ok_or(ReadError::Malformed)?;
        let role = query.role();
        let complete = match result.status_code() {
            Some(StatusCode::Complete) => true,
            // So far: the rest may come with the next page.
            Some(StatusCode::PartialData) => false,
            Some(StatusCode::Forbidden) => {
                return Err(ReadError::Credentials(format!(
                    "CloudWatch refuses the data of the query {role} to these credentials; grant \
                     cloudwatch:GetMetricData on the accounts it reads"
                )));
            }
            Some(_) | None => return Err(incomplete(role)),
        };
        if !result.messages().is_empty() {
            return Err(incomplete(role));
        }
        let label = match query {
            Query::Stat(_) => "",
            Query::Expression { .. } => result.label().unwrap_or_default(),
        };
        if result.timestamps().len() != result.values().len() {
            return Err(ReadError::Malformed);
        }
        let series =
            rows.entry(label.to_owned()).or_insert_with(|| Series { periods: Periods::new(), complete });
        series.complete = complete;
        for (at, value) in result.timestamps().iter().zip(result.values()) {
            let start = self.window.period_at(at.secs(), at.subsec_nanos(), role)?;
            if !value.is_finite() {
                return Err(ReadError::NotFinite { query: role.to_owned() });
            }
            if series.periods.insert(start, *value).is_some() {
                return Err(ReadError::Malformed);
            }
        }
        Ok(())
    }

    /// All pages are there.
    pub(super) fn finish(self) -> Result<Vec<Rows>, ReadError> {
        let all = self.queries.iter().zip(self.results);
        all.map(|(query, rows)| {
            let role = query.role();
            let asked_for_one = match query {
                Query::Stat(_) => true,
                Query::Expression { .. } => false,
            };
            // A metric that is not there has an empty result; an expression that finds nothing may have none.
            if asked_for_one && rows.is_empty() {
                return Err(incomplete(role));
            }
            if rows.len() > MAX_SERIES {
                return Err(ReadError::ManySeries { query: role.to_owned(), count: rows.len() });
            }
            if rows.values().any(|series| !series.complete) {
                return Err(incomplete(role));
            }
            Ok(rows.into_iter().map(|(label, series)| (label, series.periods)).collect())
        })
        .collect()
    }
}

fn incomplete(role: &str) -> ReadError {
    ReadError::Incomplete { query: role.to_owned() }
}
