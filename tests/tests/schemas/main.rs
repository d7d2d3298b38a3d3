//! The published schemas are those of the code, what was published once stays readable for ever, and requests are answered as
//! described.

#[cfg(test)]
mod drift;
#[cfg(test)]
mod history;
#[cfg(test)]
mod openapi;
