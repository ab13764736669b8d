//! Part of the sandbox.
