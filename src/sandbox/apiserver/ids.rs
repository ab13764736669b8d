//! Random identities, from the randomness that the standard library seeds its hash maps with.

use std::hash::{BuildHasher, RandomState};

/// A UUID of version 4.
pub(super) fn uid() -> String {
    let (high, low) = (random(), random());
    let high = (high & 0xffff_ffff_ffff_0fff) | 0x4000;
    let low = (low & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    let (high, low) = (format!("{high:016x}"), format!("{low:016x}"));
    format!("{}-{}-{}-{}-{}", &high[..8], &high[8..12], &high[12..], &low[..4], &low[4..])
}

/// A name with this prefix, which is cut where a label would become too long.
pub(super) fn generated_name(prefix: &str) -> String {
    const PREFIX_LIMIT: usize = 58;
    let end = (0..=prefix.len().min(PREFIX_LIMIT))
        .rev()
        .find(|end| prefix.is_char_boundary(*end))
        .unwrap_or_default();
    let suffix: String = safe_letters(random()).chars().take(5).collect();
    format!("{}{suffix}", &prefix[..end])
}

/// A number spelled in letters that form no words, as Kubernetes does in generated names.
pub(super) fn safe_letters(mut number: u64) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut text = String::new();
    for _ in 0..10 {
        let index = usize::try_from(number % 27).unwrap_or_default();
        text.push(char::from(LETTERS[index]));
        number /= 27;
    }
    text
}

fn random() -> u64 {
    RandomState::new().hash_one(0)
}
