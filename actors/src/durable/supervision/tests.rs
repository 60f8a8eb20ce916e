//! The rules, one test each: `machine` on the decisions alone, `actors` on real ones, and `trace` beside Erlang/OTP.

mod actors;
mod at_scale;
mod bench;
mod machine;
mod trace;
mod worker;
