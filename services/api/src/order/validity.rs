//! Which validity, by notBefore and notAfter, an order may ask for.

use domain::{
    Timestamp,
    certificate::validity::{last_second, latest_start},
    order,
};

use crate::settings::Profile;

/// Refuses a validity that the profile does not grant, before the client proves anything in vain; the error says why.
pub(super) fn check(
    profile: &Profile,
    (not_before, not_after): (Option<Timestamp>, Option<Timestamp>),
    now: Timestamp,
) -> Result<(), String> {
    check_allowed(profile, (not_before, not_after))?;
    let start = not_before.unwrap_or(now);
    at_least("notBefore", start, now.minus(profile.backdate))?;
    at_most("notBefore", start, now.plus(profile.not_before_ahead))?;
    let Some(end) = not_after else { return Ok(()) };
    if end <= start.max(now) {
        return Err("notAfter is not after the start of validity".to_owned());
    }
    at_least("notAfter", end, start.plus(profile.min_requested_validity))?;
    check_length(profile, (not_before, not_after), now)
}

/// Refuses an order whose validity the profile no longer grants: its configuration may have changed since the order was placed.
pub(crate) fn check_still_granted(
    profile: &Profile,
    order: &order::State,
    now: Timestamp,
) -> Result<(), String> {
    let dates = (order.not_before, order.not_after);
    check_allowed(profile, dates)?;
    // The clock where the order was placed may be ahead of the one here.
    check_length(profile, dates, now.max(order.placed_at))
}

/// Refuses a notAfter that is later than the end of any certificate that is made now.
fn check_length(
    profile: &Profile,
    (not_before, not_after): (Option<Timestamp>, Option<Timestamp>),
    now: Timestamp,
) -> Result<(), String> {
    let Some(end) = not_after else { return Ok(()) };
    // The signer chooses the start where none is asked for.
    let latest_start = not_before.unwrap_or_else(|| latest_start(now)).whole_seconds();
    let latest_end = last_second(latest_start, profile.certificate_validity);
    at_most("notAfter", end.whole_seconds(), latest_end)
}

/// Refuses a validity where the profile lets orders ask for none.
fn check_allowed(
    profile: &Profile,
    (not_before, not_after): (Option<Timestamp>, Option<Timestamp>),
) -> Result<(), String> {
    if !profile.requested_validity_allowed && (not_before.is_some() || not_after.is_some()) {
        return Err("this profile does not let orders ask for notBefore or notAfter".to_owned());
    }
    Ok(())
}

fn at_least(date: &str, asked: Timestamp, earliest: Timestamp) -> Result<(), String> {
    if asked < earliest {
        let earliest = earliest.whole_seconds();
        return Err(format!("{date} is earlier than this profile allows, which is {earliest}"));
    }
    Ok(())
}

fn at_most(date: &str, asked: Timestamp, latest: Timestamp) -> Result<(), String> {
    if asked > latest {
        let latest = latest.whole_seconds();
        return Err(format!("{date} is later than this profile allows, which is {latest}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::{
        AccountId, Aggregate as _, OrderId,
        order::{Event, Order, OrderPlaced},
    };
    use runtime::Config;

    use super::*;
    use crate::Settings;

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    /// Seconds from now that are asked for, in a profile that grants a start up to an hour ago and up to two days ahead, and
    /// between one and ten days.
    #[track_caller]
    fn check(asked: (Option<i64>, Option<i64>), expected: Result<(), &str>) {
        let profile = r#"profile=[{name="default", certificate_validity="10d", backdate="1h",
            not_before_ahead="2d", min_requested_validity="1d"}]"#;
        let config = Config::load(None, [], &[profile.to_owned()]).unwrap();
        let blocked_keys = tokio::sync::watch::Sender::default().subscribe();
        let settings = Settings::from_config(&config, None, blocked_keys);
        let now: Timestamp = "2026-03-10T12:00:00.5Z".parse().unwrap();
        let at = |seconds: Option<i64>| {
            seconds.map(|seconds| Timestamp::from_unix_seconds(now.unix_seconds() + seconds))
        };
        let asked = (at(asked.0), at(asked.1));
        let checked = super::check(&settings.profiles[0], asked, now);
        assert_eq!(checked, expected.map_err(str::to_owned), "{asked:?}");
    }

    #[test]
    fn what_the_profile_grants_is_accepted() {
        for asked in [
            (None, None),
            (Some(1 - HOUR), None),
            (Some(2 * DAY), None),
            (None, Some(DAY + 1)),
            (None, Some(10 * DAY)),
            (Some(2 * DAY), Some(12 * DAY - 1)),
        ] {
            check(asked, Ok(()));
        }
    }

    #[test]
    fn a_date_outside_the_bounds_is_refused_with_the_bound() {
        let before = "notBefore is earlier than this profile allows, which is 2026-03-10T11:00:00Z";
        check((Some(-HOUR), None), Err(before));
        let ahead = "notBefore is later than this profile allows, which is 2026-03-12T12:00:00Z";
        check((Some(2 * DAY + 1), None), Err(ahead));
        let short = "notAfter is earlier than this profile allows, which is 2026-03-11T12:00:00Z";
        check((None, Some(DAY)), Err(short));
        let long = "notAfter is later than this profile allows, which is 2026-03-20T12:00:00Z";
        check((None, Some(10 * DAY + 1)), Err(long));
        let long = "notAfter is later than this profile allows, which is 2026-03-22T11:59:59Z";
        check((Some(2 * DAY), Some(12 * DAY)), Err(long));
    }

    #[test]
    fn a_validity_that_is_over_before_it_begins_is_refused() {
        for asked in [(None, Some(0)), (Some(DAY), Some(DAY)), (Some(-60), Some(-30))] {
            check(asked, Err("notAfter is not after the start of validity"));
        }
    }

    #[test]
    fn an_order_for_as_long_as_possible_is_granted_where_the_clock_is_late() {
        let profile = r#"profile=[{name="default", certificate_validity="10d"}]"#;
        let config = Config::load(None, [], &[profile.to_owned()]).unwrap();
        let blocked_keys = tokio::sync::watch::Sender::default().subscribe();
        let settings = Settings::from_config(&config, None, blocked_keys);
        let at = Timestamp::from_unix_seconds;
        let (placed_at, not_after) = (at(1_800_000_000), at(1_800_000_000 + 10 * DAY));
        let placed = OrderPlaced {
            id: OrderId::new(0, &[1; 16]),
            profile: "default".parse().unwrap(),
            account: AccountId::from_hash(&[1; 32]),
            identifiers: vec![],
            not_before: None,
            not_after: Some(not_after),
            at: placed_at,
            expires_at: at(1_800_000_000 + DAY),
            authorizations: vec![],
        };
        let order = Order::fold(None, &[Event::OrderPlaced(placed)]).unwrap();
        let profile = &settings.profiles[0];
        assert_eq!(super::check(profile, (None, Some(not_after)), placed_at), Ok(()));
        for now in [placed_at, at(1_800_000_000 - 60), at(1_800_000_000 + HOUR)] {
            assert_eq!(check_still_granted(profile, &order, now), Ok(()), "{now}");
        }
    }
}
