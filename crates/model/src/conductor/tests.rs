//! The decision under test: sentences about single looks (`looks`), properties over random inputs (`properties`),
//! and whole releases driven against a small model of the controller (`sim`, `drive`).

mod beside;
mod blue_green;
mod chaos;
mod deployments;
mod drive;
mod following;
mod looks;
mod properties;
mod referring;
mod rolling;
mod shadow;
mod sim;
mod switch;
mod turning;
mod weight;
