//! What ARCHITECTURE.md says is so: which crate may use which, what is absent, and where things are.

#[cfg(test)]
mod documents;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod table;
