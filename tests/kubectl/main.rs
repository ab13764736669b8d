//! The program `kubectl-tidegate`, as people and pipelines run it: against the sandbox's API server, with the controller,
//! color-app and its gateway behind it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod completing;
mod leaving;
mod live;
mod offline;
mod pipelines;
mod program;
mod reading;
mod releasing;
mod shapes;
mod steering;
mod waiting;

#[path = "../support/skip.rs"]
mod skip;
#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/stage.rs"]
mod stage;
