//! Whatever fails by chance prints one line that tells it again: `HEADFRAME_REPLAY='NAME HOW'`, of one shape for all.
//!
//! What NAME may be (a workflow, a suite, a property) and what HOW says (a death, a case, a seed) is the suite's; that there
//! is one variable, how it is read and how the line looks is here.
//!
//! **Invariant:** with the variable set, whatever bears the name does that one thing, every time the same; all others do as
//! they always do.

use std::hash::{BuildHasher as _, RandomState};

/// Names one thing to tell again, instead of all.
pub const VARIABLE: &str = "HEADFRAME_REPLAY";

/// No failed case is tried smaller more often.
#[doc(hidden)]
pub const SHRINKS_MAX: u32 = 4_096;

/// What to tell again, if it is what bears this name.
#[must_use]
pub fn asked(name: &str) -> Option<String> {
    let wanted = std::env::var(VARIABLE).ok()?;
    Some(wanted.strip_prefix(name)?.strip_prefix(' ')?.to_owned())
}

/// The line that tells something again.
#[must_use]
pub fn line(name: &str, how: &dyn std::fmt::Display) -> String {
    format!("{VARIABLE}='{name} {how}'")
}

/// Says something if there is a panic while it lives.
#[derive(Debug)]
pub struct IfItFails(pub String);

impl Drop for IfItFails {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a failing test says so there")]
            {
                eprintln!("{}", self.0);
            }
        }
    }
}

/// The seeds of a property's cases: drawn anew each time, or the one that is told again.
#[derive(Clone, Debug)]
pub struct Seeds {
    name: String,
    command: String,
    first: u64,
    left: u32,
}

impl Seeds {
    /// Whether one case is told again, and not as many as there should be.
    #[must_use]
    pub fn is_replay(&self) -> bool {
        asked(&self.name).is_some()
    }

    /// So many seeds for a test, given as `module_path!()` and its name, of this package.
    ///
    /// # Panics
    /// If `HEADFRAME_REPLAY` names the test and no seed.
    #[must_use]
    pub fn of(package: &str, module: &str, test: &str, cases: u32) -> Self {
        let (target, path) =
            module.split_once("::").map_or((module, String::new()), |(target, path)| (target, format!("{path}::")));
        let name = format!("{path}{test}");
        let target = if target == package.replace('-', "_") { "--lib".to_owned() } else { format!("--test {target}") };
        let command = format!("cargo test -p {package} {target} -- --exact {name}");
        match asked(&name) {
            Some(seed) => {
                let seed = seed.parse().unwrap_or_else(|_| panic!("{VARIABLE}: {seed:?} is no seed: use a number"));
                Self { name, command, first: seed, left: 1 }
            }
            // A seed for which no clock is needed.
            None => Self { name, command, first: RandomState::new().hash_one(cases), left: cases },
        }
    }
}

/// Let a property hold for a value of each seed, as [`properties!`](crate::properties) does, where something is counted
/// beside it.
#[cfg(test)]
pub(crate) fn holds<S: proptest::strategy::Strategy>(
    seeds: Seeds,
    strategy: &S,
    property: impl Fn(S::Value) -> Result<(), String>,
) {
    use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
    for (seed, _again) in seeds {
        let config = Config {
            cases: 1,
            max_shrink_iters: SHRINKS_MAX,
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: None,
            ..Config::default()
        };
        let told = TestRunner::new(config).run(strategy, |value| property(value).map_err(TestCaseError::fail));
        told.unwrap_or_else(|failure| panic!("{failure}"));
    }
}

impl Iterator for Seeds {
    type Item = (u64, IfItFails);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let seed = self.first.wrapping_add(u64::from(self.left));
        Some((seed, IfItFails(format!("{} {}", line(&self.name, &seed), self.command))))
    }
}

/// Tests of properties as `proptest!` has them, of which each failure prints one line that tells it again, shrinking
/// included. `proptest` is a dependency of whoever uses this; its file of regressions is not written, because the line is
/// enough.
///
/// ```
/// headframe_actors::properties! {
///     fn bytes_come_back(text: String, times in 0..3_usize) {
///         proptest::prop_assert_eq!(text.repeat(times).len(), text.len() * times);
///     }
/// }
/// bytes_come_back();
/// ```
#[macro_export]
macro_rules! properties {
    (#![proptest_config($config:expr)] $($rest:tt)*) => {
        $crate::properties!(@ ($config) $($rest)*);
    };
    (@ ($config:expr) $($(#[$meta:meta])* fn $name:ident($($parameters:tt)+) $body:block)*) => {$(
        $(#[$meta])*
        fn $name() {
            let config: ::proptest::test_runner::Config = $config;
            let cases = $crate::testing::Scale::chosen().pick(1, 10, 1_000) * config.cases;
            let seeds = $crate::testing::replay::Seeds::of(
                ::core::env!("CARGO_PKG_NAME"), ::core::module_path!(), ::core::stringify!($name), cases,
            );
            for (seed, _again) in seeds {
                let config = ::proptest::test_runner::Config {
                    cases: 1,
                    max_shrink_iters: config.max_shrink_iters.min($crate::testing::replay::SHRINKS_MAX),
                    rng_seed: ::proptest::test_runner::RngSeed::Fixed(seed),
                    failure_persistence: None,
                    ..config.clone()
                };
                ::proptest::proptest!(config, |($($parameters)+)| $body);
            }
        }
    )*};
    ($($rest:tt)*) => {
        $crate::properties!(@ (::proptest::test_runner::Config::default()) $($rest)*);
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_variable_what_and_how() {
        assert_eq!(line("pay", &"5:lost;3"), "HEADFRAME_REPLAY='pay 5:lost;3'");
    }

    #[test]
    fn a_property_has_as_many_seeds_as_cases_and_each_says_how_it_is_told_again() {
        let seeds = Seeds::of("headframe-actors", "headframe_actors::replay::tests", "it", 3);
        let lines: Vec<_> = seeds.map(|(seed, again)| (seed, again.0.clone())).collect();
        assert_eq!(lines.len(), 3);
        for (seed, line) in lines {
            let command = "cargo test -p headframe-actors --lib -- --exact replay::tests::it";
            assert_eq!(line, format!("HEADFRAME_REPLAY='replay::tests::it {seed}' {command}"));
        }
        let (_, again) = Seeds::of("headframe", "it::api", "it", 1).next().unwrap();
        assert!(again.0.ends_with("cargo test -p headframe --test it -- --exact api::it"), "{}", again.0);
    }

    /// Run by [`a_property_that_fails_prints_the_line_that_fails_again`] in processes of its own.
    #[test]
    #[ignore = "it fails on purpose"]
    fn fails_on_purpose() {
        no_number_is_large();
    }

    properties! {
        fn no_number_is_large(number in 0..u64::MAX) {
            proptest::prop_assert!(number < 1_000_000);
        }
    }

    /// A failure of ours once could not be told again: what proptest printed was a value, and its file was thrown away.
    #[test]
    fn a_property_that_fails_prints_the_line_that_fails_again() {
        let run = |replay: Option<&str>| {
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            command
                .args(["--exact", "replay::tests::fails_on_purpose", "--ignored", "--nocapture"])
                .env_remove(VARIABLE);
            let output = command.envs(replay.map(|how| (VARIABLE, how))).output().unwrap();
            assert!(!output.status.success(), "it fails");
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        let lines =
            |said: &str| said.lines().filter(|line| line.starts_with(VARIABLE)).map(str::to_owned).collect::<Vec<_>>();
        let first = lines(&run(None));
        let [line] = &first[..] else { panic!("one line, and not {first:?}") };
        let how = line.split('\'').nth(1).unwrap();
        let again = run(Some(how));
        assert_eq!(lines(&again), first, "the same case failed");
        assert!(again.contains("number = 1000000"), "it is shrunk as before: {again}");
    }
}
