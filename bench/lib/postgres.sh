# shellcheck shell=bash disable=SC2154
# A private Postgres, with the durability and the memory that it has by default.

postgres_pid=""

# Puts Postgres's programs on PATH; fails where there are none.
find_postgres() {
  local found
  if ! command -v initdb >/dev/null || ! command -v postgres >/dev/null; then
    for found in $(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -rV) /usr/pgsql-*/bin/initdb; do
      if [ -x "$found" ]; then PATH=$(dirname "$found"):$PATH; break; fi
    done
  fi
  for found in initdb postgres psql; do command -v "$found" >/dev/null || return 1; done
}

# Postgres refuses to run as root.
as_postgres() {
  local user=nobody
  if [ "$(id -u)" -ne 0 ]; then exec "$@"; fi
  if id postgres >/dev/null 2>&1; then user=postgres; fi
  exec setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@"
}

start_postgres() {
  local user=postgres
  mkdir "$dir/postgres"
  if [ "$(id -u)" -eq 0 ]; then
    id postgres >/dev/null 2>&1 || user=nobody
    chown "$user" "$dir/postgres"
  fi
  (cd "$dir/postgres" && as_postgres initdb -D "$dir/postgres/data" -A trust -U bench -E UTF8 --no-locale) >"$dir/initdb.log" 2>&1 ||
    { cat "$dir/initdb.log" >&2; die "initdb failed"; }
  postgres_port=$(free_port)
  (cd "$dir/postgres" && as_postgres postgres -D "$dir/postgres/data" -c listen_addresses=127.0.0.1 -c "port=$postgres_port" \
    -c unix_socket_directories=) >"$dir/postgres.log" 2>&1 &
  postgres_pid=$!
  for _ in $(seq 300); do
    if sql postgres "SELECT" >/dev/null 2>&1; then return; fi
    kill -0 "$postgres_pid" 2>/dev/null || { cat "$dir/postgres.log" >&2; die "Postgres ended"; }
    sleep 0.1
  done
  die "Postgres does not answer"
}

# SIGINT is Postgres's fast end.
stop_postgres() {
  if [ -z "$postgres_pid" ]; then return 0; fi
  kill -INT "$postgres_pid" 2>/dev/null || true
  wait "$postgres_pid" 2>/dev/null || true
  postgres_pid=""
}

database_url() { echo "postgres://bench@127.0.0.1:$postgres_port/$1"; }

# Asks a database; plain text comes back, columns with spaces between.
sql() { psql -XqAt -F ' ' -v ON_ERROR_STOP=1 "$(database_url "$1")" -c "$2"; }

# A database like another one, once nobody is connected to that.
copy_database() {
  for _ in $(seq 100); do
    if sql postgres "CREATE DATABASE $2 TEMPLATE $1" 2>"$dir/copy.log"; then return; fi
    sleep 0.1
  done
  cat "$dir/copy.log" >&2
  die "the database $1 could not be copied"
}

# The rows of uploads, the WAL so far, and the bytes of heap, indexes and TOAST, over all partitions. Waits until no request is left that still writes.
ledger() {
  local before="" rows
  for _ in $(seq 50); do
    rows=$(sql "$1" "SELECT count(*) FROM uploads")
    if [ "$rows" = "$before" ]; then break; fi
    before=$rows
    sleep 0.2
  done
  sql "$1" "SELECT $rows, pg_current_wal_insert_lsn() - '0/0'::pg_lsn,
                   pg_total_relation_size('uploads') + coalesce((SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'uploads'::regclass), 0)"
}
