//! Keeps custom DNS in step with the private endpoints of Azure IoT Central.
//!
//! The crate exists for its binary, `privatelink-dns`; the library makes every stage of it usable
//! from tests and benchmarks. ARCHITECTURE.md draws the rooms and the flow between them.

pub mod admin;
pub mod azure;
pub mod cli;
pub mod config;
pub mod doctor;
mod files;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod obituary;
mod outside;
pub mod propagation;
pub mod serve;
#[cfg(test)]
mod simulation;
pub mod simulator;
pub mod store;
pub mod sync;
pub mod targets;
pub mod verify;
pub mod wire;
pub mod zones;
