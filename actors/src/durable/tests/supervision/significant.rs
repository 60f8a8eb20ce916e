//! Significant children: owners that end with them.

use super::*;

const SIGNIFICANT: Care = Care::TRANSIENT.significant();

/// A root with a child that owns significant ones and ends with the first of them.
async fn dynasty() -> (Firm<OneForOne>, Address<Owner<Any>>) {
    let firm = Firm::<OneForOne>::new(&[]).await;
    firm.system.tell(firm.owner, Order::Found).await.unwrap();
    let heir = Address::new(firm.owned().await.children[0]);
    (firm, heir)
}

async fn children(firm: &Firm<OneForOne>, heir: Address<Owner<Any>>) -> Vec<ActorId> {
    firm.system.ask(heir, Order::Look, SOON).await.unwrap().children
}

#[tokio::test]
async fn any_significant_ends_an_owner_with_its_first_significant_child_and_all_its_children() {
    let (firm, heir) = dynasty().await;
    for care in [SIGNIFICANT, Care::TRANSIENT, SIGNIFICANT] {
        firm.system.tell(heir, Order::Hire(care)).await.unwrap();
    }
    let children = children(&firm, heir).await;
    // One that is not significant may go.
    firm.system.tell(Address::<Worker>::new(children[1]), Task::Retire).await.unwrap();
    until_true(async || firm.is_gone(children[1]).await).await;
    assert!(!firm.is_gone(heir.id).await);
    firm.system.tell(Address::<Worker>::new(children[0]), Task::Retire).await.unwrap();
    let fates = firm.fates(1).await;
    assert_eq!(fates, [format!("ended 0: it ends with its significant child {}", children[0])]);
    assert!(firm.is_gone(heir.id).await && firm.is_gone(children[2]).await);
    assert_eq!(firm.system.census().await.unwrap().actors, 1);
}

#[tokio::test]
async fn all_significant_ends_an_owner_with_its_last_significant_child() {
    let temporary = Care::TEMPORARY.significant();
    let firm = Firm::<All>::new(&[SIGNIFICANT, temporary, Care::TRANSIENT]).await;
    let children = firm.owned().await.children;
    firm.tell(0, Task::Retire).await;
    until_true(async || firm.is_gone(children[0]).await).await;
    assert_eq!(firm.look(2).await.total, 1, "one is left");
    // How many there are is in the owner's row.
    let firm = firm.reborn().await;
    firm.burn(1, 1).await;
    until_true(async || firm.is_gone(firm.owner.id).await).await;
    assert_eq!(firm.system.census().await.unwrap().actors, 0);
}

#[tokio::test]
async fn a_significant_child_that_is_loaded_again_has_not_ended() {
    let firm = Firm::<Any>::new(&[SIGNIFICANT]).await;
    firm.burn(0, 1).await;
    until_true(async || firm.look(0).await.total == 1_001).await;
    assert!(firm.system.kill_host(firm.child(0).await.id));
    assert_eq!(firm.look(0).await.total, 1_001);
}

#[tokio::test]
async fn significance_means_nothing_to_an_owner_that_never_shuts_down_by_itself() {
    let firm = Firm::<OneForOne>::new(&[SIGNIFICANT]).await;
    let child = firm.child(0).await.id;
    firm.tell(0, Task::Retire).await;
    until_true(async || firm.is_gone(child).await).await;
    assert!(firm.owned().await.fates.is_empty());
}
