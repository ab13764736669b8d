//! The command lines: what is typed becomes a value here, and a call.

pub mod analysis;
#[cfg(feature = "sandbox")]
pub mod bench;
pub mod chart;
pub mod crds;
#[cfg(feature = "gateway")]
pub mod gateway;
pub mod rbac;
pub mod reference;
mod report;
pub mod run;
mod signals;

/// What `version` prints.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// An error with everything behind it, for people.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        // Some errors repeat their source in their own text.
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot {what}")]
    struct Told {
        what: &'static str,
        source: Option<std::io::Error>,
    }

    #[test]
    fn causes_are_told_once() {
        let error = Told { what: "read a", source: Some(std::io::Error::other("disk on fire")) };
        assert_eq!(chain(&error), "cannot read a: disk on fire");
        let error = Told { what: "read: disk on fire", source: Some(std::io::Error::other("disk on fire")) };
        assert_eq!(chain(&error), "cannot read: disk on fire");
        assert_eq!(chain(&Told { what: "read", source: None }), "cannot read");
    }
}
