//! The seeds without a fuzzer: what holds for all answers holds for them.

#![allow(missing_docs)]

use std::{fs, path::Path};

#[test]
fn the_seeds_are_sound() {
    type Target = fn(&[u8]);
    let targets: [(&str, Target); 5] = [
        ("cloudwatch", tidegate_fuzz::cloudwatch),
        ("envoy", tidegate_fuzz::envoy),
        ("prometheus", tidegate_fuzz::prometheus),
        ("replay", tidegate_fuzz::replay),
        ("web", tidegate_fuzz::web),
    ];
    for (name, target) in targets {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
        let mut count = 0;
        for seed in fs::read_dir(folder).expect("seeds") {
            let seed = seed.expect("a seed").path();
            println!("{}", seed.display());
            target(&fs::read(seed).expect("a seed"));
            count += 1;
        }
        assert!(count > 0, "{name} has seeds");
    }
}
