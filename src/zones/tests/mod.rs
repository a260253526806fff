//! What the rules promise, shown with plain values.

mod build;
mod generation;
mod guard;
mod guard_empty;
mod guard_operator;
mod guard_zones;
mod histories;
mod journal;
mod names;
mod payloads;
mod serials;
mod states;
mod story;
mod timeline;
mod views;
mod zone_groups;
