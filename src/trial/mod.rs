//! A Rollout tried on traffic that is made up or was recorded, in time that is counted and not waited for.
//!
//! What decides is the product itself: `engine::decide` and the analysis behind it, with a route in memory. So what a
//! team reads here is what the controller would have done, sentence by sentence.

mod alone;
mod chart;
mod course;
mod draws;
mod goals;
mod page;
mod plan;
mod replayed;
mod rivals;
mod sequences;
mod simulate;
mod threads;
mod yesterday;

pub use chart::{Axis, Chart, picture};
pub use course::{Course, CourseError, End, Evidence, Moment, Plan, Traffic, follow};
pub use goals::{GoalLine, Power, RIVALS};
pub use page::{page, pictures, told};
pub use plan::{Cell, Ends, PlanRow};
pub use replayed::{course_page, sequences_page, sequences_picture};
pub use rivals::{FIXED, Rival};
pub use sequences::{PollSeen, Recorded, RecordedError, Replayed, read, replay};
pub use simulate::{Report, Size, simulate};
pub use yesterday::Yesterday;
