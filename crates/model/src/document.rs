//! Documents that people write, as plans and policies: read whole, with every fault at its field.

pub(crate) mod tree;
pub(crate) mod walk;

pub(crate) use tree::Node;
pub(crate) use walk::Walk;
