//! What happens to a release beside a Deployment that does not happen to others.

use super::*;

/// What happens beside the common: to two objects, and to effects of two requests.
#[derive(Clone, Debug)]
pub(in super::super) enum Odd {
    Common(Op),
    /// The next effect's first request arrives; the others so many turns later, or never.
    Torn(Option<u8>),
    /// The owner, or an autoscaler, wants another number of pods.
    Resized(i32),
    /// Somebody deletes the canary Deployment, or scales it past Tidegate.
    Deleted,
    Rescaled(i32),
    /// Somebody writes another weight into the canary Ingress or the HTTPRoute, or takes our backendRef out of that, and
    /// leaves the mark.
    Reweighed(u8),
}

fn torn() -> impl Strategy<Value = Odd> {
    proptest::option::of(1u8..100).prop_map(Odd::Torn)
}

pub(in super::super) fn odd() -> impl Strategy<Value = Odd> {
    prop_oneof![
        20 => op().prop_map(Odd::Common),
        2 => torn(),
        1 => (1i32..12).prop_map(Odd::Resized),
    ]
}

pub(in super::super) fn odd_meddling() -> impl Strategy<Value = Odd> {
    prop_oneof![
        20 => meddling().prop_map(Odd::Common),
        2 => torn(),
        1 => (0i32..12).prop_map(Odd::Resized),
        1 => Just(Odd::Deleted),
        1 => (0i32..12).prop_map(Odd::Rescaled),
        1 => (0u8..=100).prop_map(Odd::Reweighed),
    ]
}
