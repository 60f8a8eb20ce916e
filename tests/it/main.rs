//! Promises through the public API and the program.

mod cli;
