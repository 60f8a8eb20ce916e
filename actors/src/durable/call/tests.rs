//! What calls look like on disk, and what follows from a probe.

use proptest::prelude::*;

use super::*;
use crate::durable::codec::{self, Format};

/// What builds before `verify` wrote, frozen.
mod before {
    use super::*;

    #[derive(Serialize)]
    pub(super) enum Effect {
        AtMostOnce,
        Idempotent { remembers_ms: u64 },
    }

    #[derive(Serialize)]
    pub(super) enum RowState {
        Intended,
        Started,
        InDoubt(Failure),
    }

    #[derive(Serialize)]
    pub(super) enum Verdict {
        Ended(Outcome),
        InDoubt(Failure),
        Repeat,
    }
}

const FORMAT: Format = Format::new("test", 1);

fn read_as<T: serde::de::DeserializeOwned>(old: &impl Serialize) -> T {
    codec::open(FORMAT, &codec::seal(FORMAT, old)).expect("old bytes are read")
}

fn late() -> Failure {
    Failure::new("timeout", "it was late").with_details(serde_json::json!({ "ms": 5 }))
}

#[test]
fn calls_that_were_stored_before_probes_existed_are_still_read() {
    assert_eq!(read_as::<Effect>(&before::Effect::AtMostOnce), Effect::AtMostOnce);
    let remembers_ms = 86_400_000;
    assert_eq!(read_as::<Effect>(&before::Effect::Idempotent { remembers_ms }), Effect::Idempotent { remembers_ms });
    assert_eq!(read_as::<RowState>(&before::RowState::Intended), RowState::Intended);
    assert_eq!(read_as::<RowState>(&before::RowState::Started), RowState::Started);
    assert_eq!(read_as::<RowState>(&before::RowState::InDoubt(late())), RowState::InDoubt(late()));
    assert_eq!(read_as::<Verdict>(&before::Verdict::Repeat), Verdict::Repeat);
    assert_eq!(read_as::<Verdict>(&before::Verdict::InDoubt(late())), Verdict::InDoubt(late()));
    let done = || Outcome::Done(Json::NULL);
    assert_eq!(read_as::<Verdict>(&before::Verdict::Ended(done())), Verdict::Ended(done()));
}

fn row(effect: Effect, state: RowState) -> Row {
    let request = Request {
        tool: "bank".to_owned(),
        path: "run/pay/charge".to_owned(),
        key: Key([7; 32]),
        attempt: 1,
        effect,
        input: Json::NULL,
        timeout_ms: 1_000,
        heartbeat_ms: None,
        checkpoint: None,
        key_since_ms: 0,
    };
    Row { caller: ActorId(9), request, intended_at: 0, state }
}

/// Settle outcome after outcome, each 10 ms after the one before was due, until the caller is told.
fn told(mut row: Row, outcomes: impl IntoIterator<Item = Outcome>) -> (Verdict, Vec<u64>) {
    let (mut now_ms, mut dues) = (0, Vec::new());
    for outcome in outcomes {
        now_ms += 10;
        match settle(&row, outcome, now_ms) {
            Settled::Answer(verdict) => return (verdict, dues),
            Settled::Probe(probing) => {
                dues.push(probing.due_ms - now_ms);
                now_ms = probing.due_ms;
                row.state = RowState::Probing(probing);
            }
        }
    }
    panic!("the caller is not told: {row:?}")
}

#[test]
fn an_unknown_outcome_of_a_verified_call_is_probed_so_often_and_ever_later_and_then_in_doubt() {
    let verify = Effect::Verify { probes: 4, wait_ms: 100 };
    let cannot_tell = || Probe::CannotTell(Failure::new("down", "the books are closed")).into();
    let unknowns = std::iter::once(Outcome::Unknown(late())).chain(std::iter::repeat_with(cannot_tell));
    let (verdict, dues) = told(row(verify, RowState::Intended), unknowns);
    let Verdict::InDoubt(failure) = verdict else { panic!("{verdict:?}") };
    assert_eq!(failure.class, "timeout");
    assert_eq!(failure.message, "the probe cannot tell: the books are closed; asked because: it was late");
    assert_eq!(failure.details, late().details);
    assert_eq!(dues, [0, 100, 200, 400], "the first at once, then ever later");
}

#[test]
fn a_probe_records_what_happened_and_fails_what_did_not_under_the_class_of_the_attempt() {
    let verify = || row(Effect::VERIFY, RowState::Intended);
    let after = |probe: Probe| told(verify(), [Outcome::Unknown(late()), probe.into()]).0;
    assert_eq!(after(Probe::Happened(Json::NULL)), Verdict::Ended(Outcome::Done(Json::NULL)));
    let Verdict::Ended(Outcome::Failed(failure)) = after(Probe::DidNot("no such order".to_owned())) else { panic!() };
    assert_eq!((&*failure.class, &*failure.message), ("timeout", "it was late; it did not happen: no such order"));
}

#[test]
fn what_a_crash_cut_off_and_did_not_happen_is_no_failed_attempt() {
    let cut_off = || row(Effect::VERIFY, RowState::Probing(Probing::of_the_last_life(1)));
    let did_not = || Probe::DidNot("no such order".to_owned()).into();
    assert!(matches!(told(cut_off(), [did_not()]).0, Verdict::NotMade(failure) if failure.class == "crash"));
    let cannot_tell = || Outcome::unknown("down", "the books are closed");
    assert!(matches!(told(cut_off(), [cannot_tell(), did_not()]).0, Verdict::NotMade(_)));
}

#[test]
fn a_call_that_a_person_is_asked_about_is_not_probed_and_what_turns_out_done_is_done() {
    let in_doubt = || row(Effect::VERIFY, RowState::InDoubt(late()));
    assert_eq!(told(in_doubt(), [Outcome::Done(Json::NULL)]).0, Verdict::Ended(Outcome::Done(Json::NULL)));
    assert_eq!(told(in_doubt(), [Outcome::Unknown(late())]).0, Verdict::InDoubt(late()));
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Done(Json::NULL)),
        any::<(String, String)>().prop_map(|(class, message)| Outcome::failed(class, message)),
        any::<(String, String)>().prop_map(|(class, message)| Outcome::unknown(class, message)),
    ]
}

fn effects() -> impl Strategy<Value = Effect> {
    prop_oneof![
        Just(Effect::AtMostOnce),
        any::<u64>().prop_map(|remembers_ms| Effect::Idempotent { remembers_ms }),
        (0..6_u32, any::<u64>()).prop_map(|(probes, wait_ms)| Effect::Verify { probes, wait_ms }),
    ]
}

fn states() -> impl Strategy<Value = RowState> {
    let probing = any::<(u32, u64, bool)>().prop_map(|(asked, due_ms, is_cut_off)| {
        RowState::Probing(Probing { failure: late(), asked, due_ms, is_cut_off })
    });
    prop_oneof![Just(RowState::Intended), Just(RowState::Started), Just(RowState::InDoubt(late())), probing]
}

crate::properties! {
    /// Any outcome of any call: what was done is done, what failed is not made up, and of what nobody knows nothing is
    /// repeated that may not be.
    #[test]
    fn an_outcome_becomes_the_one_verdict_that_its_guarantee_allows(
        effect in effects(), state in states(), outcome in outcomes(), now_ms: u64, key_since_ms: u64,
    ) {
        let mut row = row(effect, state);
        row.request.key_since_ms = key_since_ms;
        let is_forgotten = row.request.is_forgotten(now_ms);
        let verifies = matches!(effect, Effect::Verify { .. });
        let may_be_probed = verifies && !matches!(row.state, RowState::InDoubt(_));
        match (settle(&row, outcome.clone(), now_ms), &outcome) {
            (Settled::Answer(Verdict::Ended(ended)), Outcome::Done(_)) => prop_assert_eq!(&ended, &outcome),
            (Settled::Answer(Verdict::Ended(Outcome::Failed(_))), Outcome::Failed(_)) => {}
            (Settled::Answer(Verdict::NotMade(_)), Outcome::Failed(_)) => {
                let is_cut_off = matches!(&row.state, RowState::Probing(probing) if probing.is_cut_off);
                prop_assert!(is_cut_off);
            }
            (Settled::Answer(Verdict::Ended(Outcome::Unknown(_))), Outcome::Unknown(_)) => {
                let is_idempotent = matches!(effect, Effect::Idempotent { .. });
                prop_assert!(is_idempotent && !is_forgotten);
            }
            (Settled::Answer(Verdict::InDoubt(_)), Outcome::Unknown(_)) => {
                prop_assert!(effect == Effect::AtMostOnce || verifies || is_forgotten);
            }
            (Settled::Probe(probing), Outcome::Unknown(_)) => {
                prop_assert!(may_be_probed && probing.due_ms >= now_ms);
            }
            (settled, outcome) => prop_assert!(false, "{:?} became {:?}", outcome, settled),
        }
    }

    /// Whatever the probes find out: as many are asked as may be, each at least as late as the one before, and then somebody
    /// is told.
    #[test]
    fn probes_come_to_an_end_and_ever_later(
        probes in 0..20_u32, wait_ms: u64, is_cut_off: bool, last in prop::option::of(outcomes()),
    ) {
        let mut row = row(Effect::Verify { probes, wait_ms }, RowState::Intended);
        if is_cut_off {
            row.state = RowState::Probing(Probing::of_the_last_life(0));
        }
        let (mut now_ms, mut asked, mut former_ms) = (0, 0, 0);
        loop {
            let is_last = asked == probes / 2;
            let told = last.clone().filter(|_| is_last).unwrap_or(Outcome::Unknown(late()));
            match settle(&row, told, now_ms) {
                Settled::Answer(_) => break,
                Settled::Probe(probing) => {
                    let pause_ms = probing.due_ms - now_ms;
                    prop_assert!(pause_ms >= former_ms || probing.due_ms == u64::MAX, "{} after {}", pause_ms, former_ms);
                    (now_ms, former_ms, asked) = (probing.due_ms, pause_ms, asked + 1);
                    row.state = RowState::Probing(probing);
                }
            }
            prop_assert!(asked <= probes.max(1), "{} probes of {}", asked, probes);
        }
    }
}
