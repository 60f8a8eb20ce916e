//! The rules of OTP, and ours, on a supervisor's decisions alone.

use std::time::Duration;

use proptest::prelude::*;

use super::bench::{Bench, permanent, spec};
use crate::durable::supervision::{
    AutoShutdown, Backoff, ChildSpec, Error, Exit, Policy, Restart, Shutdown, Status, Strategy,
    event::{Cause, Command, Event},
    state::State,
};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn policy(strategy: Strategy) -> Policy {
    Policy::new(strategy)
}

fn three(strategy: Strategy) -> Bench {
    Bench::new(policy(strategy), permanent(&["a", "b", "c"]))
}

#[test]
fn children_are_started_in_order() {
    let mut bench = Bench::unstarted(policy(Strategy::OneForOne), permanent(&["a", "b", "c"]));
    bench.start();
    assert_eq!(bench.log(), "start a, start b, start c");
}

#[test]
fn one_for_one_restarts_only_the_one_that_failed() {
    let mut bench = three(Strategy::OneForOne);
    bench.crash("b");
    assert_eq!(bench.log(), "crash b, start b");
}

#[test]
fn one_for_all_ends_in_reverse_and_starts_in_order() {
    let mut bench = three(Strategy::OneForAll);
    bench.crash("b");
    assert_eq!(bench.log(), "crash b, stop c, stop a, start a, start b, start c");
}

#[test]
fn rest_for_one_ends_those_after_in_reverse_and_starts_them_in_order() {
    let mut bench = three(Strategy::RestForOne);
    bench.crash("a");
    assert_eq!(bench.log(), "crash a, stop c, stop b, start a, start b, start c");
    bench.crash("b");
    assert_eq!(bench.log(), "crash b, stop c, start b, start c");
}

#[test]
fn permanent_is_restarted_after_every_exit() {
    let mut bench = Bench::new(policy(Strategy::OneForOne).intensity(9, secs(10)), permanent(&["a"]));
    for exit in [Exit::Normal, Exit::Shutdown, Exit::Killed, Exit::Failed("it broke".to_owned())] {
        bench.exit("a", exit);
        assert_eq!(bench.status("a"), Some(Status::Up));
    }
}

#[test]
fn transient_is_restarted_only_after_an_abnormal_exit() {
    let is_restarted = |exit| {
        let mut bench = Bench::new(policy(Strategy::OneForOne), vec![spec("a", Restart::Transient)]);
        bench.exit("a", exit);
        bench.status("a")
    };
    assert_eq!(is_restarted(Exit::Normal), Some(Status::Down));
    assert_eq!(is_restarted(Exit::Shutdown), Some(Status::Down));
    assert_eq!(is_restarted(Exit::Killed), Some(Status::Up));
    assert_eq!(is_restarted(Exit::Failed(String::new())), Some(Status::Up));
}

#[test]
fn temporary_is_never_restarted_even_under_one_for_all() {
    let children = vec![spec("a", Restart::Permanent), spec("t", Restart::Temporary), spec("u", Restart::Temporary)];
    let mut bench = Bench::new(policy(Strategy::OneForAll), children);
    bench.crash("u");
    assert_eq!((bench.log(), bench.status("u")), ("crash u".to_owned(), None));
    bench.crash("a");
    assert_eq!((bench.log(), bench.status("t")), ("crash a, stop t, start a".to_owned(), None));
}

#[test]
fn killed_is_abnormal_unless_asked_for() {
    let brutal = spec("a", Restart::Transient).shutdown(Shutdown::BrutalKill);
    let mut bench = Bench::new(policy(Strategy::OneForOne), vec![brutal]);
    bench.exit("a", Exit::Killed);
    assert_eq!(bench.log(), "killed a, start a");
    bench.ask(Command::Terminate("a".into()));
    assert_eq!(bench.log(), "kill a, killed a, ok");
    assert_eq!(bench.status("a"), Some(Status::Down));
}

#[test]
fn a_child_that_was_passivated_or_fenced_counts_for_nothing() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        let mut bench = Bench::new(policy(strategy).intensity(0, secs(10)), permanent(&["a", "b"]));
        bench.exit("a", Exit::Asked);
        assert_eq!((bench.log(), bench.status("a")), (String::new(), Some(Status::Down)), "{strategy:?}");
        assert_eq!(bench.cause(), None);
    }
}

#[test]
fn a_restart_exactly_a_period_ago_still_counts() {
    let escalates_after = |wait| {
        let mut bench = Bench::new(policy(Strategy::OneForOne).intensity(1, secs(10)), permanent(&["a"]));
        bench.crash("a");
        bench.pass(wait);
        bench.crash("a");
        bench.cause().is_some()
    };
    assert!(escalates_after(secs(10)));
    assert!(!escalates_after(secs(10) + Duration::from_nanos(1)));
}

#[test]
fn intensity_zero_escalates_at_the_first_failure() {
    let mut bench = Bench::new(policy(Strategy::OneForOne).intensity(0, secs(10)), permanent(&["a", "b"]));
    bench.crash("a");
    assert_eq!(bench.log(), "crash a, escalate a, stop b");
    assert_eq!(bench.cause(), Some(&Cause::Escalated("a".into())));
    assert!(bench.state.has_ended());
}

#[test]
fn a_supervisor_that_escalates_ends_the_others_in_reverse() {
    let mut bench = Bench::new(policy(Strategy::OneForAll).intensity(0, secs(10)), permanent(&["a", "b", "c", "d"]));
    bench.crash("b");
    assert_eq!(bench.log(), "crash b, escalate b, stop d, stop c, stop a");
}

#[test]
fn intensity_counts_all_children_together_unless_dynamic() {
    let mut bench = Bench::new(policy(Strategy::OneForOne).intensity(2, secs(10)), permanent(&["a", "b", "c"]));
    for id in ["a", "b", "c"] {
        bench.crash(id);
    }
    assert_eq!(bench.cause(), Some(&Cause::Escalated("c".into())));
}

#[test]
fn a_failed_start_counts_as_a_restart() {
    let mut bench = three(Strategy::OneForOne);
    bench.failing.insert("b", 99);
    bench.crash("b");
    assert_eq!(bench.log(), "crash b, fail b, fail b, fail b, escalate b, stop c, stop a");
}

#[test]
fn a_failed_start_in_a_group_starts_the_group_again_from_there() {
    let mut bench = Bench::new(policy(Strategy::RestForOne), permanent(&["a", "b", "c", "d"]));
    bench.failing.insert("c", 1);
    bench.crash("b");
    assert_eq!(bench.log(), "crash b, stop d, stop c, start b, fail c, start c, start d");
    let mut bench = three(Strategy::OneForAll);
    bench.failing.insert("b", 1);
    bench.crash("c");
    assert_eq!(bench.log(), "crash c, stop b, stop a, start a, fail b, stop a, start a, start b, start c");
}

#[test]
fn when_a_first_start_fails_those_before_end_in_reverse() {
    let mut bench = Bench::unstarted(policy(Strategy::OneForOne), permanent(&["a", "b", "c", "d"]));
    bench.failing.insert("c", 1);
    bench.start();
    assert_eq!(bench.log(), "start a, start b, fail c, stop b, stop a");
    assert!(matches!(bench.cause(), Some(Cause::StartFailed { child, .. }) if &**child == "c"));
}

#[test]
fn a_crash_of_an_earlier_child_during_a_restart_takes_more_along() {
    let mut bench = Bench::new(policy(Strategy::RestForOne), permanent(&["a", "b", "c", "d"]));
    bench.stubborn.insert("d");
    bench.crash("c");
    assert_eq!(bench.log(), "crash c, stop d");
    bench.crash("a");
    assert_eq!(bench.log(), "crash a");
    bench.exit("d", Exit::Normal);
    assert_eq!(bench.log(), "stop b, start a, start b, start c, start d");
}

#[test]
fn a_sibling_that_crashes_before_its_turn_to_end_counts_for_nothing() {
    let mut bench = Bench::new(policy(Strategy::OneForAll).intensity(1, secs(10)), permanent(&["a", "b", "c"]));
    bench.stubborn.insert("c");
    bench.crash("b");
    bench.crash("a");
    bench.exit("c", Exit::Normal);
    assert_eq!(bench.log(), "crash b, stop c, crash a, start a, start b, start c");
}

#[test]
fn an_event_of_a_former_incarnation_is_ignored() {
    let mut bench = three(Strategy::OneForOne);
    let former = bench.key("a");
    bench.crash("a");
    bench.log();
    for exit in [Exit::Normal, Exit::Killed, Exit::Failed(String::new())] {
        bench.feed(Event::Exited(former, exit));
    }
    bench.feed(Event::Started(former));
    bench.feed(Event::StartFailed(former, String::new()));
    assert_eq!((bench.log(), bench.status("a")), (String::new(), Some(Status::Up)));
}

#[test]
fn a_child_that_does_not_end_in_time_is_killed_and_the_next_is_told_only_then() {
    let mut bench = Bench::new(policy(Strategy::OneForOne), permanent(&["a", "b"]));
    bench.stubborn.insert("b");
    bench.feed(Event::Shutdown);
    bench.pass(secs(5) - Duration::from_nanos(1));
    assert_eq!(bench.log(), "stop b");
    bench.pass(Duration::from_nanos(1));
    assert_eq!(bench.log(), "kill b, killed b, stop a");
    assert!(bench.state.has_ended());
}

#[test]
fn brutal_kill_does_not_ask_and_infinity_does_not_kill() {
    let brutal = spec("b", Restart::Permanent).shutdown(Shutdown::BrutalKill);
    let patient = spec("p", Restart::Permanent).shutdown(Shutdown::Infinity);
    let mut bench = Bench::new(policy(Strategy::OneForOne), vec![patient, brutal]);
    bench.stubborn.insert("p");
    bench.feed(Event::Shutdown);
    bench.pass(secs(1_000_000));
    assert_eq!(bench.log(), "kill b, killed b, stop p");
    assert_eq!((bench.state.next_alarm(), bench.state.has_ended()), (None, false));
}

#[test]
fn the_first_restart_is_at_once_and_the_second_waits() {
    let backoff = Backoff { base: secs(1), max: secs(60), seed: 1 };
    let mut bench = Bench::unstarted(policy(Strategy::OneForOne).backoff(backoff), permanent(&["a"]));
    bench.start();
    bench.log();
    bench.crash("a");
    assert_eq!(bench.log(), "crash a, start a");
    bench.crash("a");
    assert_eq!((bench.log(), bench.status("a")), ("crash a, wait a".to_owned(), Some(Status::Restarting)));
    bench.pass(secs(1));
    assert_eq!(bench.log(), "start a");
}

#[test]
fn a_child_that_stayed_up_for_a_period_starts_over_at_once() {
    let backoff = Backoff { base: secs(1), max: secs(60), seed: 1 };
    let mut bench = Bench::unstarted(policy(Strategy::OneForOne).backoff(backoff), permanent(&["a"]));
    bench.start();
    bench.crash("a");
    bench.pass(secs(11));
    bench.log();
    bench.crash("a");
    assert_eq!(bench.log(), "crash a, start a");
}

#[test]
fn a_child_that_never_starts_waits_longer_and_longer() {
    let backoff = Backoff { base: secs(100), max: secs(10_000), seed: 1 };
    let policy = policy(Strategy::OneForOne).backoff(backoff).intensity(9, secs(10));
    let mut bench = Bench::unstarted(policy, permanent(&["a"]));
    bench.start();
    bench.pass(secs(3_600));
    bench.log();
    bench.failing.insert("a", 4);
    bench.crash("a");
    let mut waits = Vec::new();
    while bench.status("a") == Some(Status::Restarting) {
        let wait = bench.state.next_alarm().unwrap() - bench.now;
        waits.push(wait);
        bench.pass(wait);
    }
    assert_eq!(waits.len(), 4);
    assert!(waits.is_sorted(), "{waits:?}");
    assert!(waits[3] >= secs(400));
}

#[test]
fn a_group_is_down_while_it_waits_and_comes_back_in_order() {
    let backoff = Backoff { base: secs(1), max: secs(60), seed: 1 };
    let mut bench = Bench::unstarted(policy(Strategy::OneForAll).backoff(backoff), permanent(&["a", "b", "c"]));
    bench.start();
    bench.crash("b");
    bench.log();
    bench.crash("b");
    assert_eq!(bench.log(), "crash b, wait b, stop c, stop a");
    bench.pass(secs(1));
    assert_eq!(bench.log(), "start a, start b, start c");
}

fn dynamic(ids: &[&str], intensity: u32) -> Bench {
    let mut bench = Bench::new(policy(Strategy::Dynamic).intensity(intensity, secs(10)), Vec::new());
    for id in ids {
        bench.ask(Command::Start(spec(id, Restart::Permanent)));
    }
    bench.log();
    bench
}

#[test]
fn five_runs_crash_at_once_and_the_sixth_does_not_die() {
    let mut bench = dynamic(&["1", "2", "3", "4", "5", "6"], 3);
    for id in ["1", "2", "3", "4", "5"] {
        bench.crash(id);
    }
    assert_eq!(bench.cause(), None);
    for id in ["1", "2", "3", "4", "5", "6"] {
        assert_eq!(bench.status(id), Some(Status::Up), "{id}");
    }
}

#[test]
fn a_run_that_exceeds_its_intensity_is_given_up_alone() {
    let mut bench = dynamic(&["1", "2"], 1);
    bench.crash("1");
    bench.crash("1");
    assert_eq!(bench.log(), "crash 1, start 1, crash 1, give up 1");
    assert_eq!((bench.status("1"), bench.status("2"), bench.cause()), (None, Some(Status::Up), None));
}

#[test]
fn a_dynamic_supervisor_ends_all_together() {
    let mut bench = dynamic(&["1", "2", "3"], 3);
    bench.stubborn.extend(["1", "2", "3"]);
    bench.feed(Event::Shutdown);
    assert_eq!(bench.log(), "stop 1, stop 2, stop 3");
    bench.pass(secs(5));
    assert!(bench.state.has_ended());
}

#[test]
fn a_dynamic_supervisor_keeps_no_child_that_is_down() {
    let mut bench = dynamic(&["1"], 3);
    bench.ask(Command::Restart("1".into()));
    bench.ask(Command::Delete("1".into()));
    let refused = format!("refused: {}", Error::Dynamic);
    assert_eq!(bench.log(), format!("{refused}, {refused}"));
    bench.ask(Command::Terminate("1".into()));
    assert_eq!((bench.log(), bench.status("1")), ("stop 1, ok".to_owned(), None));
}

fn significant(auto_shutdown: AutoShutdown) -> Bench {
    let children = vec![
        spec("a", Restart::Permanent),
        spec("s", Restart::Transient).significant(),
        spec("t", Restart::Temporary).significant(),
    ];
    Bench::new(policy(Strategy::OneForOne).auto_shutdown(auto_shutdown), children)
}

#[test]
fn any_significant_ends_with_the_first() {
    let mut bench = significant(AutoShutdown::AnySignificant);
    bench.crash("s");
    assert_eq!(bench.log(), "crash s, start s");
    bench.exit("s", Exit::Normal);
    assert_eq!(bench.log(), "normal s, stop t, stop a");
    assert_eq!(bench.cause(), Some(&Cause::Auto("s".into())));
}

#[test]
fn a_temporary_significant_child_counts_whatever_its_end() {
    let mut bench = significant(AutoShutdown::AnySignificant);
    bench.crash("t");
    assert_eq!(bench.cause(), Some(&Cause::Auto("t".into())));
}

#[test]
fn all_significant_ends_with_the_last() {
    let mut bench = significant(AutoShutdown::AllSignificant);
    bench.crash("t");
    assert_eq!(bench.cause(), None);
    bench.exit("s", Exit::Shutdown);
    assert_eq!(bench.cause(), Some(&Cause::Auto("s".into())));
}

#[test]
fn a_significant_child_that_was_told_to_end_does_not_count() {
    let mut bench = significant(AutoShutdown::AnySignificant);
    bench.ask(Command::Terminate("s".into()));
    bench.exit("t", Exit::Asked);
    assert_eq!(bench.cause(), None);
}

#[test]
fn a_significant_child_must_be_able_to_end_and_its_supervisor_to_care() {
    let refuses = |auto, child: ChildSpec| {
        let policy = policy(Strategy::OneForOne).auto_shutdown(auto);
        matches!(State::new(policy, vec![child.significant()]), Err(Error::Invalid { .. }))
    };
    assert!(refuses(AutoShutdown::AnySignificant, spec("a", Restart::Permanent)));
    assert!(refuses(AutoShutdown::Never, spec("a", Restart::Transient)));
    assert!(!refuses(AutoShutdown::AnySignificant, spec("a", Restart::Transient)));
}

#[test]
fn two_children_cannot_be_called_the_same() {
    let same = State::new(policy(Strategy::OneForOne), permanent(&["a", "a"]));
    assert_eq!(same.unwrap_err(), Error::AlreadyStarted("a".into()));
}

#[test]
fn terminating_a_child_that_waits_for_its_restart_calls_it_off() {
    let backoff = Backoff { base: secs(1), max: secs(60), seed: 1 };
    let mut bench = Bench::unstarted(policy(Strategy::OneForOne).backoff(backoff), permanent(&["a"]));
    bench.start();
    bench.crash("a");
    bench.crash("a");
    bench.log();
    bench.ask(Command::Restart("a".into()));
    bench.ask(Command::Delete("a".into()));
    bench.ask(Command::Terminate("a".into()));
    bench.pass(secs(60));
    let refused = format!("refused: {}", Error::Restarting("a".into()));
    assert_eq!(bench.log(), format!("{refused}, {refused}, ok"));
    assert_eq!(bench.status("a"), Some(Status::Down));
}

#[test]
fn terminating_the_child_that_its_group_waits_for_lets_the_others_start() {
    let backoff = Backoff { base: secs(1), max: secs(60), seed: 1 };
    let mut bench = Bench::unstarted(policy(Strategy::RestForOne).backoff(backoff), permanent(&["a", "b", "c"]));
    bench.start();
    bench.log();
    bench.failing.insert("b", 9);
    bench.crash("b");
    assert_eq!(bench.log(), "crash b, stop c, fail b, wait b");
    bench.ask(Command::Terminate("b".into()));
    assert_eq!(bench.log(), "ok, start c");
}

#[test]
fn a_child_terminated_while_its_group_ends_stays_down() {
    let mut bench = three(Strategy::OneForAll);
    bench.stubborn.insert("c");
    bench.crash("a");
    bench.ask(Command::Terminate("b".into()));
    bench.ask(Command::Terminate("c".into()));
    bench.exit("c", Exit::Normal);
    assert_eq!(bench.log(), "crash a, stop c, ok, stop b, ok, start a");
}

#[test]
fn everyone_who_waits_for_an_end_is_answered_at_the_end() {
    let mut bench = three(Strategy::OneForOne);
    bench.stubborn.insert("a");
    bench.ask(Command::Terminate("a".into()));
    bench.ask(Command::Terminate("a".into()));
    assert_eq!(bench.log(), "stop a");
    bench.pass(secs(5));
    assert_eq!(bench.log(), "kill a, killed a, ok, ok");
}

#[test]
fn a_supervisor_that_ends_takes_no_commands_and_restarts_nothing() {
    let mut bench = three(Strategy::OneForOne);
    bench.stubborn.insert("c");
    bench.feed(Event::Shutdown);
    bench.ask(Command::Start(spec("d", Restart::Permanent)));
    bench.crash("a");
    bench.exit("c", Exit::Normal);
    assert_eq!(bench.log(), format!("stop c, refused: {}, crash a, stop b", Error::Ended));
    assert!(bench.state.has_ended());
}

/// What may happen to a child, by number: whatever comes, in whatever order.
fn happen(bench: &mut Bench, what: u8, id: &'static str) {
    let lives = bench.state.children().any(|(_, child)| &*child.spec.id == id && child.life.incarnation().is_some());
    match what {
        0 if lives => bench.crash(id),
        1 if lives => bench.exit(id, Exit::Normal),
        2 if lives => bench.exit(id, Exit::Asked),
        3 if lives => bench.exit(id, Exit::Killed),
        4 => bench.ask(Command::Terminate(id.into())),
        5 => bench.ask(Command::Restart(id.into())),
        6 => bench.ask(Command::Delete(id.into())),
        7 => bench.ask(Command::Start(spec(id, Restart::Transient))),
        8 => _ = bench.failing.insert(id, 2),
        9 => _ = bench.stubborn.insert(id),
        10 => _ = bench.stubborn.remove(id),
        _ => bench.pass(secs(2)),
    }
}

crate::properties! {
    #[test]
    fn whatever_happens_every_question_is_answered_and_the_end_is_reached(
        strategy in prop::sample::select(vec![Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne, Strategy::Dynamic]),
        events in prop::collection::vec((0_u8..13, prop::sample::select(vec!["a", "b", "c", "d"])), 0..60),
    ) {
        let policy = policy(strategy).intensity(5, secs(10)).backoff(Backoff { base: secs(1), max: secs(9), seed: 3 });
        let children = vec![spec("a", Restart::Permanent), spec("b", Restart::Temporary), spec("c", Restart::Transient)];
        let mut bench = Bench::unstarted(policy, children);
        bench.start();
        let asked = events.iter().filter(|(what, _)| (4..8).contains(what)).count();
        for (what, id) in events {
            happen(&mut bench, what, id);
        }
        bench.feed(Event::Shutdown);
        bench.pass(secs(1_000));
        prop_assert!(bench.state.has_ended());
        prop_assert_eq!(bench.state.next_alarm(), None);
        let answers = bench.log.iter().filter(|line| *line == "ok" || line.starts_with("refused")).count();
        prop_assert_eq!(answers, asked);
    }
}
