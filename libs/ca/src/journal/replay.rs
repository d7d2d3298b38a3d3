//! Reads the journal and follows its chain.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use domain::{Serial, Timestamp};

use super::{
    Entry, OpenError, Outcome, Record, Reservation,
    admission::Pending,
    at,
    chain::Chain,
    entry::{Content, SegmentStart},
    head,
    segment::{Lines, Segment},
};

/// The format of the lines that we write, and the only one we read.
pub(super) const FORMAT: u32 = 1;
/// How many of the newest segments are verified when the journal is opened.
const VERIFIED_AT_OPEN: usize = 2;

/// Where writing goes on.
#[derive(Debug)]
pub(super) struct Replayed {
    /// The end of the chain.
    pub(super) chain: Chain,
    /// The newest segment.
    pub(super) segment: Segment,
    /// How many of its bytes are whole lines; what follows was never acknowledged.
    pub(super) whole_bytes: u64,
    /// How many of these are known to be on disk.
    pub(super) synced_bytes: u64,
    /// The reservations that are neither issued nor burned.
    pub(super) pending: Pending,
}

/// What a whole journal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many segment files there are.
    pub segments: usize,
    /// The number of the last record.
    pub last_record: u64,
    /// How many reservations are neither issued nor burned.
    pub pending: usize,
}

/// Verifies every segment of the journal in a directory, also beside a signer that is writing it.
///
/// # Errors
/// When it is damaged, or ends before what was acknowledged.
pub fn verify(dir: &Path) -> Result<Summary, OpenError> {
    // The head first: what it says is in the segments by the time they are read.
    let acknowledged = head::read(dir)?;
    let segments = Segment::list(dir)?;
    let replayed = follow(dir, &segments, acknowledged)?;
    Ok(Summary {
        segments: segments.len(),
        last_record: replayed.as_ref().map_or(0, |replayed| replayed.chain.number),
        pending: replayed.map_or(0, |replayed| replayed.pending.len()),
    })
}

/// Verifies the newest segments; none when there are no segments yet.
pub(super) fn newest(dir: &Path) -> Result<Option<Replayed>, OpenError> {
    let acknowledged = head::read(dir)?;
    let segments = Segment::list(dir)?;
    let first = segments.len().saturating_sub(VERIFIED_AT_OPEN);
    follow(dir, &segments[first..], acknowledged)
}

/// The latest entry of each serial; segments are read from the newest down to one in which nothing was written at or after
/// `since`.
pub(super) fn find(
    dir: &Path,
    serials: &BTreeSet<Serial>,
    since: Timestamp,
) -> Result<BTreeMap<Serial, Entry>, OpenError> {
    let mut found = BTreeMap::new();
    for segment in Segment::list(dir)?.iter().rev() {
        if found.len() == serials.len() {
            break;
        }
        let (mut in_segment, mut last_written) = (BTreeMap::new(), None);
        read(segment, None, |_, _, content| {
            let Some(entry) = entry(content) else { return Ok(()) };
            last_written = last_written.max(Some(entry.at()));
            if serials.contains(entry.serial()) {
                in_segment.insert(entry.serial().clone(), entry);
            }
            Ok(())
        })?;
        for (serial, entry) in in_segment {
            found.entry(serial).or_insert(entry);
        }
        if last_written.is_some_and(|written| written < since) {
            break;
        }
    }
    Ok(found)
}

/// The reservations that are wanted, with what became of each.
pub(super) fn records(
    dir: &Path,
    mut wanted: impl FnMut(&Reservation) -> bool,
) -> Result<BTreeMap<Serial, Record>, OpenError> {
    let mut records = BTreeMap::new();
    for segment in Segment::list(dir)? {
        read(&segment, None, |_, _, content| {
            note(&mut records, content, &mut wanted);
            Ok(())
        })?;
    }
    Ok(records)
}

/// Adds what a line says to the records.
fn note(
    records: &mut BTreeMap<Serial, Record>,
    content: Content,
    mut wanted: impl FnMut(&Reservation) -> bool,
) {
    let (serial, outcome) = match content {
        Content::Reserved(reservation) => {
            if wanted(&reservation) {
                let serial = reservation.serial.clone();
                records.insert(serial, Record { reservation, outcome: Outcome::Pending });
            }
            return;
        }
        Content::Issued(issued) => (issued.serial.clone(), Outcome::Issued(issued)),
        Content::Burned(burned) => (burned.serial.clone(), Outcome::Burned(burned)),
        // Its pending reservations are in the segments before, too.
        Content::Segment(_) => return,
    };
    if let Some(record) = records.get_mut(&serial) {
        record.outcome = outcome;
    }
}

/// Follows the chain through successive segments up to the end of the journal, which has to reach what was acknowledged.
fn follow(
    dir: &Path,
    segments: &[Segment],
    acknowledged: Option<Chain>,
) -> Result<Option<Replayed>, OpenError> {
    let mut pending = Pending::new();
    let (mut end, mut synced_bytes) = (None, 0);
    for segment in segments {
        let before = end.map(|(chain, _)| chain);
        synced_bytes = 0;
        let read_to = read(segment, before, |chain, bytes, content| {
            apply(&mut pending, content);
            match acknowledged {
                Some(head) if head.number == chain.number && head.hash != chain.hash => Err(()),
                Some(head) if head.number >= chain.number => {
                    synced_bytes = bytes;
                    Ok(())
                }
                Some(_) | None => Ok(()),
            }
        })?;
        let is_last = segments.last().is_some_and(|last| last.number == segment.number);
        if !is_last && !read_to.is_whole {
            return Err(OpenError::Damaged { path: segment.path.clone(), offset: read_to.bytes });
        }
        end = Some((read_to.chain, read_to.bytes));
    }
    let found = end.map_or(0, |(chain, _)| chain.number);
    if let Some(head) = acknowledged.filter(|head| head.number > found) {
        return Err(OpenError::Lost { dir: dir.to_owned(), found, acknowledged: head.number });
    }
    Ok(end.zip(segments.last()).map(|((chain, whole_bytes), segment)| Replayed {
        chain,
        segment: segment.clone(),
        whole_bytes,
        synced_bytes,
        pending,
    }))
}

/// How far a segment could be read.
struct ReadTo {
    chain: Chain,
    bytes: u64,
    /// No unfinished line follows.
    is_whole: bool,
}

/// Reads a segment up to its end or an unfinished line. `visit` sees the chain after each line, the byte at which the line ends,
/// and its content; a line that it refuses is damaged. Without the chain before the segment, what its first line says of that is
/// trusted.
fn read(
    segment: &Segment,
    before: Option<Chain>,
    mut visit: impl FnMut(&Chain, u64, Content) -> Result<(), ()>,
) -> Result<ReadTo, OpenError> {
    let damaged = |offset| OpenError::Damaged { path: segment.path.clone(), offset };
    let mut lines = segment.lines()?;
    // Segments begin to exist with their first line, so a file without one was changed by others.
    let line = lines.next().map_err(at(&segment.path))?.ok_or_else(|| damaged(0))?;
    let ends = line.len() as u64;
    let (mut chain, start) = enter(segment, line)?.ok_or_else(|| damaged(0))?;
    if before.is_some_and(|mut before| before.follow(line).is_none()) {
        return Err(damaged(0));
    }
    visit(&chain, ends, Content::Segment(start)).map_err(|()| damaged(0))?;
    loop {
        let Some(line) = lines.next().map_err(at(&segment.path))? else {
            return Ok(ReadTo { chain, bytes: lines.offset(), is_whole: true });
        };
        let length = line.len() as u64;
        match chain.follow(line) {
            Some(content) => {
                let begins = lines.offset();
                visit(&chain, begins + length, content).map_err(|()| damaged(begins))?;
            }
            None => return unfinished(segment, &mut lines, chain),
        }
    }
}

/// Tells a line that a crash left unfinished from a damaged one.
fn unfinished(segment: &Segment, lines: &mut Lines, chain: Chain) -> Result<ReadTo, OpenError> {
    let bytes = lines.offset();
    if lines.is_unfinished().map_err(at(&segment.path))? {
        Ok(ReadTo { chain, bytes, is_whole: false })
    } else {
        Err(OpenError::Damaged { path: segment.path.clone(), offset: bytes })
    }
}

/// Enters the chain at the first line of a segment; `None` when it is damaged.
fn enter(segment: &Segment, line: &[u8]) -> Result<Option<(Chain, SegmentStart)>, OpenError> {
    match Chain::enter(line) {
        Some((_, start)) if start.format != FORMAT => {
            Err(OpenError::UnknownFormat(segment.path.clone()))
        }
        entered => Ok(entered.filter(|(_, start)| start.number == segment.number)),
    }
}

/// Applies a line to what is pending.
fn apply(pending: &mut Pending, content: Content) {
    match content {
        Content::Segment(start) => {
            *pending = start
                .pending
                .into_iter()
                .map(|reservation| (reservation.serial.clone(), reservation))
                .collect();
        }
        Content::Reserved(reservation) => {
            pending.insert(reservation.serial.clone(), reservation);
        }
        Content::Issued(issuance) => {
            pending.remove(&issuance.serial);
        }
        Content::Burned(burning) => {
            pending.remove(&burning.serial);
        }
    }
}

fn entry(content: Content) -> Option<Entry> {
    match content {
        Content::Segment(_) => None,
        Content::Reserved(reservation) => Some(Entry::Reserved(reservation)),
        Content::Issued(issuance) => Some(Entry::Issued(issuance)),
        Content::Burned(burning) => Some(Entry::Burned(burning)),
    }
}
