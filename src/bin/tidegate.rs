//! The `tidegate` program: parses, calls, maps the outcome to an exit code.

fn main() {}
