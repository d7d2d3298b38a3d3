//! Who gives a command, as the operating system knows them.

use std::{fs, os::unix::fs::MetadataExt as _};

/// Names the person or script that runs this process: whoever called sudo, else the user of the process.
pub(crate) fn name() -> String {
    let caller = std::env::var("SUDO_USER").ok().filter(|name| is_plain(name));
    caller.unwrap_or_else(user)
}

/// `/proc/self` belongs to the user of the process.
fn user() -> String {
    let Ok(own) = fs::metadata("/proc/self") else { return "unknown".to_owned() };
    let uid = own.uid().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    named(&users, &uid).unwrap_or_else(|| format!("uid {uid}"))
}

fn named(users: &str, uid: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(2) == Some(&uid)).then(|| fields[0].to_owned())
    })
}

/// The name is stored for ever and shown to people.
fn is_plain(name: &str) -> bool {
    const MAX_BYTES: usize = 64;
    (1..=MAX_BYTES).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_by_the_number_of_the_process() {
        let users = "root:x:0:0:root:/root:/bin/sh\nca:x:1000:1000::/home/ca:/bin/sh\nbroken";
        assert_eq!(named(users, "1000").as_deref(), Some("ca"));
        assert_eq!(named(users, "100"), None);
        assert!(!name().is_empty());
    }

    #[test]
    fn a_name_that_could_hide_something_is_not_taken() {
        assert!(is_plain("alice"));
        assert!(!is_plain("alice\nroot"));
        assert!(!is_plain(""));
    }
}
