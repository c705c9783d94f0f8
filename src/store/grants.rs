//! Database roles and grants: the SQL files of `deploy/postgres`.
//!
//! The manual and the tests use the same files. This code never creates roles; an administrator
//! does.

use crate::store::{Store, StoreError};

/// Creates the three roles and the database.
pub const ROLES: &str = include_str!("../../deploy/postgres/roles.sql");
/// Gives the gateway's role and the reader their rights, and revokes any other right on tables.
pub const GRANTS: &str = include_str!("../../deploy/postgres/grants.sql");
/// Lets the gateway's role drop old months of the ledger.
pub const ALLOW_DROPS: &str = include_str!("../../deploy/postgres/allow_drops.sql");

/// Why the rights were not granted.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The message is the one of Postgres, which names the role.
    #[error("{0}: create the roles with the statements of `presign-gateway database roles`")]
    RoleMissing(String),
    /// If the role has some right on each table, Postgres only warns of this, and grants nothing.
    #[error("the role {role} does not own {table}: set DATABASE_URL to the role that owns the tables")]
    NotOwner { role: String, table: String },
    #[error(transparent)]
    Store(StoreError),
}

impl From<sqlx::Error> for GrantError {
    fn from(error: sqlx::Error) -> Self {
        // 42704, `undefined_object`: the statements name no objects of this kind but roles.
        match error.as_database_error() {
            Some(database) if database.code().as_deref() == Some("42704") => {
                Self::RoleMissing(database.message().to_owned())
            }
            _ => Self::Store(error.into()),
        }
    }
}

impl Store {
    /// Grants the rights of `GRANTS`, and of `ALLOW_DROPS` if `allow_drops`. May run while gateways serve, and again.
    ///
    /// # Errors
    /// A role or a table does not exist, the tables belong to another role, or the database is unreachable.
    pub async fn grant(&self, allow_drops: bool) -> Result<(), GrantError> {
        let mut connection = self.pool.acquire().await?;
        let foreign = sqlx::query!(
            r#"SELECT current_user::text AS "role!", relname::text AS "table!" FROM pg_class
               WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT pg_has_role(relowner, 'USAGE')
               ORDER BY relname LIMIT 1"#
        );
        if let Some(foreign) = foreign.fetch_optional(&mut *connection).await? {
            return Err(GrantError::NotOwner { role: foreign.role, table: foreign.table });
        }
        // A failed statement leaves its transaction open: the connection must not go back to the pool.
        connection.close_on_drop();
        sqlx::raw_sql(GRANTS).execute(&mut *connection).await?;
        if allow_drops {
            sqlx::raw_sql(ALLOW_DROPS).execute(&mut *connection).await?;
        }
        Ok(())
    }
}
