//! Log lines: which trace they are part of, and what is in none of them.

use std::fmt;

use opentelemetry::{Context, TraceId, trace::TraceContextExt as _};
use tracing::{Event, Level, Metadata, Subscriber};
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

impl<T> WithTrace<Format<Json, T>> {
    /// Adds a member to each object.
    pub(super) fn json(format: Format<Json, T>) -> Self {
        let add = |line: &str, trace: TraceId, to: &mut Writer<'_>| match line.strip_prefix('{') {
            Some(members) => write!(to, r#"{{"{TRACE_ID}":"{trace}",{members}"#),
            None => to.write_str(line),
        };
        Self { format, add }
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

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::{info_span, subscriber::with_default, warn};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::{logs, set_order_trace};
    use crate::config::{LogFormat, Telemetry};

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

    /// What is written about two facts, one within an order's span and one outside of it.
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
            span.in_scope(|| warn!(tries = 2, "signing again"));
            warn!("nothing to sign");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn json_lines_hold_the_trace_as_a_member() {
        let written = written(LogFormat::Json);
        let lines: Vec<serde_json::Value> =
            written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["trace_id"], TRACE);
        assert_eq!(lines[0]["message"], "signing again");
        assert_eq!(lines[0]["tries"], 2);
        assert_eq!(lines[1].get("trace_id"), None);
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn lines_for_people_end_with_the_trace() {
        let written = written(LogFormat::Text);
        let lines: Vec<_> = written.lines().collect();
        assert!(
            lines[0].ends_with(&format!("signing again tries=2 trace_id={TRACE}")),
            "{written}"
        );
        assert!(lines[1].ends_with("nothing to sign"), "{written}");
        assert_eq!(lines.len(), 2);
    }
}
