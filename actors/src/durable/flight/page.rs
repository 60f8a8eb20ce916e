//! The bytes of the flight recorder.
//!
//! ```text
//! 0     book, first copy     magic, format, generation, life, strays, suspects with their deaths, crc32c
//! 4096  book, second copy    the one with the higher generation counts
//! 8192  64 slots of 64 bytes crc32c, what, life, actor, number
//! ```
//! A slot counts only in the life that the book names: raising the life in the book makes every slot of the former one
//! void in the same write that raises the deaths, so that no death is counted twice.
//!
//! **Invariant:** bytes that are torn or garbage are nothing; they never become a suspect and never an error.

use crate::durable::id::{ActorId, CallId};

/// Threads that can be noted at once.
pub(super) const SLOTS: usize = 64;
/// Bytes of a slot: a line of the cache, and never across two pages.
pub(super) const SLOT: usize = 64;
/// Bytes of a copy of the book, and of all slots.
pub(super) const PAGE: usize = 4_096;
/// Bytes of the file.
pub(super) const FILE: usize = 3 * PAGE;

const MAGIC: &[u8; 8] = b"hf-flit\n";
const FORMAT: u32 = 1;
const HEADER: usize = 36;
const ROW: usize = 24;
const CHECKSUM: usize = 4;
const NOTED: usize = 32;
/// Suspects that the book has room for.
pub(super) const SUSPECTS_MAX: usize = (PAGE - HEADER - CHECKSUM) / ROW;

/// What a thread was at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Named {
    /// An actor and the number of the message in its mailbox.
    Turn { actor: ActorId, entry: u64 },
    /// A call, and the actor that intended it.
    Call { caller: ActorId, call: CallId },
}

/// What was under way when a process died, and how often one did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suspect {
    pub(crate) named: Named,
    /// Deaths of the process during it.
    pub(crate) deaths: u32,
    /// Whether the last life died during it.
    pub(crate) is_fresh: bool,
}

/// What outlives a life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Book {
    /// Which writing of the book this is.
    pub(super) generation: u64,
    /// The life whose slots count.
    pub(super) life: u64,
    /// Lives in a row that died during something which the store does not hold.
    pub(super) strays: u32,
    pub(super) suspects: Vec<Suspect>,
}

impl Book {
    /// Count a death against everything that was under way.
    pub(super) fn blame(&mut self, named: impl IntoIterator<Item = Named>) {
        for suspect in &mut self.suspects {
            suspect.is_fresh = false;
        }
        for named in named {
            match self.suspects.iter_mut().find(|suspect| suspect.named == named) {
                // Noted twice in one life is still one death.
                Some(suspect) if suspect.is_fresh => {}
                Some(suspect) => (suspect.deaths, suspect.is_fresh) = (suspect.deaths.saturating_add(1), true),
                None => self.suspects.push(Suspect { named, deaths: 1, is_fresh: true }),
            }
        }
        // Whoever killed most often is the last to be forgotten.
        self.suspects.sort_by_key(|suspect| std::cmp::Reverse(suspect.deaths));
        self.suspects.truncate(SUSPECTS_MAX);
    }

    pub(super) fn encode(&self) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        page[..8].copy_from_slice(MAGIC);
        page[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        page[12..20].copy_from_slice(&self.generation.to_le_bytes());
        page[20..28].copy_from_slice(&self.life.to_le_bytes());
        page[28..32].copy_from_slice(&self.strays.to_le_bytes());
        let count = self.suspects.len().min(SUSPECTS_MAX);
        page[32..36].copy_from_slice(&u32::try_from(count).unwrap_or(0).to_le_bytes());
        for (row, suspect) in page[HEADER..].chunks_exact_mut(ROW).zip(&self.suspects) {
            let (what, actor, number) = suspect.named.parts();
            row[0] = what;
            row[4..8].copy_from_slice(&suspect.deaths.to_le_bytes());
            row[8..16].copy_from_slice(&actor.to_le_bytes());
            row[16..24].copy_from_slice(&number.to_le_bytes());
        }
        let checksum = crc32c::crc32c(&page[..PAGE - CHECKSUM]);
        page[PAGE - CHECKSUM..].copy_from_slice(&checksum.to_le_bytes());
        page
    }

    pub(super) fn decode(page: &[u8]) -> Option<Self> {
        let is_whole = page.len() == PAGE && u32_at(page, PAGE - CHECKSUM) == crc32c::crc32c(&page[..PAGE - CHECKSUM]);
        if !is_whole || page[..8] != *MAGIC || u32_at(page, 8) != FORMAT {
            return None;
        }
        let rows = page[HEADER..PAGE - CHECKSUM].chunks_exact(ROW).take(u32_at(page, 32) as usize);
        let suspect = |row: &[u8]| {
            let named = Named::of(row[0], u64_at(row, 8), u64_at(row, 16))?;
            Some(Suspect { named, deaths: u32_at(row, 4), is_fresh: false })
        };
        Some(Self {
            generation: u64_at(page, 12),
            life: u64_at(page, 20),
            strays: u32_at(page, 28),
            suspects: rows.filter_map(suspect).collect(),
        })
    }

    /// The newer of the two copies, with what the slots of its life name.
    pub(super) fn read(file: &[u8]) -> (Self, Vec<Named>) {
        let copies = [file.get(..PAGE), file.get(PAGE..2 * PAGE)];
        let books = copies.into_iter().flatten().filter_map(Self::decode);
        let Some(book) = books.max_by_key(|book| book.generation) else { return (Self::default(), Vec::new()) };
        let slots = file.get(2 * PAGE..).unwrap_or_default().chunks_exact(SLOT);
        let named = slots.filter_map(|slot| decode_slot(slot, book.life)).collect();
        (book, named)
    }
}

impl Named {
    fn parts(self) -> (u8, u64, u64) {
        match self {
            Named::Turn { actor, entry } => (1, actor.0, entry),
            Named::Call { caller, call } => (2, caller.0, call.0),
        }
    }

    fn of(what: u8, actor: u64, number: u64) -> Option<Self> {
        match what {
            1 => Some(Named::Turn { actor: ActorId(actor), entry: number }),
            2 => Some(Named::Call { caller: ActorId(actor), call: CallId(number) }),
            _ => None,
        }
    }
}

/// A slot that names something; only its first bytes are ever written.
pub(super) fn encode_slot(named: Named, life: u64) -> [u8; NOTED] {
    let mut slot = [0; NOTED];
    let (what, actor, number) = named.parts();
    slot[4] = what;
    slot[8..16].copy_from_slice(&life.to_le_bytes());
    slot[16..24].copy_from_slice(&actor.to_le_bytes());
    slot[24..32].copy_from_slice(&number.to_le_bytes());
    let checksum = crc32c::crc32c(&slot[4..]);
    slot[..4].copy_from_slice(&checksum.to_le_bytes());
    slot
}

/// A slot that names nothing.
pub(super) const EMPTY_SLOT: [u8; NOTED] = [0; NOTED];

fn decode_slot(slot: &[u8], life: u64) -> Option<Named> {
    let is_whole = u32_at(slot, 0) == crc32c::crc32c(&slot[4..NOTED]) && u64_at(slot, 8) == life;
    if is_whole { Named::of(slot[4], u64_at(slot, 16), u64_at(slot, 24)) } else { None }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
