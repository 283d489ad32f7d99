#![doc = include_str!("../README.md")]

pub mod app;
pub mod backup;
pub mod bulk;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod control;
pub mod dashboard;
pub mod demo;
pub mod error;
pub mod extract;
pub mod folder;
pub mod front;
pub mod ingest;
pub mod keys;
pub mod meta;
mod openapi;
pub mod quarantine;
pub mod query;
pub mod router;
pub mod server;
mod service;
pub mod session;
pub mod task;
pub mod telemetry;
