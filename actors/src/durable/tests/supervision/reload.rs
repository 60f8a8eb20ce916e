//! Who is loaded again when a host died, when, and how often.

use super::*;
use crate::durable::{Note, What};

/// Which children are loaded again when the second one dies once.
async fn reloaded<R: Rules>(hired: &[Care], kill: bool) -> Vec<bool> {
    let firm = Firm::<R>::new(hired).await;
    let before = firm.activations().await;
    assert!(before.iter().all(Option::is_some), "everyone has a host");
    if kill {
        assert!(firm.system.kill_host(firm.child(1).await.id));
        until_true(async || firm.activations().await[1] != before[1]).await;
    } else {
        firm.burn(1, 1).await;
        until_true(async || firm.look(1).await.total == 1_001).await;
    }
    // Hosts that are to end were told so before the one that died came back.
    let expected: Vec<_> = (0..hired.len()).filter(|child| expects::<R>(*child)).collect();
    until_true(async || {
        let now = firm.activations().await;
        expected.iter().all(|child| now[*child] != before[*child])
    })
    .await;
    let changed = firm.activations().await.iter().zip(&before).map(|(now, before)| now != before).collect();
    for child in 0..hired.len() {
        assert_eq!(firm.look(child).await.total, if child == 1 && !kill { 1_001 } else { 1 }, "nothing is lost");
    }
    changed
}

fn expects<R: Rules>(child: usize) -> bool {
    match R::POLICY.strategy {
        Strategy::OneForOne | Strategy::Dynamic => child == 1,
        Strategy::OneForAll => true,
        Strategy::RestForOne => child >= 1,
    }
}

#[tokio::test]
async fn one_for_one_reloads_the_one_whose_host_died_and_nobody_else() {
    assert_eq!(reloaded::<OneForOne>(&THREE, false).await, [false, true, false]);
    assert_eq!(reloaded::<OneForOne>(&THREE, true).await, [false, true, false]);
}

#[tokio::test]
async fn one_for_all_reloads_every_child_that_has_a_host() {
    assert_eq!(reloaded::<OneForAll>(&THREE, false).await, [true, true, true]);
    assert_eq!(reloaded::<OneForAll>(&THREE, true).await, [true, true, true]);
}

#[tokio::test]
async fn rest_for_one_reloads_those_that_were_spawned_later() {
    assert_eq!(reloaded::<RestForOne>(&THREE, false).await, [false, true, true]);
    assert_eq!(reloaded::<RestForOne>(&THREE, true).await, [false, true, true]);
}

#[tokio::test]
async fn a_temporary_sibling_is_left_alone_when_others_are_loaded_again() {
    let firm = Firm::<OneForAll>::new(&[Care::TRANSIENT, Care::TRANSIENT, Care::TEMPORARY]).await;
    let before = firm.activations().await;
    firm.burn(1, 1).await;
    until_true(async || firm.activations().await[0] != before[0]).await;
    assert_eq!(firm.activations().await[2], before[2]);
    assert_eq!(firm.look(2).await.total, 1);
}

#[tokio::test]
async fn a_child_beyond_its_intensity_is_suspended_and_its_owner_told_and_nobody_else_notices() {
    let firm = Firm::<Strict>::new(&THREE).await;
    let other = firm.system.spawn::<Owner<Strict>>("other", &Order::Begin).await.unwrap();
    let before = firm.activations().await;
    firm.burn(1, 1).await;
    until_true(async || firm.look(1).await.total == 1_001).await;
    firm.burn(1, 1).await;
    let fates = firm.fates(1).await;
    assert!(fates[0].starts_with("suspended 1: escalated: it died of more than 1 messages within 3600 s"), "{fates:?}");
    let child = firm.child(1).await.id;
    assert!(firm.system.actor(child).await.unwrap().unwrap().suspended.is_some());
    let now = firm.activations().await;
    assert_eq!((now[0], now[2]), (before[0], before[2]));
    // A person lets it run again: it takes the message again, and lives.
    firm.system.resume_actor(child).await.unwrap();
    until_true(async || firm.look(1).await.total == 2_001).await;
    assert_eq!(
        firm.system.ask(other, Order::Look, SOON).await.unwrap(),
        Owned::default(),
        "nothing goes beyond the owner"
    );
}

#[tokio::test]
async fn a_kill_from_outside_counts_for_no_intensity() {
    let firm = Firm::<Strict>::new(&[Care::TRANSIENT]).await;
    for _ in 0..5 {
        let before = firm.activations().await[0];
        assert!(firm.system.kill_host(firm.child(0).await.id));
        until_true(async || firm.activations().await[0] != before).await;
        assert_eq!(firm.look(0).await.total, 1);
    }
    assert!(firm.owned().await.fates.is_empty());
}

#[tokio::test]
async fn a_declared_back_off_keeps_the_one_that_died_waiting_and_nobody_else() {
    let firm = Firm::<Slowly>::new(&THREE).await;
    let child = firm.child(1).await.id;
    // The first reload is at once, the second waits for hours.
    firm.burn(1, 2).await;
    until_true(async || firm.system.inner.directory.backs_off(child)).await;
    for child in 0..3 {
        firm.tell(child, Task::Work(1)).await;
    }
    assert_eq!((firm.look(0).await.total, firm.look(2).await.total), (2, 2));
    assert!(!firm.system.hosted().contains(&child), "mail ends no back-off");
    // It is a wait of this life.
    let firm = firm.reborn().await;
    until_true(async || firm.look(1).await.total == 1_002).await;
}

#[tokio::test]
async fn a_child_that_stops_is_not_started_again_and_its_siblings_do_not_notice() {
    let firm = Firm::<OneForAll>::new(&THREE).await;
    let (before, child) = (firm.activations().await, firm.child(1).await);
    firm.tell(1, Task::Retire).await;
    until_true(async || firm.is_gone(child.id).await).await;
    let now = firm.activations().await;
    assert_eq!((now[0], now[1], now[2]), (before[0], None, before[2]));
    assert!(firm.owned().await.fates.is_empty(), "what it has to say it says itself");
}

/// Restart notes of the owner's stream: how often, and why.
fn notes<R>(firm: &Firm<R>) -> Vec<(u64, String)> {
    let mut notes = Vec::new();
    let stream = StreamId(firm.owner.id.0);
    firm.system
        .ledger()
        .stream(stream, &mut |item| {
            if let What::Runtime(note) = item.what
                && let Ok(Note::Restarts { count, reason }) = serde_json::from_value(note)
            {
                notes.push((count, reason));
            }
            true
        })
        .unwrap();
    notes
}

/// Once only the first restart of a minute left a trace.
#[tokio::test]
async fn restarts_are_written_down_once_a_minute_with_a_count_and_survive_a_crash() {
    let clock = Arc::new(crate::clock::ManualClock::at(1_000_000));
    let firm = Firm::<OneForOne>::with(&[Care::TRANSIENT], |builder| builder.clock(clock.clone())).await;
    firm.burn(0, 3).await;
    until_true(async || firm.look(0).await.total == 1_001).await;
    assert_eq!(notes(&firm).iter().map(|(count, _)| *count).collect::<Vec<_>>(), [1]);
    clock.advance(60_000);
    until_true(async || notes(&firm).len() == 2).await;
    let firm = firm.reborn().await;
    let written = notes(&firm);
    assert_eq!(written.iter().map(|(count, _)| *count).collect::<Vec<_>>(), [1, 2]);
    assert!(written.iter().all(|(_, reason)| reason.contains("the fuse burns")), "{written:?}");
    assert!(firm.system.ledger().verify().unwrap().problems.is_empty());
}

#[tokio::test]
async fn restarts_that_were_only_counted_are_written_down_when_the_system_stops() {
    let firm = Firm::<OneForOne>::new(&[Care::TRANSIENT]).await;
    firm.burn(0, 3).await;
    until_true(async || firm.look(0).await.total == 1_001).await;
    firm.system.stop(SOON).await;
    let firm = firm.reborn().await;
    assert_eq!(notes(&firm).iter().map(|(count, _)| *count).collect::<Vec<_>>(), [1, 2]);
}
