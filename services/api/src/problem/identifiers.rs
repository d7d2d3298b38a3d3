//! Problems about the identifiers of a request (RFC 8555 §6.7.1).

use acme::{
    ErrorType, Problem,
    order::RequestedIdentifier,
    problem::{Subproblem, shown},
};

/// How many identifiers are named in one detail.
const MAX_NAMED: usize = 3;

/// An identifier that is refused, and why.
#[derive(Debug)]
pub(crate) struct RefusedIdentifier {
    pub(crate) kind: ErrorType,
    pub(crate) detail: String,
    pub(crate) requested: RequestedIdentifier,
}

/// Names the first few of them, and says how many more there are.
pub(crate) fn some_of(identifiers: &[String]) -> String {
    let named = &identifiers[..identifiers.len().min(MAX_NAMED)];
    match identifiers.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// The problem of an order whose identifiers are refused. Its detail names them, because most clients show no subproblems.
pub(super) fn of_order(refused: &[RefusedIdentifier]) -> Problem {
    let same_kind = refused.windows(2).all(|pair| pair[0].kind == pair[1].kind);
    let kind = match refused.first() {
        Some(first) if same_kind => first.kind,
        Some(_) | None => ErrorType::Compound,
    };
    let values: Vec<String> = refused.iter().map(|it| shown(&it.requested.value)).collect();
    let detail = match refused {
        [only] if only.requested.value.is_empty() => only.detail.clone(),
        [only] => format!("{}: {}", some_of(&values), only.detail),
        _ => format!("refused are {}; see the subproblems", some_of(&values)),
    };
    let subproblem = |refused: &RefusedIdentifier| {
        let RequestedIdentifier { kind, value } = &refused.requested;
        Subproblem::of_unchecked(refused.kind, &refused.detail, (kind, value))
    };
    Problem::new(kind, &detail).with_subproblems(refused.iter().map(subproblem))
}

/// The problem of a pre-authorization whose identifier is refused: 403 where the server is not willing to certify it (RFC 8555
/// §7.4.1), 400 where it cannot be read.
pub(super) fn of_pre_authorization(refused: &[RefusedIdentifier]) -> Problem {
    let problem = of_order(refused);
    match problem.kind {
        ErrorType::Malformed => problem,
        _ => problem.with_status(403),
    }
}
