//! The commands `tidegate demo` and `tidegate sandbox`: color-app on loopback, and the real controller at work on it.
//!
//! [`acts`] says what each act shows and [`story`] whether it ended as it should; [`show`] collects what is to be seen;
//! [`frame`] and [`screen`] put it on a terminal, [`summary`] what it came to. All are free of I/O but for [`screen`].
//! [`run`](run()) plays it.

mod acts;
#[cfg(feature = "gateway")]
pub mod envoy;
mod frame;
mod front;
pub mod kubeconfig;
mod manifests;
mod measure;
mod options;
mod people;
mod routes;
mod run;
pub mod sandbox;
pub mod screen;
mod show;
pub mod signals;
mod story;
mod strategy;
mod summary;
mod traffic;
mod watching;
pub mod world;

pub use self::{
    options::DemoOptions,
    routes::Routes,
    run::{DemoError, play, run},
    sandbox::{SandboxError, SandboxOptions},
    screen::Manner,
    story::Otherwise,
    strategy::Strategy,
};
