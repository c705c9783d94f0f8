//! Checks that a statement wrote the expected number of rows.

use sqlx::postgres::PgQueryResult;

use super::StoreError;

/// Requires that an `UPDATE` or a `DELETE` wrote exactly this many rows. Use it for rows that must exist, because the
/// transaction has locked them or nothing deletes them. A statement with conditions returns what it wrote instead.
///
/// # Errors
/// [`StoreError::WrongRowCount`] if it wrote another number of rows. Drop the transaction then.
pub(super) fn require_rows(result: &PgQueryResult, expected: u64) -> Result<(), StoreError> {
    let written = result.rows_affected();
    if written == expected { Ok(()) } else { Err(StoreError::WrongRowCount { expected, written }) }
}
