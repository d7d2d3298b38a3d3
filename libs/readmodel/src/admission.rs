//! The one round trip a request makes before it is decided: nonce, account, resource.

use acme::{Nonces, NoncesUnavailable, Redeemed};
use async_trait::async_trait;
use domain::{AccountId, OrderId, ProfileName, account, order};

use crate::View;

/// What a request's one round trip brought.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Whether the nonce was good; it is burned in any case.
    pub nonce: Redeemed,
    /// The account's view; `None` is a miss.
    pub account: Option<View<account::State>>,
    /// The order's view; `None` is a miss.
    pub order: Option<View<order::State>>,
}

/// Redeems a nonce and reads the views a request names, in one round trip.
#[async_trait]
pub trait Admission: Nonces {
    /// Redeems a profile's nonce and reads the views asked for.
    ///
    /// # Errors
    /// When nonces cannot be redeemed: the request is answered with 503.
    async fn admit(
        &self,
        nonce: (&ProfileName, &str),
        account: Option<&AccountId>,
        order: Option<&OrderId>,
    ) -> Result<Admitted, NoncesUnavailable>;
}
