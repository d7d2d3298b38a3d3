//! What every adapter promises, as tests that adapters run against themselves.
//!
//! Each function but [`clear_forgets_all_but_crls`] uses aggregates of its own, so that all of them can run at once on
//! one read model.

mod admission;
mod crl;
mod guard;
mod index;
mod samples;

use std::sync::Arc;

pub use admission::{
    a_nonce_is_good_once_and_views_come_with_it, of_parallel_admissions_one_is_fresh,
};
pub use crl::the_crl_with_the_highest_number_stays;
pub use guard::{
    a_view_is_read_back_equal, a_view_nobody_wrote_is_a_miss, an_older_view_never_replaces_a_newer,
    of_parallel_writes_the_newest_stays,
};
pub use index::{
    a_certificate_is_found_by_its_serial, a_marker_never_moves_back, clear_forgets_all_but_crls,
    many_entries_are_added_at_once, orders_are_listed_by_account_in_pages,
};
pub use samples::{account, certificate, order};

use crate::{Admission, ReadModel};

/// Runs everything a read model promises, on one that nobody else uses.
///
/// # Panics
/// When the adapter breaks a promise.
pub async fn read_model(views: Arc<dyn ReadModel>) {
    a_view_is_read_back_equal(&*views).await;
    a_view_nobody_wrote_is_a_miss(&*views).await;
    an_older_view_never_replaces_a_newer(&*views).await;
    of_parallel_writes_the_newest_stays(&views).await;
    a_certificate_is_found_by_its_serial(&*views).await;
    many_entries_are_added_at_once(&*views).await;
    a_marker_never_moves_back(&*views).await;
    orders_are_listed_by_account_in_pages(&*views).await;
    the_crl_with_the_highest_number_stays(&*views).await;
    clear_forgets_all_but_crls(&*views).await;
}

/// Runs everything an admission promises; `views` is the read model it reads. The suite of `acme::nonce` is run beside it.
///
/// # Panics
/// When the adapter breaks a promise.
pub async fn admission(admission: Arc<dyn Admission>, views: Arc<dyn ReadModel>) {
    a_nonce_is_good_once_and_views_come_with_it(&*admission, &*views).await;
    of_parallel_admissions_one_is_fresh(&admission, &*views).await;
}
