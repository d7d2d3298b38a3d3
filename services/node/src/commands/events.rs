//! `certmill events`: what happened, oldest first.

use std::time::Duration;

use domain::Timestamp;
use eventstore::{Actor, Message, Sequence, Subject};
use runtime::Config;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    failure::{Explain as _, Failure},
    log::{Log, Tail},
    output::{Format, Output},
};

/// How often the log is looked at for more: a process beside the server hears no wakes.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);

/// One event as a line of JSON; events of one message share everything but themselves.
#[derive(Serialize)]
struct Line<'a> {
    stream: String,
    sequence: Sequence,
    subject: &'a Subject,
    at: Timestamp,
    actor: &'a Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    /// `type`, `version` and `data`.
    #[serde(flatten)]
    event: Value,
}

/// How long events are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// To the end of the log as it is.
    End,
    /// As they come, until the command is interrupted or nobody reads them.
    Interrupted,
}

/// Which events are listed.
pub(crate) struct Wanted {
    /// Those of one aggregate; otherwise all.
    pub(crate) aggregate: Option<Subject>,
    /// Those from a time on; otherwise from the beginning.
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Until,
}

/// Where the messages come from.
enum Source<'a> {
    All(Tail<'a>),
    One { log: &'a Log, subject: &'a Subject, after: Sequence },
}

/// Prints the events that are wanted.
///
/// # Errors
/// When the log is out of reach or damaged, and when it knows nothing of the aggregate.
pub(crate) async fn run(config: &Config, wanted: &Wanted, out: &mut Output) -> Result<(), Failure> {
    let log = Log::open(config).await?;
    let mut source = Source::of(&log, wanted).await?;
    let mut ticks = interval(FOLLOW_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_known = false;
    let reader_gone = Output::reader_gone();
    tokio::pin!(reader_gone);
    loop {
        let page = source.next().await?;
        for message in &page {
            is_known = true;
            if wanted.since.is_none_or(|since| message.envelope.at >= since) {
                print(message, out)?;
            }
        }
        out.flush()?;
        match (page.is_empty(), wanted.until) {
            (false, Until::End | Until::Interrupted) => {}
            // Who reads two lines must not wait for a third that may never come.
            (true, Until::Interrupted) => tokio::select! {
                _ = ticks.tick() => {}
                () = &mut reader_gone => return Ok(()),
            },
            (true, Until::End) => {
                let unmet = wanted.aggregate.as_ref().filter(|_| !is_known);
                return unmet.map_or(Ok(()), unknown);
            }
        }
    }
}

/// Nothing printed would look as if nothing had happened.
fn unknown(subject: &Subject) -> Result<(), Failure> {
    Err(Failure::new(format!("the log has no event of {subject}")))
        .advise("Orders are forgotten after event_log.order_max_age, all else is kept.")
}

impl<'a> Source<'a> {
    async fn of(log: &'a Log, wanted: &'a Wanted) -> Result<Self, Failure> {
        match (&wanted.aggregate, wanted.since) {
            (Some(subject), _) => Ok(Self::One { log, subject, after: Sequence::NONE }),
            (None, Some(since)) => Ok(Self::All(log.tail_since(since).await?)),
            (None, None) => Ok(Self::All(log.tail())),
        }
    }

    async fn next(&mut self) -> Result<Vec<Message>, Failure> {
        match self {
            Self::All(tail) => tail.next().await,
            Self::One { log, subject, after } => {
                let messages = log.store().read(subject, *after).await?;
                *after = messages.last().map_or(*after, |message| message.sequence);
                Ok(messages)
            }
        }
    }
}

fn print(message: &Message, out: &mut Output) -> Result<(), Failure> {
    let (envelope, stream) = (&message.envelope, message.subject.stream().to_string());
    for event in &envelope.events {
        let (kind, version) = event.kind()?;
        match out.format() {
            Format::Json => out.json(&Line {
                stream: stream.clone(),
                sequence: message.sequence,
                subject: &message.subject,
                at: envelope.at,
                actor: &envelope.actor,
                request_id: envelope.request_id.as_deref(),
                traceparent: envelope.traceparent.as_deref(),
                event: serde_json::from_str(event.json())?,
            })?,
            Format::Text => out.line(format_args!(
                "{:<24}  {:<24}  {:<24}  {}  by {}",
                envelope.at.to_string(),
                format!("{stream}/{}", message.sequence),
                if version == 1 { kind } else { format!("{kind} v{version}") },
                message.subject,
                envelope.actor,
            ))?,
        }
    }
    Ok(())
}
