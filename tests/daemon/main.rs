//! The daemon as a process: started as systemd would start it, on a simulated Azure, and asked over
//! real sockets. One binary for all of these tests, so that it is linked once.

mod demo;
mod failures;
mod flow;
mod limits;
mod metrics;
mod operator;
mod persistence;
mod readme;
mod reload;
mod state;
mod support;
mod systemd;
