//! Places at which a test ends or stops the process as the kernel would: in the middle, without a word, without
//! destructors.
//!
//! `TIDEGATE_FAILPOINT=announced:deploy=kill` sends SIGKILL to the process when it comes to that place;
//! `announced:deploy=stop` sends SIGSTOP, the first time only. Several are separated by commas. A release build knows
//! none of it: [`reach`] is empty there.

#[cfg(debug_assertions)]
mod armed;

/// The process has come to the place `name`.
#[inline]
pub fn reach(name: &str) {
    #[cfg(debug_assertions)]
    armed::reach(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// As [`reach`], for a place that there is for each kind of `what`: `announced:deploy`.
#[inline]
pub fn reach_at(place: &str, what: &str) {
    #[cfg(debug_assertions)]
    armed::reach(&format!("{place}:{what}"));
    #[cfg(not(debug_assertions))]
    let _ = (place, what);
}
