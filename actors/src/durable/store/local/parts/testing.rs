//! What both kinds of files are put through: every flipped bit, every cut, every death.
//!
//! **Invariant:** the same story meets the same disks each time.

use std::path::Path;

use crate::durable::{
    journal::{
        disk::Disk,
        sim::{Fate, SimDisk},
    },
    store::Error,
};

const FATES: [Fate; 6] = [Fate::Kept, Fate::Lost, Fate::Pages(1), Fate::Pages(2), Fate::Sectors(3), Fate::Sectors(4)];
const NO_SPACE: i32 = 28;

/// The disk with a file in every state that is one bit, or one end, away from what was written.
pub(crate) fn spoil(disk: &SimDisk, path: &Path, examine: &mut dyn FnMut(&SimDisk, &str)) {
    let whole = disk.bytes(path);
    let mut put = |bytes: Vec<u8>, scene: String| {
        disk.tamper(path, |file| *file = bytes);
        examine(disk, &scene);
    };
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        put(bytes, format!("bit {} of byte {} flipped", bit % 8, bit / 8));
    }
    for len in 0..whole.len() {
        put(whole[..len].to_vec(), format!("cut at {len}"));
    }
    for more in [1, 37, 5000] {
        put([&whole[..], &vec![0; more]].concat(), format!("{more} zeros added"));
    }
    disk.tamper(path, |file| *file = whole);
}

/// Whether an error is one that the file's owner can act on.
pub(crate) fn names(error: &Error, path: &Path) -> bool {
    match error {
        Error::DamagedFile { file, .. } | Error::Newer { file, .. } => file == path,
        _ => false,
    }
}

/// Write a file on disks that die, or fail once, at every step; and look at all that may be found afterwards. `told` says
/// whether the writer was told that it is there.
#[expect(clippy::type_complexity, reason = "written out it says more than a name would")]
pub(crate) fn every_death(
    write: &dyn Fn(&SimDisk) -> Result<(), Error>,
    examine: &dyn Fn(&SimDisk, bool, &dyn Fn() -> String),
) {
    let whole = SimDisk::default();
    write(&whole).unwrap();
    assert!(whole.steps() >= 6, "create, some writes, sync, rename, sync the folder: {:?}", whole.log());
    for step in 0..=whole.steps() {
        for dies in [true, false] {
            let disk = SimDisk::default();
            if dies {
                disk.die_after(step)
            } else {
                disk.fail_at(step, NO_SPACE)
            }
            let told = write(&disk).is_ok();
            for fate in FATES {
                let scene = || format!("step {step}, dies {dies}, {fate:?}: {:?}", disk.log());
                examine(&disk.after_crash(fate), told, &scene);
            }
        }
    }
}

/// A folder that is there, durably.
pub(crate) fn folder(disk: &dyn Disk, path: &str) -> std::path::PathBuf {
    disk.create_folder(Path::new(path)).unwrap();
    Path::new(path).to_path_buf()
}

/// Bytes as text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
