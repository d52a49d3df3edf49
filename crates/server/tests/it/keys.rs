//! Keys from outside: how one takes the place of another, what is said of each meanwhile, and what no token can do.

mod corpus;
pub mod forge;
mod forgery;
mod procedure;
mod rolling;
mod rotation;
mod status;
mod wrapping;

/// Two more keys, as `openssl rand -hex 32` prints them. The first is [`SECRET`](crate::process::SECRET).
pub const KEY_B: &str = "b7e2d1906c5f4a3388f70e19ad2c6b5547f3e2d1c0b9a8f7e6d5c4b3a2918070";
pub const KEY_C: &str = "1d9f4c7be20a863517c4f0d29e8b6a53d1c07f4e92ab5836e4017c9d2fb8a650";
