//! What the decisions become with ractor's actors. The clock is tokio's, and stands still unless everybody waits.

use std::{future::ready, sync::Arc, time::Duration};

use parking_lot::Mutex;
use ractor::{Actor, ActorCell, ActorStatus};

use super::worker::{Log, Order, Worker};
use crate::durable::supervision::{
    Backoff, ChildSpec, Error, Exit, Happened, Kind, Observer, Policy, Report, Restart, Setup, Shutdown, Status,
    Strategy, Supervisor,
};

const LONG: Duration = Duration::from_secs(600);

fn setup(strategy: Strategy) -> Setup {
    Setup::new("top", Policy::new(strategy).backoff(Backoff::NONE))
}

fn worker(id: &str, log: &Log) -> ChildSpec {
    let (name, log) = (id.to_owned(), log.clone());
    ChildSpec::new(id, move |supervisor| {
        let (name, log) = (name.clone(), log.clone());
        async move { Worker::start(&name, supervisor, false, &log).await }
    })
}

fn stubborn(id: &str, log: &Log) -> ChildSpec {
    let (name, log) = (id.to_owned(), log.clone());
    ChildSpec::new(id, move |supervisor| {
        let (name, log) = (name.clone(), log.clone());
        async move { Worker::start(&name, supervisor, true, &log).await }
    })
}

async fn cell(supervisor: &Supervisor, id: &str) -> ActorCell {
    let children = supervisor.which_children().await.unwrap();
    children.into_iter().find(|child| &*child.id == id).and_then(|child| child.cell).expect("it is up")
}

async fn order(supervisor: &Supervisor, id: &str, order: Order) {
    cell(supervisor, id).await.send_message(order).unwrap();
    settle().await;
}

/// With the clock standing still, this returns when nobody has anything to do.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn taken(log: &Log) -> String {
    std::mem::take(&mut *log.lock()).join(", ")
}

fn heard() -> (Arc<Mutex<Vec<Happened>>>, Observer) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = heard.clone();
    (heard, Arc::new(move |report: Report| sink.lock().push(report.happened)))
}

#[tokio::test(start_paused = true)]
async fn children_start_in_order_and_end_in_reverse_by_their_own_post_stop() {
    let log = Log::default();
    let setup = ["a", "b", "c"].iter().fold(setup(Strategy::OneForOne), |setup, id| setup.child(worker(id, &log)));
    let top = Supervisor::start(setup).await.unwrap();
    assert_eq!(taken(&log), "start a, start b, start c");
    assert_eq!(top.count().await.unwrap().active, 3);
    top.shutdown(LONG).await.unwrap();
    assert_eq!(taken(&log), "end c, end b, end a");
    assert_eq!(top.which_children().await.unwrap_err(), Error::Ended);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_is_stopped_without_a_word_still_ends_its_children_first() {
    let log = Log::default();
    let setup = setup(Strategy::RestForOne).child(worker("a", &log)).child(worker("b", &log));
    let top = Supervisor::start(setup).await.unwrap();
    taken(&log);
    top.cell().stop_and_wait(None, None).await.unwrap();
    assert_eq!(taken(&log), "end b, end a");
}

#[tokio::test(start_paused = true)]
async fn a_panic_restarts_the_child_as_another_actor() {
    let log = Log::default();
    let top = Supervisor::start(setup(Strategy::OneForOne).child(worker("a", &log))).await.unwrap();
    let former = cell(&top, "a").await;
    order(&top, "a", Order::Panic).await;
    let child = &top.which_children().await.unwrap()[0];
    assert_eq!((child.status, child.restarts), (Status::Up, 1));
    assert_ne!(child.cell.as_ref().unwrap().get_id(), former.get_id());
    top.shutdown(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_killed_transient_child_is_restarted_and_a_stopped_one_is_not() {
    let log = Log::default();
    let child = |id| worker(id, &log).restart(Restart::Transient);
    let top = Supervisor::start(setup(Strategy::OneForOne).child(child("k")).child(child("s"))).await.unwrap();
    cell(&top, "k").await.kill();
    order(&top, "s", Order::Stop(Some("done"))).await;
    let statuses: Vec<_> = top.which_children().await.unwrap().iter().map(|child| child.status).collect();
    assert_eq!(statuses, [Status::Up, Status::Down]);
    top.shutdown(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_passivated_child_is_not_restarted_and_counts_for_nothing() {
    let log = Log::default();
    let setup = Setup::new("top", Policy::default().intensity(0, LONG)).child(worker("a", &log));
    let top = Supervisor::start(setup).await.unwrap();
    order(&top, "a", Order::Stop(Some(super::super::PASSIVATED))).await;
    assert_eq!(top.which_children().await.unwrap()[0].status, Status::Down);
    top.restart_child("a").await.unwrap();
    order(&top, "a", Order::Stop(Some(super::super::FENCED))).await;
    assert_eq!(top.count().await.unwrap().active, 0);
    top.shutdown(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_child_that_ignores_its_end_is_killed_at_its_deadline() {
    let log = Log::default();
    let slow = stubborn("b", &log).within(Duration::from_secs(7));
    let setup = setup(Strategy::OneForOne).child(worker("a", &log)).child(slow).child(worker("c", &log));
    let top = Supervisor::start(setup).await.unwrap();
    taken(&log);
    let began = tokio::time::Instant::now();
    top.shutdown(LONG).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 7);
    assert_eq!(taken(&log), "end c, end a");
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_answers_while_a_child_takes_its_time_to_end() {
    let log = Log::default();
    let setup = setup(Strategy::OneForOne).child(stubborn("a", &log)).child(worker("b", &log));
    let top = Supervisor::start(setup).await.unwrap();
    let began = tokio::time::Instant::now();
    let (ended, (), seen) = tokio::join!(top.terminate_child("a"), settle(), async {
        settle().await;
        order(&top, "b", Order::Crash).await;
        (began.elapsed(), top.which_children().await.unwrap())
    });
    ended.unwrap();
    assert!(seen.0 < Duration::from_secs(1));
    assert_eq!((seen.1[0].status, seen.1[1].status), (Status::Ending, Status::Up));
    assert_eq!(seen.1[1].restarts, 1);
    assert_eq!(began.elapsed().as_secs(), 5);
    top.shutdown(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_for_all_waits_for_the_end_of_a_sibling_before_it_starts_another() {
    let log = Log::default();
    let setup = setup(Strategy::OneForAll).child(worker("a", &log)).child(stubborn("b", &log));
    let top = Supervisor::start(setup).await.unwrap();
    let former = cell(&top, "b").await;
    taken(&log);
    order(&top, "a", Order::Crash).await;
    assert_eq!((taken(&log), former.get_status()), (String::new(), ActorStatus::Stopping));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((taken(&log), former.get_status()), ("start a, start b".to_owned(), ActorStatus::Stopped));
    top.shutdown(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn restarts_wait_for_the_back_off() {
    let log = Log::default();
    let backoff = Backoff { base: Duration::from_secs(8), max: LONG, seed: 1 };
    let policy = Policy::default().backoff(backoff);
    let top = Supervisor::start(Setup::new("top", policy).child(worker("a", &log))).await.unwrap();
    order(&top, "a", Order::Crash).await;
    order(&top, "a", Order::Crash).await;
    assert_eq!(top.which_children().await.unwrap()[0].status, Status::Restarting);
    tokio::time::sleep(backoff.delay(2, "a")).await;
    assert_eq!(top.which_children().await.unwrap()[0].status, Status::Up);
    top.shutdown(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_escalates_ends_its_children_in_reverse_and_then_itself() {
    let log = Log::default();
    let policy = Policy::default().intensity(0, LONG);
    let setup = ["a", "b", "c"].iter().fold(Setup::new("top", policy), |setup, id| setup.child(worker(id, &log)));
    let top = Supervisor::start(setup).await.unwrap();
    taken(&log);
    order(&top, "b", Order::Crash).await;
    assert_eq!(taken(&log), "end c, end a");
    assert_eq!(top.cell().get_status(), ActorStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn an_escalation_goes_up_until_somebody_bears_it() {
    let log = Log::default();
    let nested = |name: &str, restarts| Setup::new(name, Policy::default().intensity(restarts, LONG));
    let inner = nested("inner", 0).child(worker("x", &log));
    let middle = nested("middle", 0).child(worker("y", &log)).child(inner.into_child());
    let top = nested("top", 1).child(middle.into_child()).child(worker("z", &log));
    let top = Supervisor::start(top).await.unwrap();
    taken(&log);
    let middle = Supervisor::of(cell(&top, "middle").await).unwrap();
    let inner = Supervisor::of(cell(&middle, "inner").await).unwrap();
    order(&inner, "x", Order::Crash).await;
    assert_eq!(taken(&log), "end y, start y, start x");
    assert_eq!(top.which_children().await.unwrap()[0].restarts, 1);
    top.shutdown(LONG).await.unwrap();
    assert_eq!(taken(&log), "end z, end x, end y");
}

#[tokio::test(start_paused = true)]
async fn a_nested_supervisor_is_told_from_a_worker() {
    let log = Log::default();
    let inner = Setup::new("inner", Policy::default()).into_child();
    let top = Supervisor::start(setup(Strategy::OneForOne).child(inner).child(worker("w", &log))).await.unwrap();
    assert!(Supervisor::of(cell(&top, "inner").await).is_some());
    assert!(Supervisor::of(cell(&top, "w").await).is_none());
    let kinds: Vec<_> = top.which_children().await.unwrap().iter().map(|child| child.kind).collect();
    assert_eq!(kinds, [Kind::Supervisor, Kind::Worker]);
    top.shutdown(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_killed_supervisor_takes_its_children_along_and_is_restarted_with_them() {
    let log = Log::default();
    let inner = Setup::new("inner", Policy::default()).child(worker("x", &log)).into_child();
    let top = Supervisor::start(setup(Strategy::OneForOne).child(inner)).await.unwrap();
    let former = cell(&Supervisor::of(cell(&top, "inner").await).unwrap(), "x").await;
    cell(&top, "inner").await.kill();
    settle().await;
    assert_eq!(former.get_status(), ActorStatus::Stopped);
    let inner = Supervisor::of(cell(&top, "inner").await).unwrap();
    assert_eq!(inner.count().await.unwrap().active, 1);
    top.shutdown(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn when_a_child_does_not_start_neither_does_its_supervisor() {
    let log = Log::default();
    let broken = ChildSpec::new("b", |_| ready(Err("no disk".into())));
    let failed = Supervisor::start(setup(Strategy::OneForOne).child(worker("a", &log)).child(broken)).await;
    assert!(failed.unwrap_err().to_string().contains("b did not start: no disk"));
    assert_eq!(taken(&log), "start a, end a");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_panics_is_a_failed_start() {
    let top = Supervisor::start(setup(Strategy::OneForOne)).await.unwrap();
    let at_once = ChildSpec::new("p", |_| -> std::future::Ready<_> { panic!("no future") });
    let later = ChildSpec::new("q", |_| async { panic!("no child") });
    for spec in [at_once, later] {
        assert!(matches!(top.start_child(spec).await, Err(Error::StartFailed { .. })));
    }
    assert_eq!(top.which_children().await.unwrap().len(), 0);
    top.shutdown(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failed_pre_start_is_a_failed_start_though_ractor_tells_nobody() {
    let (heard, observer) = heard();
    let starts = Arc::new(Mutex::new(0));
    let log = Log::default();
    let spec = ChildSpec::new("a", move |supervisor: ActorCell| {
        *starts.lock() += 1;
        let (nth, log) = (*starts.lock(), log.clone());
        async move {
            match nth {
                2 => Ok(Actor::spawn_linked(None, Unstartable, (), supervisor).await?.0.get_cell()),
                _ => Worker::start("a", supervisor, false, &log).await,
            }
        }
    });
    let top = Supervisor::start(setup(Strategy::OneForOne).child(spec).observer(observer)).await.unwrap();
    order(&top, "a", Order::Crash).await;
    assert_eq!(top.which_children().await.unwrap()[0].restarts, 2);
    assert!(heard.lock().iter().any(|happened| matches!(happened, Happened::StartFailed { .. })));
    top.shutdown(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_child_that_never_starts_does_not_keep_its_supervisor_from_anything_else() {
    let log = Log::default();
    let policy = Policy::default().backoff(Backoff::NONE).intensity(u32::MAX, LONG);
    let top = Supervisor::start(Setup::new("top", policy).child(fails_after_first("a", &log))).await.unwrap();
    cell(&top, "a").await.send_message(Order::Crash).unwrap();
    while top.which_children().await.unwrap()[0].restarts < 100 {}
    top.start_child(worker("b", &log)).await.unwrap();
    top.terminate_child("a").await.unwrap();
    assert_eq!(top.count().await.unwrap().active, 1);
    top.shutdown(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_can_be_ended_while_a_child_keeps_failing_to_start() {
    let log = Log::default();
    let policy = Policy::default().backoff(Backoff::NONE).intensity(u32::MAX, LONG);
    let top = Supervisor::start(Setup::new("top", policy).child(fails_after_first("a", &log))).await.unwrap();
    cell(&top, "a").await.send_message(Order::Crash).unwrap();
    while top.which_children().await.unwrap()[0].restarts < 100 {}
    top.shutdown(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_child_that_forgot_to_link_is_linked_and_one_that_is_gone_is_noticed() {
    let (log, (heard, observer)) = (Log::default(), heard());
    let unlinked = ChildSpec::new("u", |_| async {
        let (actor, _) = Actor::spawn(None, Quiet, ()).await?;
        Ok(actor.get_cell())
    });
    let gone = ChildSpec::new("g", |_| async {
        let (actor, _) = Actor::spawn(None, Quiet, ()).await?;
        actor.kill_and_wait(None).await?;
        Ok(actor.get_cell())
    });
    let setup = setup(Strategy::OneForOne).child(worker("a", &log)).observer(observer);
    let top = Supervisor::start(setup.child(unlinked).child(gone.restart(Restart::Temporary))).await.unwrap();
    cell(&top, "u").await.kill();
    settle().await;
    let ids: Vec<_> =
        top.which_children().await.unwrap().iter().map(|child| (child.id.to_string(), child.restarts)).collect();
    assert_eq!(ids, [("a".to_owned(), 0), ("u".to_owned(), 1)]);
    let lost = |happened: &Happened| matches!(happened, Happened::Exited { exit: Exit::Failed(_) });
    assert!(heard.lock().iter().any(lost));
    top.shutdown(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn five_runs_crash_at_once_and_the_sixth_does_not_die() {
    let log = Log::default();
    let runs = Supervisor::start(setup(Strategy::Dynamic)).await.unwrap();
    for id in ["1", "2", "3", "4", "5", "6"] {
        runs.start_child(worker(id, &log)).await.unwrap();
    }
    let sixth = cell(&runs, "6").await;
    for id in ["1", "2", "3", "4", "5"] {
        cell(&runs, id).await.send_message(Order::Crash).unwrap();
    }
    settle().await;
    assert_eq!((runs.count().await.unwrap().active, sixth.get_status()), (6, ActorStatus::Running));
    runs.shutdown(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dynamic_supervisor_ends_ten_thousand_children_in_the_time_of_one() {
    let log = Log::default();
    let runs = Supervisor::start(setup(Strategy::Dynamic)).await.unwrap();
    for id in 0..10_000 {
        runs.start_child(stubborn(&id.to_string(), &log)).await.unwrap();
    }
    let began = tokio::time::Instant::now();
    runs.shutdown(LONG).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_does_not_end_the_supervisor() {
    let log = Log::default();
    let observer = Arc::new(|_: Report| panic!("a broken observer"));
    let top = Supervisor::start(setup(Strategy::OneForOne).child(worker("a", &log)).observer(observer)).await.unwrap();
    order(&top, "a", Order::Crash).await;
    assert_eq!(top.count().await.unwrap().active, 1);
    top.shutdown(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_observer_hears_starts_exits_restarts_and_the_escalation() {
    let (log, (heard, observer)) = (Log::default(), heard());
    let policy = Policy::default().intensity(1, LONG);
    let top = Supervisor::start(Setup::new("top", policy).child(worker("a", &log)).observer(observer)).await.unwrap();
    order(&top, "a", Order::Crash).await;
    order(&top, "a", Order::Crash).await;
    let failed = || Happened::Exited { exit: Exit::Failed("it crashed".to_owned()) };
    let reason = || "failed: it crashed".to_owned();
    let expected = [
        Happened::Started { incarnation: 1 },
        failed(),
        Happened::Restarting { times: 1, after: Duration::ZERO, reason: reason() },
        Happened::Started { incarnation: 2 },
        failed(),
        Happened::Escalated { ends_supervisor: true, reason: reason() },
    ];
    assert_eq!(*heard.lock(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_misses_its_deadline_is_killed_with_its_children() {
    let log = Log::default();
    let for_ever = stubborn("a", &log).shutdown(Shutdown::Infinity);
    let top = Supervisor::start(setup(Strategy::OneForOne).child(for_ever)).await.unwrap();
    let child = cell(&top, "a").await;
    assert_eq!(top.shutdown(Duration::from_secs(3)).await, Err(Error::Killed));
    settle().await;
    assert_eq!((top.cell().get_status(), child.get_status()), (ActorStatus::Stopped, ActorStatus::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_nested_supervisor_that_is_killed_at_its_deadline_leaves_no_child_behind() {
    let log = Log::default();
    let inner = setup(Strategy::OneForOne).child(stubborn("x", &log).shutdown(Shutdown::Infinity)).into_child();
    let top = Supervisor::start(Setup::new("root", Policy::default()).child(inner.within(LONG / 2))).await.unwrap();
    let stuck = cell(&Supervisor::of(cell(&top, "top").await).unwrap(), "x").await;
    top.shutdown(LONG).await.unwrap();
    settle().await;
    assert_eq!(stuck.get_status(), ActorStatus::Stopped);
}

/// Starts once, and never again.
fn fails_after_first(id: &str, log: &Log) -> ChildSpec {
    let (name, log, started) = (id.to_owned(), log.clone(), Arc::new(Mutex::new(false)));
    ChildSpec::new(id, move |supervisor| {
        let (name, log) = (name.clone(), log.clone());
        let was_started = std::mem::replace(&mut *started.lock(), true);
        async move {
            if was_started {
                return Err("never again".into());
            }
            Worker::start(&name, supervisor, false, &log).await
        }
    })
}

struct Unstartable;

impl Actor for Unstartable {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ractor::ActorRef<()>, (): ()) -> Result<(), ractor::ActorProcessingErr> {
        Err("it cannot start".into())
    }
}

struct Quiet;

impl Actor for Quiet {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ractor::ActorRef<()>, (): ()) -> Result<(), ractor::ActorProcessingErr> {
        Ok(())
    }
}
