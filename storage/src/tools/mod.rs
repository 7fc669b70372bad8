//! What an operator does with a data directory: [`verify`] reads all of it and changes nothing,
//! [`repair`] sets damage aside so that the rest is served, [`backup`] takes a snapshot and puts one back.

pub mod backup;
mod rebuild;
pub mod repair;
pub mod verify;
