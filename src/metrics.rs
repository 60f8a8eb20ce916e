//! What is measured, and how it is read.
//!
//! ```text
//! actors, committer, tools, API ─► handles ─► the recorder that the embedder chose ─► whatever reads it
//! ```
//! An [`Engine`](crate::Engine) registers with [`EngineBuilder::instruments`](crate::engine::EngineBuilder::instruments), or
//! with the recorder that is installed when it starts; without either, counting costs next to nothing. Figures that exist
//! anyway are handed over by [`Engine::record_metrics`](crate::Engine::record_metrics), which is to be called right before
//! the recorder is read, and what has to be looked for by [`Engine::survey`](crate::Engine::survey), every now and then.
//! `docs/METRICS.md` lists all families.
//!
//! **Invariants:** nothing is installed here. No label holds an id.

#[cfg(feature = "prometheus")]
mod process;
#[cfg(feature = "prometheus")]
mod prometheus;

pub use headframe_actors::metrics::{Family, Instruments, Kind, Known, OTHER};

#[cfg(feature = "prometheus")]
pub use self::prometheus::Prometheus;

/// Every family that an engine and its server register.
#[must_use]
pub fn families() -> Vec<Family> {
    let mut families = Vec::new();
    families.extend(crate::durable::meters::FAMILIES);
    families.extend(crate::run::FAMILIES);
    families.extend(crate::engine::FAMILIES);
    #[cfg(feature = "server")]
    families.extend(crate::api::FAMILIES);
    #[cfg(feature = "prometheus")]
    families.extend(process::FAMILIES);
    families
}
