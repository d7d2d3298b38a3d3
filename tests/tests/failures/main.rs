//! Power cuts and damaged files on one machine: what was acknowledged is there, and nothing is there twice.

#[cfg(test)]
mod damage;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod load;
#[cfg(test)]
mod power_cut;
#[cfg(test)]
mod story;
