//! How many files and connections the process may have open at a time.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// What a validation may have open: lookups of two kinds of addresses, each sent up to three times.
const OF_A_VALIDATION: u64 = 6;
/// What may be open beside clients' connections and validations: the log, the journal, and connections to stores.
const BESIDE: u64 = 1024;

/// Raises the limit of open files to what so many clients and validations need, and everything beside them.
///
/// Most systems let a process open 1,024 until it asks for more. Clients that are idle, or applicants that are slow, would
/// take them all, and challenges would wait for as long as none is left for a validation.
pub fn allow_open_files(clients: u32, validations: u32) {
    let needed = u64::from(clients) + OF_A_VALIDATION * u64::from(validations) + BESIDE;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return;
    }
    let allowed = maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum });
    if raised.is_err() || allowed < needed {
        let allowed = getrlimit(Resource::Nofile).current;
        warn!(
            allowed,
            needed,
            "fewer files may be open than api.max_connections and validation.concurrency ask for: raise LimitNOFILE of systemd, \
             or `ulimit -Hn`"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_may_be_open_as_clients_validations_and_all_else_need() {
        let before = getrlimit(Resource::Nofile);
        let few = Rlimit { current: Some(256), ..before };
        setrlimit(Resource::Nofile, few).unwrap();
        allow_open_files(500, 1000);
        let after = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, before).unwrap();
        assert_eq!(after.current, Some(before.maximum.map_or(7524, |maximum| maximum.min(7524))));
        assert_eq!(after.maximum, before.maximum);
    }
}
