//! How the product is reached: the HTTP API, its pages and the command line. The only crate that knows HTTP.

#![deny(clippy::print_stdout)]

pub mod api;
pub mod breaches;
pub mod cli;
pub mod confinement;
pub mod edge;
pub mod error;
pub mod extract;
pub mod listener;
pub mod logging;
pub mod openapi;
mod outbound;
pub mod pages;
pub mod shipping;
