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
        let mut reader = Reader::open(segment, None)?;
        while let Some(content) = reader.next()? {
            let Some(entry) = entry(content) else { continue };
            last_written = last_written.max(Some(entry.at()));
            if serials.contains(entry.serial()) {
                in_segment.insert(entry.serial().clone(), entry);
            }
        }
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
        let mut reader = Reader::open(&segment, None)?;
        while let Some(content) = reader.next()? {
            note(&mut records, content, &mut wanted);
        }
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
        let mut reader = Reader::open(segment, end.map(|(chain, _)| chain))?;
        synced_bytes = 0;
        while let Some(content) = reader.next()? {
            apply(&mut pending, content);
            let Chain { hash, number } = reader.chain;
            match acknowledged {
                Some(head) if head.number == number && head.hash != hash => {
                    return Err(reader.damaged());
                }
                Some(head) if head.number >= number => synced_bytes = reader.whole_bytes,
                Some(_) | None => {}
            }
        }
        let is_last = segments.last().is_some_and(|last| last.number == segment.number);
        if !is_last && reader.is_unfinished {
            return Err(reader.damaged());
        }
        end = Some((reader.chain, reader.whole_bytes));
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

/// Reads a segment line by line, and follows the chain.
struct Reader<'a> {
    segment: &'a Segment,
    lines: Lines,
    /// What the first line says, until it is asked for.
    start: Option<SegmentStart>,
    /// The chain after the line that was read last.
    chain: Chain,
    /// How many bytes the lines have up to its end.
    whole_bytes: u64,
    /// A line follows that a crash left unfinished.
    is_unfinished: bool,
}

impl<'a> Reader<'a> {
    /// Enters the chain at the first line. Without the chain before the segment, what that line says of it is trusted.
    fn open(segment: &'a Segment, before: Option<Chain>) -> Result<Self, OpenError> {
        let mut lines = segment.lines()?;
        // Segments begin to exist with their first line, so a file without one was changed by others.
        let line = lines.next().map_err(at(&segment.path))?.ok_or_else(|| damaged(segment, 0))?;
        let (chain, start) = Chain::enter(line).ok_or_else(|| damaged(segment, 0))?;
        if start.format != FORMAT {
            return Err(OpenError::UnknownFormat(segment.path.clone()));
        }
        let follows = before.is_none_or(|mut before| before.follow(line).is_some());
        if start.number != segment.number || !follows {
            return Err(damaged(segment, 0));
        }
        let whole_bytes = line.len() as u64;
        Ok(Self { segment, lines, start: Some(start), chain, whole_bytes, is_unfinished: false })
    }

    /// Reads the next line; `None` at the end of the segment or an unfinished line.
    fn next(&mut self) -> Result<Option<Content>, OpenError> {
        if let Some(start) = self.start.take() {
            return Ok(Some(Content::Segment(start)));
        }
        let next = self.lines.next().map_err(at(&self.segment.path))?;
        let Some(line) = next else { return Ok(None) };
        if let Some(content) = self.chain.follow(line) {
            self.whole_bytes += line.len() as u64;
            return Ok(Some(content));
        }
        self.is_unfinished = self.lines.is_unfinished().map_err(at(&self.segment.path))?;
        if self.is_unfinished { Ok(None) } else { Err(self.damaged()) }
    }

    /// Says that the line that was read last is damaged.
    fn damaged(&self) -> OpenError {
        damaged(self.segment, self.lines.offset())
    }
}

fn damaged(segment: &Segment, offset: u64) -> OpenError {
    OpenError::Damaged { path: segment.path.clone(), offset }
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
