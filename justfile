# What people type while they work on Headframe. The steps themselves are in `.ci/run`, so that nobody needs `just`.

# List what can be done.
default:
    @just --list

# Formatting, lints and documentation: what needs no program to run.
check:
    bash .ci/run check

# Every test that takes less than minutes.
test:
    cargo test

# What needs release builds and real processes: kills, resumed runs, measurements.
prove:
    bash .ci/run prove

# The same for hours: suites of their largest size, more kills, with a seed that says which day it was, and steady load.
nightly:
    HEADFRAME_SCALE=nightly cargo test at_scale
    cargo build --release
    cargo run -r -p headframe-chaos -- --kills 10000 --seed "$(date +%Y%m%d)" --html target/chaos.html
    cargo run -r -p headframe-soak -- --for 2h --rate 200 --kill-every 5m --stall-every 40s --html target/soak.html
    bash .ci/run mutants
    target/release/headframe bench --quick --dir target --compare benches/quick.json --at-least 0.5

# Give the program named bugs, one after the other, and see that the tests notice: all of docs/MUTANTS.md, or those named.
mutants *names:
    bash .ci/run mutants {{ names }}

# All that CI does.
ci:
    bash .ci/run

# How fast runs go, next to what this disk allows.
bench seconds="10":
    cargo build --release
    for runs in 1 100 1000; do target/release/headframe bench --workload w1 --concurrency $runs --seconds {{ seconds }}; done

# How long a cold release build takes, in a target folder of its own.
build-time:
    bash .ci/run build-time

# Dependencies: bans, licences and sources everywhere; advisories where their database can be fetched.
deny:
    cargo deny check bans licenses sources
    cargo deny check advisories

# Write the code the way `check` wants it.
fmt:
    cargo fmt --all
