//! Checks that a statement wrote the rows that it had to write.

use sqlx::postgres::PgQueryResult;

use super::StoreError;

/// Requires that an `UPDATE` or a `DELETE` wrote exactly this many rows. It is for rows that must be there: a lock holds
/// them, or nothing ever deletes them. A statement with conditions that may fail tells how many rows it wrote instead.
///
/// # Errors
/// [`StoreError::WrongRowCount`] if it wrote another number of rows; the transaction should be dropped.
pub(super) fn require_rows(result: &PgQueryResult, expected: u64) -> Result<(), StoreError> {
    let written = result.rows_affected();
    if written == expected { Ok(()) } else { Err(StoreError::WrongRowCount { expected, written }) }
}
