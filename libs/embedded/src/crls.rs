//! The CRLs that were published last.

use domain::{CrlName, Timestamp};
use eventstore::Sequence;
use readmodel::Crl;
use rusqlite::{Connection, Row, params};

use crate::{
    chain::Hash,
    error::{Damage, ReadError},
    schema::column,
};

/// Publishes a CRL unless one with the same or a higher number is there.
pub(crate) fn store(connection: &Connection, name: &CrlName, crl: &Crl) -> rusqlite::Result<()> {
    // The column was named when each issuer had one CRL, whose name is the issuer's id.
    let name = name.to_string();
    connection
        .prepare_cached(
            "INSERT INTO crls (issuer, number, next_update, der, checksum) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET number = excluded.number, der = excluded.der,
                 next_update = excluded.next_update, checksum = excluded.checksum
             WHERE excluded.number > number",
        )?
        .execute(params![
            name,
            column(Sequence(crl.number)),
            crl.next_update.unix_millis(),
            crl.der,
            checksum(&name, crl),
        ])?;
    Ok(())
}

/// Every CRL.
pub(crate) fn all(connection: &Connection) -> Result<Vec<(CrlName, Crl)>, ReadError> {
    connection
        .prepare("SELECT issuer, number, next_update, der, checksum FROM crls")?
        .query_and_then((), read)?
        .collect()
}

fn read(row: &Row<'_>) -> Result<(CrlName, Crl), ReadError> {
    let text: String = row.get(0)?;
    let next_update = Timestamp::from_unix_millis(row.get(2)?);
    let crl = Crl { der: row.get(3)?, number: row.get(1)?, next_update };
    match text.parse() {
        Ok(name) if row.get::<_, Hash>(4)? == checksum(&text, &crl) => Ok((name, crl)),
        Ok(_) | Err(_) => Err(Damage::Checksum(format!("the CRL {text:?}")).into()),
    }
}

fn checksum(name: &str, crl: &Crl) -> Hash {
    let number = column(Sequence(crl.number)).to_be_bytes();
    let next_update = crl.next_update.unix_millis().to_be_bytes();
    Hash::of_fields(&[name.as_bytes(), &number, &next_update, &crl.der])
}
