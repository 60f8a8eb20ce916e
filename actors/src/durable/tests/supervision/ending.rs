//! Temporary children: the death of their host is their end.

use super::*;

const ONE: [Care; 2] = [Care::TEMPORARY, Care::TRANSIENT];

#[tokio::test]
async fn a_temporary_child_whose_host_dies_is_ended_and_its_owner_told() {
    let firm = Firm::<OneForAll>::new(&ONE).await;
    let (child, before) = (firm.child(0).await, firm.activations().await);
    firm.burn(0, 1).await;
    let fates = firm.fates(1).await;
    assert!(fates[0].starts_with("ended 0: it is temporary, and its host died: "), "{fates:?}");
    assert!(firm.is_gone(child.id).await);
    assert_eq!(firm.activations().await[1], before[1], "nobody is loaded again for it");
    let letters = firm.letters().await;
    assert_eq!(letters.len(), 1, "the message that it died of");
    assert!(letters[0].to == child.id && letters[0].reason.contains("the fuse burns"), "{letters:?}");
    let refused = firm.system.ask(child, Task::Look, SOON).await;
    assert!(matches!(refused, Err(SendError::Rejected(_))), "{refused:?}");
    assert!(firm.system.ledger().verify().unwrap().problems.is_empty());
}

#[tokio::test]
async fn a_temporary_child_that_is_killed_is_ended_with_its_mail_among_the_dead_letters() {
    let firm = Firm::<OneForOne>::new(&ONE).await;
    let child = firm.child(0).await;
    assert!(firm.system.kill_host(child.id));
    let fates = firm.fates(1).await;
    assert_eq!(fates, ["ended 0: it is temporary, and its host died: it was killed"]);
    assert!(firm.is_gone(child.id).await && firm.letters().await.is_empty());
    firm.tell(0, Task::Work(1)).await;
    assert!(firm.letters().await[0].reason.starts_with("late"));
}

#[tokio::test]
async fn a_temporary_child_ends_with_everything_below_it() {
    let firm = Firm::<OneForOne>::new(&ONE).await;
    firm.tell(0, Task::Hire).await;
    firm.tell(0, Task::Hire).await;
    let below = eventually(async || {
        let children = firm.look(0).await.children;
        (children.len() == 2).then_some(children)
    })
    .await;
    firm.burn(0, 1).await;
    firm.fates(1).await;
    for actor in below {
        assert!(firm.is_gone(actor).await);
    }
    assert_eq!(firm.look(1).await.total, 1);
    assert_eq!(firm.system.census().await.unwrap().actors, 2, "the owner and the other child");
}

#[tokio::test]
async fn a_temporary_child_is_ended_once_its_calls_and_those_below_it_have_their_outcome() {
    let firm = Firm::<OneForOne>::new(&ONE).await;
    firm.tell(0, Task::Hire).await;
    let below = eventually(async || firm.look(0).await.children.first().copied()).await;
    firm.tell(0, Task::Call).await;
    firm.system.tell(Address::<Worker>::new(below), Task::Call).await.unwrap();
    until_true(async || firm.calls.load(Ordering::SeqCst) == 2).await;
    firm.burn(0, 1).await;
    // The tool hears a cancel, and only then answers.
    firm.fates(1).await;
    assert!(firm.is_gone(below).await);
    assert_eq!(firm.system.figures().calls, 0);
    assert_eq!(firm.system.figures().late_answers, 0, "every call has its one outcome");
}

/// The process dies while a child that is being ended waits for a call.
#[tokio::test]
async fn a_child_that_is_being_ended_is_ended_by_the_next_life() {
    struct Deaf(Arc<AtomicU32>);
    impl Tool for Deaf {
        async fn call(&self, cx: &CallContext, _: Json) -> Outcome {
            if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
                return std::future::pending().await;
            }
            cx.cancelled().await;
            Outcome::unknown("cancelled", "was asked to stop")
        }
    }
    let deaf = |firm: &Arc<AtomicU32>| Arc::new(Deaf(firm.clone()));
    let (store, fuse, calls) = (Memory::new(), Arc::new(Fuse::default()), Arc::new(AtomicU32::new(0)));
    let builder = || {
        let builder = System::builder().behavior::<Worker>().behavior::<Owner<OneForOne>>();
        builder.extension(fuse.clone()).tool("slow", deaf(&calls))
    };
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    let owner = system.spawn::<Owner<OneForOne>>("owner", &Order::Begin).await.unwrap();
    system.tell(owner, Order::Hire(Care::TEMPORARY)).await.unwrap();
    let firm = Firm { store, system, owner, fuse: fuse.clone(), calls: calls.clone() };
    firm.tell(0, Task::Call).await;
    until_true(async || calls.load(Ordering::SeqCst) == 1).await;
    let child = firm.child(0).await;
    firm.burn(0, 1).await;
    let is_ending = async || {
        let row = firm.system.actor(child.id).await.unwrap();
        row.is_some_and(|row| row.supervised.is_ending)
    };
    until_true(is_ending).await;
    let refused = firm.system.resume_actor(child.id).await;
    assert!(matches!(refused, Err(Error::Missing(_))), "it is not to run again: {refused:?}");
    let firm = Firm { system: builder().start(Arc::new(firm.store.reopen())).await.unwrap(), ..firm };
    let fates = firm.fates(1).await;
    assert!(fates[0].starts_with("ended 0: it is temporary"), "{fates:?}");
    assert!(firm.is_gone(child.id).await);
}

#[tokio::test]
async fn how_a_child_is_looked_after_survives_the_process_and_passivation() {
    let folder = tempfile::tempdir().unwrap();
    let store = || {
        use crate::durable::store::{Durability, Local, LocalOptions};
        let options = LocalOptions { durability: Durability::Process, ..LocalOptions::default() };
        Arc::new(Local::open(folder.path(), options).unwrap())
    };
    let (fuse, calls) = (Arc::new(Fuse::default()), Arc::new(AtomicU32::new(0)));
    let start = async || {
        let builder = firm_builder::<OneForOne>(&fuse, &calls).passivate(Duration::from_millis(20), 1_000);
        builder.start(store()).await.unwrap()
    };
    let system = start().await;
    let owner = system.spawn::<Owner<OneForOne>>("owner", &Order::Begin).await.unwrap();
    for care in ONE {
        system.tell(owner, Order::Hire(care)).await.unwrap();
    }
    let firm = Firm { store: Memory::new(), system, owner, fuse: fuse.clone(), calls: calls.clone() };
    let child = firm.child(0).await;
    // Asleep, and read from its row; then in another life.
    until_true(async || {
        firm.system.checkpoint(SOON).await.unwrap();
        firm.system.census().await.unwrap().in_memory == 0
    })
    .await;
    assert_eq!(firm.look(0).await.total, 1, "its host ended with passivation, and it did not");
    firm.system.stop(SOON).await;
    let Firm { system, .. } = firm;
    drop(system);
    let firm = Firm { store: Memory::new(), system: start().await, owner, fuse: fuse.clone(), calls };
    assert_eq!(firm.look(0).await.total, 1, "the end of the process is the death of no host");
    firm.burn(0, 1).await;
    firm.fates(1).await;
    assert!(firm.is_gone(child.id).await);
    assert_eq!(firm.look(1).await.total, 1);
    firm.system.stop(SOON).await;
}

#[tokio::test]
async fn an_actor_that_finishes_leaves_no_child_behind_and_its_mail_is_nobodys() {
    let firm = Firm::<OneForOne>::new(&[Care::TRANSIENT; 2]).await;
    // Both are in the mailbox before either is taken.
    let leaver = firm.child(1).await;
    let (retired, late) = tokio::join!(firm.system.tell(leaver, Task::Retire), firm.system.tell(leaver, Task::Work(1)));
    retired.and(late).unwrap();
    until_true(async || firm.is_gone(leaver.id).await).await;
    firm.tell(0, Task::Hire).await;
    firm.tell(0, Task::Retire).await;
    let fates = firm.fates(1).await;
    assert!(fates[0].starts_with("poisoned 0:") && fates[0].contains("with 1 children"), "{fates:?}");
    assert_eq!(firm.look(0).await.children.len(), 1, "it is still there, and so is its child");
}
