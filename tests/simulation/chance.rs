//! The only source of chance: what it gives follows from the seed alone.

pub struct Chance(fastrand::Rng);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    pub fn per_mille(&mut self, chances: u32) -> bool {
        self.0.u32(0..1_000) < chances
    }

    /// From 0 to this, inclusive.
    pub fn up_to(&mut self, most: u64) -> u64 {
        self.0.u64(0..=most)
    }

    pub fn below(&mut self, count: usize) -> usize {
        self.0.usize(0..count)
    }
}
