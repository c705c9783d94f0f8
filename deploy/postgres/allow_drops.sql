-- Lets the gateway drop old months of the ledger (`uploads.retention_months`). grants.sql does not give this right: whoever has the gateway's
-- password could then drop every month but the last. The owner runs this after grants.sql: `presign-gateway database grant --allow-drops`.
GRANT EXECUTE ON FUNCTION drop_upload_partition TO presign;
