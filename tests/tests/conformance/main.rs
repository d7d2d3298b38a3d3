//! docs/rfc-conformance.md is true: the tests it names are there, and what it says of Pebble is what is seen.

#[cfg(test)]
mod differences;
#[cfg(test)]
mod document;
#[cfg(test)]
mod named_tests;
#[cfg(test)]
mod observed;
#[cfg(test)]
mod script;
