//! How the demo takes traffic to a new version.

/// How traffic gets to a new version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Strategy {
    /// By steps of growing weight
    #[default]
    Canary,
    /// All at once: tried before the switch, judged after it
    BlueGreen,
}
