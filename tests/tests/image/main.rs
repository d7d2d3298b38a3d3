//! The OCI image that `make image` builds: the same each time, and all that an unprivileged server needs.

#[cfg(test)]
mod dockerfile;
#[cfg(test)]
mod layout;
#[cfg(test)]
mod running;
