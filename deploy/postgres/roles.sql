-- The three roles, and the database. Run this once, as a superuser or a role that may create both: `presign-gateway database roles` prints
-- it. Then give each role a password, in psql with \password presign_owner and so on. Without one a role cannot log in by password.

-- Owns the tables. Only `migrate` and `database grant` use it.
CREATE ROLE presign_owner LOGIN;
-- The gateway and the command line. It cannot alter a table or delete a row of the ledger.
CREATE ROLE presign LOGIN;
-- People and tools that only read.
CREATE ROLE presign_reader LOGIN;

CREATE DATABASE presign OWNER presign_owner;
-- By default everybody in the cluster may connect and create temporary tables.
REVOKE ALL ON DATABASE presign FROM PUBLIC;
GRANT CONNECT ON DATABASE presign TO presign, presign_reader;
