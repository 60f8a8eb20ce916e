//! The simulated world, and what must be true in it.

mod driver;
mod rest;

pub(super) use self::driver::{Crash, Manner, World};
