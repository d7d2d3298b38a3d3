//! Log lines: which trace they are part of, why something failed, and what is in none of them.

use std::{error::Error, fmt, iter};

use opentelemetry::{Context, TraceId, trace::TraceContextExt as _};
use serde_json::{Map, Value};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    filter::{FilterFn, LevelFilter, filter_fn},
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, Writer},
    },
    registry::LookupSpan,
};

/// The name of the field that holds the trace's id.
const TRACE_ID: &str = "trace_id";

/// Libraries that tell passwords, messages and tickets when they are asked for more than this.
const INDISCREET: [(&str, Level); 2] = [("async_nats", Level::INFO), ("rustls", Level::DEBUG)];

/// Leaves out what libraries tell of secrets, whatever is asked for.
pub(super) fn discreet() -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    filter_fn(|line: &Metadata<'_>| {
        let tells = |(library, most): &(&str, Level)| {
            line.target().starts_with(library) && line.level() > most
        };
        !INDISCREET.iter().any(tells)
    })
    // It leaves it to the other filter which lines are not made at all.
    .with_max_level_hint(LevelFilter::TRACE)
}

/// A format of lines that adds the id of the trace, where there is one; whether it is sampled does not matter.
pub(super) struct WithTrace<F> {
    format: F,
    add: fn(line: &str, trace: TraceId, to: &mut Writer<'_>) -> fmt::Result,
}

/// A format of JSON lines that adds what is behind an error, as that for people does by itself.
pub(super) struct WithSources<F>(F);

impl<T> WithTrace<WithSources<Format<Json, T>>> {
    /// Adds a member to each object.
    pub(super) fn json(format: Format<Json, T>) -> Self {
        let add = |line: &str, trace: TraceId, to: &mut Writer<'_>| match line.strip_prefix('{') {
            Some(members) => write!(to, r#"{{"{TRACE_ID}":"{trace}",{members}"#),
            None => to.write_str(line),
        };
        Self { format: WithSources(format), add }
    }
}

impl<L, T> WithTrace<Format<L, T>> {
    /// Adds a field to the end of each line, in colours or not.
    pub(super) fn text(format: Format<L, T>, ansi: bool) -> Self {
        let add = |line: &str, trace: TraceId, to: &mut Writer<'_>| {
            writeln!(to, "{} {TRACE_ID}={trace}", line.trim_end_matches('\n'))
        };
        Self { format: format.with_ansi(ansi), add }
    }
}

impl<S, N, F> FormatEvent<S, N> for WithTrace<F>
where
    F: FormatEvent<S, N>,
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // The span that is entered, also where the filter of logs leaves it out.
        let span = Context::map_current(|context| context.span().span_context().clone());
        if !span.is_valid() {
            return self.format.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        (self.add)(&line, span.trace_id(), &mut writer)
    }
}

/// The causes of each error among the fields of an event, the nearest first.
#[derive(Default)]
struct Sources(Map<String, Value>);

impl Visit for Sources {
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}

    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        let causes = iter::successors(error.source(), |cause| (*cause).source());
        let causes: Vec<Value> = causes.map(|cause| cause.to_string().into()).collect();
        if !causes.is_empty() {
            self.0.insert(format!("{}.sources", field.name()), causes.into());
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for WithSources<F>
where
    F: FormatEvent<S, N>,
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut sources = Sources::default();
        event.record(&mut sources);
        if sources.0.is_empty() {
            return self.0.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let added = Value::Object(sources.0).to_string();
        match (added.strip_suffix('}'), line.strip_prefix('{')) {
            (Some(added), Some(members)) => write!(writer, "{added},{members}"),
            _ => writer.write_str(&line),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::{debug, info, info_span, subscriber::with_default, trace, warn};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::{logs, set_order_trace};
    use crate::{
        StopError,
        config::{LogFormat, Telemetry},
    };

    const FULL: &str = "no room on the \"disk\" {}";
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written about three facts, two within an order's span and one outside of it.
    fn written(log_format: LogFormat) -> String {
        let (lines, provider) = (Lines::default(), SdkTracerProvider::default());
        // The filter leaves the span out of the lines, but not its trace.
        let config =
            Telemetry { log_format, log_filter: "warn".to_owned(), ..Telemetry::default() };
        let to = lines.clone();
        let subscriber = tracing_subscriber::registry()
            .with(logs(&config, move || to.clone()).unwrap())
            .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("test")));
        with_default(subscriber, || {
            let span = info_span!("sign certificate");
            set_order_trace(&span, u128::from_str_radix(TRACE, 16).unwrap().to_be_bytes());
            span.in_scope(|| {
                warn!(tries = 2, "signing again");
                let error = &StopError::Failed { task: "signer", source: FULL.into() };
                warn!(error = error as &dyn std::error::Error, "signing ended");
            });
            warn!("nothing to sign");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn no_filter_shows_what_libraries_tell_of_secrets() {
        let config = Telemetry { log_filter: "trace".to_owned(), ..Telemetry::default() };
        let lines = Lines::default();
        let to = lines.clone();
        let subscriber =
            tracing_subscriber::registry().with(logs(&config, move || to.clone()).unwrap());
        with_default(subscriber, || {
            debug!(target: "async_nats::connection", "password");
            trace!(target: "rustls::conn", "ticket");
            info!(target: "async_nats", "connected");
            trace!("ours");
        });
        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(written.contains("connected") && written.contains("ours"), "{written}");
        assert!(!written.contains("password") && !written.contains("ticket"), "{written}");
    }

    #[test]
    fn json_lines_hold_the_trace_as_a_member() {
        let written = written(LogFormat::Json);
        let lines: Vec<serde_json::Value> =
            written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["trace_id"], TRACE);
        assert_eq!(lines[0]["message"], "signing again");
        assert_eq!(lines[0]["tries"], 2);
        assert_eq!(lines[2].get("trace_id"), None);
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn json_lines_say_what_is_behind_an_error() {
        let line: serde_json::Value =
            serde_json::from_str(written(LogFormat::Json).lines().nth(1).unwrap()).unwrap();
        assert_eq!(line["error"], "signer failed");
        assert_eq!(line["error.sources"], serde_json::json!([FULL]));
        assert_eq!(line["trace_id"], TRACE);
        assert_eq!(line["message"], "signing ended");
    }

    #[test]
    fn lines_for_people_end_with_the_trace() {
        let written = written(LogFormat::Text);
        let lines: Vec<_> = written.lines().collect();
        assert!(
            lines[0].ends_with(&format!("signing again tries=2 trace_id={TRACE}")),
            "{written}"
        );
        assert!(lines[2].ends_with("nothing to sign"), "{written}");
        assert_eq!(lines.len(), 3);
    }
}
