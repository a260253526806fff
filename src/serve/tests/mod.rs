//! Tests of the room: the pure answer by tables and by properties, the sockets by real clients.

mod answering;
mod build;
mod errors;
mod exhaustion;
mod limits;
mod model;
mod names_of_public_dns;
mod public_answers;
mod recursion;
mod robustness;
mod server;
mod summary;
mod tcp;
mod tools;
mod transfers;
mod transfers_at_rest;
mod udp;
mod views;
mod zone_cuts;
