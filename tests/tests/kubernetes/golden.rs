//! What is installed, checked in: a change of a template shows in review as what it changes.

use anyhow::ensure;

use crate::chart::{SETS, render, renew, values};

#[test]
fn each_set_of_values_installs_what_is_checked_in() -> anyhow::Result<()> {
    for set in SETS {
        let file =
            acceptance::workspace().join(format!("tests/tests/kubernetes/golden/{set}.yaml"));
        let text = render(&values(set)?)?.text();
        if renew() {
            std::fs::write(&file, &text)?;
        }
        let golden = std::fs::read_to_string(&file).unwrap_or_default();
        ensure!(golden == text, "{set} renders otherwise: look at the diff of `make golden`");
    }
    Ok(())
}
