//! The commands `tidegate demo` and `tidegate sandbox`: color-app on loopback, and the real controller at work on it.
//!
//! [`story`] says what each act shows and whether it ended as it should; [`show`] collects what is to be seen;
//! [`frame`] and [`screen`] put it on a terminal. All four are free of I/O but for the last. [`run`](run()) plays it.

mod frame;
pub mod kubeconfig;
mod manifests;
mod measure;
mod routes;
mod run;
pub mod sandbox;
pub mod screen;
mod show;
pub mod signals;
mod story;
mod watching;
pub mod world;

pub use self::{
    routes::Routes,
    run::{DemoError, DemoOptions, play, run},
    sandbox::{SandboxError, SandboxOptions},
    screen::Manner,
    story::Otherwise,
};
