//! The daemon as a process: started as systemd would start it, on a simulated Azure, and asked over
//! real sockets. One binary for all of these tests, so that it is linked once.

mod admin;
mod crashes;
mod demo;
mod discovery;
mod docs;
mod encrypted;
mod endpoints;
mod events;
mod explain;
mod failures;
mod flow;
mod limits;
mod metrics;
mod monitoring;
mod newcomer;
mod online;
mod openapi;
mod operator;
mod page;
mod persistence;
mod primaries;
mod propagation;
mod readme;
mod recipes;
mod reload;
mod resolver;
mod secondaries;
mod state;
mod support;
mod systemd;
mod targets;
mod transfers;
mod tsig;
mod verify;
