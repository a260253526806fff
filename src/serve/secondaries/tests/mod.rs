//! The schedule as a value, and real sockets with a scripted secondary.

mod schedule;
mod scripted;
mod sockets;
