//! The validator role in process: challenges become ready in a log, applicants answer on loopback.

#[cfg(test)]
mod applicant;
#[cfg(test)]
mod caa;
#[cfg(test)]
mod complaints;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod retrying;
#[cfg(test)]
mod scenario;
#[cfg(test)]
mod turns;
