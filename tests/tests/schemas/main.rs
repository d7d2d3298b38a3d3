//! The published schemas are those of the code, and what was published once stays readable for ever.

#[cfg(test)]
mod drift;
#[cfg(test)]
mod history;
