//! The projector role in process, over an embedded log and a read model apart from it.

#[cfg(test)]
mod index;
#[cfg(test)]
mod observed;
#[cfg(test)]
mod rebuild;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod unreplaced;
#[cfg(test)]
mod views;
