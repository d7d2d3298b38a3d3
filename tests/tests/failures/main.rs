//! Power cuts, damaged files, restarts and restores: what was acknowledged is there, and nothing is there twice.

#[cfg(test)]
mod damage;
#[cfg(test)]
mod fewer_shards;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod load;
#[cfg(test)]
mod patient;
#[cfg(test)]
mod power_cut;
#[cfg(test)]
mod restoring;
#[cfg(test)]
mod rolling_restart;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod story;
