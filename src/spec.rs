//! x
#![allow(missing_docs)]
mod evaluate;
pub use self::evaluate::Expressions;
