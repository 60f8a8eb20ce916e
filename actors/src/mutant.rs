//! Named bugs, for the proof of the tests: each breaks one rule of `docs/PROTOCOL.md`, and a test has to notice.
//!
//! A hook is one line where the rule is kept: `if Mutant::AckBeforeSync.is_chosen()`. Without the feature `mutants` that is
//! `false` for the compiler, and nothing of it is left; with it, `HEADFRAME_MUTANT` names the one that is chosen, for the
//! whole process and those that it starts. `bash .ci/run mutants` runs them all (`actors/examples/mutants.rs`).
//!
//! **Invariants:** at most one is chosen, and it stays chosen. `docs/MUTANTS.md` is this table.

#[cfg(any(test, feature = "mutants"))]
mod docs;
mod table;
#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "mutants"))]
pub use self::docs::markdown;
pub use self::table::Mutant;

/// The variable that names the mutant of a process.
#[cfg(feature = "mutants")]
pub const VARIABLE: &str = "HEADFRAME_MUTANT";

/// What is known of a mutant.
#[cfg(any(test, feature = "mutants"))]
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// What `HEADFRAME_MUTANT` calls it.
    pub name: &'static str,
    /// What goes wrong, in a sentence.
    pub bug: &'static str,
    /// The rule of `docs/PROTOCOL.md` that it breaks.
    pub rule: u8,
    /// Tests that fail with it, as documents name them: a file, and a function in it or in its folder.
    pub caught_by: &'static [&'static str],
}

impl Mutant {
    /// Whether this process has this bug.
    #[cfg(not(feature = "mutants"))]
    #[inline]
    #[must_use]
    pub const fn is_chosen(self) -> bool {
        false
    }

    /// Whether this process has this bug.
    ///
    /// # Panics
    /// If `HEADFRAME_MUTANT` names no mutant.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn is_chosen(self) -> bool {
        static CHOSEN: std::sync::OnceLock<Option<Mutant>> = std::sync::OnceLock::new();
        *CHOSEN.get_or_init(chosen) == Some(self)
    }

    /// The mutant of this name.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mutant| mutant.about().name == name)
    }
}

#[cfg(feature = "mutants")]
fn chosen() -> Option<Mutant> {
    let name = std::env::var(VARIABLE).ok().filter(|name| !name.is_empty())?;
    Some(
        Mutant::named(&name)
            .unwrap_or_else(|| panic!("{VARIABLE} is {name:?}, and docs/MUTANTS.md knows no such mutant")),
    )
}
