//! The file of `tidegate analysis replay -f`.

use tidegate::trial;

use crate::sound;

/// Recorded counts.
pub fn replay(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let all = match trial::read(text) {
        Ok(all) => all,
        Err(error) => return sound::sentence(&error),
    };
    for recorded in &all {
        match trial::replay(recorded) {
            Ok(replayed) => {
                assert!(replayed.fails_at.is_finite() && replayed.safe_at.is_finite(), "{replayed:?}");
                let mut polls = replayed.polls.iter();
                assert!(
                    polls.all(|poll| !poll.log_e_harm.is_nan() && !poll.log_e_safe.is_nan()),
                    "{replayed:?}"
                );
                let _ = trial::sequences_page(&[replayed]);
            }
            Err(error) => sound::sentence(&error),
        }
    }
}
