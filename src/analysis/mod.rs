//! stub
use schemars::JsonSchema;
use serde::*;
/// V
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// f
    Fail,
    /// s
    Safe,
    /// p
    Pass,
    /// c
    Collecting,
    /// e
    Error,
}
/// S
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Sequence {}
/// T
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct ThresholdState {}
