//! Layers say what their changes say one after the other, and so does the base that is made of them.

use proptest::prelude::*;

use super::*;
use crate::durable::{
    id::StreamId,
    journal::sim::SimDisk,
    live::Live,
    record::{Op, Record},
    store::local::parts::{self, testing},
};

type Model = BTreeMap<Bytes, Bytes>;

const STORE: u64 = 7;

fn meta() -> Bytes {
    Live::default().meta()
}

/// Index rows, so that no id is above the highest.
fn change() -> impl Strategy<Value = (Bytes, Option<Bytes>)> {
    let value = prop_oneof![
        1 => Just(None),
        2 => prop::collection::vec(any::<u8>(), 0..3).prop_map(Some),
        1 => (30_000..70_000_usize).prop_map(|len| Some(vec![5; len])),
    ];
    (0..12_u8, value).prop_map(|(key, value)| (stored::index_key(&[key]), value.map(Bytes::from)))
}

fn changes() -> impl Strategy<Value = Changes> {
    prop::collection::vec(change(), 0..8).prop_map(Changes::from_iter)
}

fn apply(model: &mut Model, changes: &Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => _ = model.insert(key.clone(), value.clone()),
            None => _ = model.remove(key),
        }
    }
}

fn scanned(rows: &dyn Rows, from: &[u8], to: &[u8]) -> Model {
    let mut found = Model::new();
    let mut visit = |key: &[u8], value| found.insert(Bytes::copy_from_slice(key), value).is_none();
    rows.scan(from, to, &mut visit).unwrap();
    found
}

fn header(to: u64) -> base::Header {
    base::Header { store: STORE, sequence: Sequence(to), meta: meta().to_vec() }
}

fn write(disk: &SimDisk, folder: &Path, layers: &Layers<'_>, to: u64, changes: Changes) -> Base {
    let draft = base::draft(folder, Sequence(to));
    layers.write(&draft, &header(to), changes, &|| true).unwrap().unwrap();
    Base::open(disk, &base::publish(disk, folder, &draft, Sequence(to)).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn layers_and_the_base_of_them_say_what_all_changes_say(
        of_base in prop::option::of(changes()),
        aside in prop::collection::vec(changes(), 0..4),
        last in changes(),
    ) {
        let (disk, mut model) = (SimDisk::default(), Model::new());
        let folder = testing::folder(&disk, "base");
        let base = of_base.map(|changes| {
            apply(&mut model, &changes);
            write(&disk, &folder, &Layers::over(&disk, &folder, STORE, None).unwrap(), 1, changes)
        });
        let mut layers = Layers::over(&disk, &folder, STORE, base).unwrap();
        for (changes, to) in aside.iter().zip(2..) {
            apply(&mut model, changes);
            layers.put_aside(Sequence(to), changes.clone(), &meta(), &|| true).unwrap();
            prop_assert_eq!(layers.sequence(), Sequence(to));
            for key in (0..12_u8).map(|key| stored::index_key(&[key])) {
                prop_assert_eq!(layers.get(&key).unwrap(), model.get(&key).cloned());
            }
            prop_assert_eq!(&scanned(&layers, &[], &[0xFF]), &model);
            let (from, to) = (stored::index_key(&[3]), stored::index_key(&[7]));
            let some: Model = model.range(from.clone()..to.clone()).map(|(key, value)| (key.clone(), value.clone())).collect();
            prop_assert_eq!(scanned(&layers, &from, &to), some);
        }
        apply(&mut model, &last);
        let made = write(&disk, &folder, &layers, 9, last);
        layers.clear().unwrap();
        prop_assert_eq!(base::leftovers(&disk, &folder).unwrap(), Vec::<PathBuf>::new());
        let there = Image::over(made).unwrap();
        prop_assert_eq!(scanned(&there, &[], &[0xFF]), model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Blocks that nothing changed are taken as they are, and do not become many small ones on the way.
    #[test]
    fn a_base_that_is_made_again_and_again_with_few_changes_keeps_its_rows_and_its_shape(
        rounds in prop::collection::vec(
            prop::collection::vec((0..6_000_u64, prop::option::weighted(0.8, 0..300_usize)), 0..12),
            1..40,
        ),
    ) {
        let (disk, mut model) = (SimDisk::default(), Model::new());
        let folder = testing::folder(&disk, "base");
        let change = |(number, len): (u64, Option<usize>)| {
            (stored::index_key(&number.to_be_bytes()), len.map(|len| Bytes::from(vec![7; len])))
        };
        let first = (0..6_000).step_by(2).map(|number| (number, Some(100))).collect::<Vec<_>>();
        let mut base = None;
        for (round, to) in [first].into_iter().chain(rounds).zip(1..) {
            let changes: Changes = round.into_iter().map(change).collect();
            apply(&mut model, &changes);
            let made = write(&disk, &folder, &Layers::over(&disk, &folder, STORE, base.take()).unwrap(), to, changes);
            let (rows, bytes) = (made.verify().unwrap().rows, made.summary().bytes);
            prop_assert_eq!(rows, model.len() as u64);
            let most = 4 * usize::try_from(bytes).unwrap() / parts::PART + 2;
            prop_assert!(made.blocks() <= most, "{} blocks for {} bytes after {}", made.blocks(), bytes, to);
            base = Some(made);
        }
        prop_assert_eq!(scanned(&Image::over(base.unwrap()).unwrap(), &[], &[0xFF]), model);
    }
}

/// What a crash leaves of rows put aside is found by whoever makes the next base, and by nobody else.
#[test]
fn what_is_put_aside_is_a_draft_and_no_base() {
    let disk = SimDisk::default();
    let folder = testing::folder(&disk, "base");
    let mut layers = Layers::over(&disk, &folder, STORE, None).unwrap();
    layers.put_aside(Sequence(5), Changes::new(), &meta(), &|| true).unwrap();
    assert_eq!(base::leftovers(&disk, &folder).unwrap(), [base::aside(&folder, Sequence(5))]);
    assert_eq!(base::list(&disk, &folder).unwrap(), []);
}

/// Half a file on a full disk is room that others need.
#[test]
fn what_found_no_room_leaves_nothing() {
    for step in 1.. {
        let disk = SimDisk::default();
        let folder = testing::folder(&disk, "base");
        let mut layers = Layers::over(&disk, &folder, STORE, None).unwrap();
        let changes: Changes = (0..9).map(|key| (stored::index_key(&[key]), Some(vec![7; 40_000].into()))).collect();
        disk.fail_at(disk.steps() + step, 28);
        match layers.put_aside(Sequence(5), changes, &meta(), &|| true) {
            Err(error) => assert!(matches!(error, Error::Io { .. }), "{error}"),
            Ok(whole) => {
                assert!(whole && step > 3, "{step}");
                return;
            }
        }
        assert_eq!(base::leftovers(&disk, &folder).unwrap(), Vec::<PathBuf>::new(), "step {step}");
    }
}

/// Whoever is told to stop leaves nothing, either.
#[test]
fn what_is_stopped_leaves_nothing() {
    let disk = SimDisk::default();
    let folder = testing::folder(&disk, "base");
    let mut layers = Layers::over(&disk, &folder, STORE, None).unwrap();
    let changes = || Changes::from([(stored::index_key(b"a"), None)]);
    assert!(!layers.put_aside(Sequence(5), changes(), &meta(), &|| false).unwrap());
    assert_eq!(layers.sequence(), Sequence(0));
    assert!(layers.write(&base::draft(&folder, Sequence(5)), &header(5), changes(), &|| false).unwrap().is_none());
    assert_eq!(base::leftovers(&disk, &folder).unwrap(), [base::draft(&folder, Sequence(5))], "its maker removes it");
}

/// A base once kept the entry of every timer that an actor had set before the base before, and cleared after it.
#[test]
fn a_timer_that_was_cleared_leaves_nothing_in_the_next_base() {
    let (disk, actor) = (SimDisk::default(), ActorId(0x100));
    let folder = testing::folder(&disk, "base");
    let record = |ops| Record { base_ms: 1_000, ops, heads: Vec::new() };
    let spawn = Op::Spawn { actor, kind: 7, parent: ActorId::ENGINE, stream: StreamId(actor.0) };
    let records = [
        record(vec![spawn, Op::Timer { actor, name: 1, generation: 1, due_ms: 9_000 }]),
        record(vec![Op::TimerGone { actor, name: 1 }]),
    ];
    let timer = stored::timer_key((9_000, actor, 1));
    let mut base = None;
    for (record, to) in records.iter().zip(1..) {
        let layers = Layers::over(&disk, &folder, STORE, base).unwrap();
        let mut live = Live::over(Some(&layers), layers.meta()).unwrap();
        live.advance(Some(&layers), Sequence(to), record).unwrap();
        let mut capture = live.begin_capture();
        while live.capture(&mut capture, 100) {}
        let header = base::Header { meta: live.meta().to_vec(), ..header(to) };
        let draft = base::draft(&folder, Sequence(to));
        layers.write(&draft, &header, capture.changes, &|| true).unwrap().unwrap();
        let made = Base::open(&disk, &base::publish(&disk, &folder, &draft, Sequence(to)).unwrap()).unwrap();
        assert_eq!(made.get(&timer).unwrap().is_some(), to == 1);
        assert!(made.get(&stored::actor_key(actor)).unwrap().is_some());
        base = Some(made);
    }
}
