//! Which file is damaged, and how.
//!
//! **Invariant:** every kind of file is as likely as any other, however many there are of it: a hundred segments do not
//! hide the one HEAD.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::random::Dice;

const PAGE: u64 = 4096;
/// Nobody reads these before they are written again.
const SPARED: [&str; 5] = ["LOCK", "ballast", "flight", "open", "server"];
/// Content named by its digest, and what belongs to running programs; no store's.
const OTHERS: [&str; 2] = ["artifacts", "processes"];

/// What is done to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wound {
    /// Relative to the folder.
    pub(crate) file: PathBuf,
    how: How,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum How {
    Flip { at: u64, bit: u8 },
    Truncate { to: u64 },
    Zero { from: u64 },
}

impl fmt::Display for Wound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.how {
            How::Flip { at, bit } => write!(f, "{file}: bit {bit} of byte {at} flipped"),
            How::Truncate { to } => write!(f, "{file}: cut to {to} bytes"),
            How::Zero { from } => write!(f, "{file}: page at {from} zeroed"),
        }
    }
}

/// Choose a file of the folder and what is done to it; nothing if there is none.
pub(crate) fn choose(folder: &Path, random: &mut Dice) -> io::Result<Option<Wound>> {
    let mut kinds: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    files(folder, Path::new(""), &mut kinds)?;
    let kinds: Vec<_> = kinds.into_values().collect();
    let Some(file) = random.pick(&kinds).and_then(|files| random.pick(files)).cloned() else { return Ok(None) };
    let bytes = fs::read(folder.join(&file))?;
    // Behind the last byte that is not zero there is nothing yet; a fourth of the time that is hit, too.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1);
    let length = if random.one_in(4) || used == 0 { bytes.len() as u64 } else { used };
    let at = random.below(length.max(1));
    let how = match random.below(3) {
        0 => How::Flip { at, bit: u8::try_from(random.below(8)).unwrap_or(0) },
        1 => How::Truncate { to: at },
        _ => How::Zero { from: at - at % PAGE },
    };
    Ok(Some(Wound { file, how }))
}

/// Every file that counts, by its kind.
fn files(folder: &Path, below: &Path, kinds: &mut BTreeMap<String, Vec<PathBuf>>) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder.join(below))?.collect::<io::Result<_>>()?;
    // So that a number draws the same file each time.
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = below.join(&name);
        if entry.file_type()?.is_dir() {
            if !OTHERS.contains(&name.as_str()) {
                files(folder, &path, kinds)?;
            }
        } else if !SPARED.contains(&name.as_str()) && !name.ends_with(".new") && entry.metadata()?.len() > 0 {
            let kind = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(&path);
            kinds.entry(kind.display().to_string()).or_default().push(path);
        }
    }
    Ok(())
}

impl Wound {
    /// Do it. The file gets bytes of its own first: it may share them with the folder that it was copied from.
    pub(crate) fn inflict(&self, folder: &Path) -> io::Result<()> {
        let path = folder.join(&self.file);
        let bytes = fs::read(&path)?;
        fs::remove_file(&path)?;
        fs::write(&path, &bytes)?;
        let file = fs::File::options().read(true).write(true).open(&path)?;
        match self.how {
            How::Flip { at, bit } => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, at)?;
                file.write_all_at(&[byte[0] ^ (1 << bit)], at)
            }
            How::Truncate { to } => file.set_len(to),
            How::Zero { from } => {
                let length = PAGE.min((bytes.len() as u64).saturating_sub(from));
                file.write_all_at(&vec![0; usize::try_from(length).unwrap_or(0)], from)
            }
        }
    }
}
