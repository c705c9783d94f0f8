# shellcheck shell=bash disable=SC2154
# The contenders: how each is made ready, started and asked.

server_pid=""

# The program's settings, as an operator gives them; PRESIGN__… of the environment reach it too, and are told in the results.
gateway_settings() {
  export DATABASE_URL PRESIGN__VAULT__KEYS PRESIGN__OUTBOUND__ALLOWED_HOSTS=127.0.0.1:9000
  DATABASE_URL=$(database_url "$1")
  PRESIGN__VAULT__KEYS=$(<"$dir/sealing.keys")
  # What is told to the outside; all else is asked at log level warn, with metrics.
  case $1 in
    seen_off) export PRESIGN__TELEMETRY__METRICS=false ;;
    seen_usual | seen_1_percent | seen_all) export PRESIGN__TELEMETRY__LEVEL=info ;;
  esac
  case $1 in
    seen_1_percent) export OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=0.01 ;;
    seen_all) export OTEL_TRACES_SAMPLER=always_on ;;
  esac
  if [ -n "$sink_port" ]; then export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:$sink_port OTEL_METRIC_EXPORT_INTERVAL=1000; fi
}

# A collector that takes everything and keeps nothing.
sink_pid="" sink_port=""
start_sink() {
  sink_port=$(free_port)
  (LISTEN=127.0.0.1:$sink_port exec "$FLOOR_BIN") >"$dir/sink.log" 2>&1 &
  sink_pid=$!
  for _ in $(seq 100); do
    if grep -q "^127.0.0.1:$sink_port" "$dir/sink.log"; then return; fi
    sleep 0.1
  done
  die "the collector does not start"
}

stop_sink() {
  if [ -z "$sink_pid" ]; then return 0; fi
  end_process "$sink_pid"
  sink_pid="" sink_port=""
}

# gateway DATABASE ARGUMENT…: a command of the program.
gateway() (
  gateway_settings "$1"
  shift
  "$PRESIGN_BIN" "$@"
)

# A database with one tenant, which each contender of ours gets a copy of.
make_one_tenant() {
  "$PRESIGN_BIN" keyring generate >"$dir/sealing.keys" 2>/dev/null
  sql postgres "CREATE DATABASE template_one"
  {
    gateway template_one migrate &&
      gateway template_one tenant create bench --rate "$RATE" --burst "$RATE" &&
      gateway template_one bucket add bench --endpoint http://127.0.0.1:9000 --region auto --bucket alpha-uploads \
        --access-key-id AKIAIOSFODNN7EXAMPLE --secret-stdin <<<'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' &&
      gateway template_one jwt-issuer add bench --issuer bench-hs256 --audience uploads --algorithm HS256 --secret-file "$dir/jwt/hs256" &&
      gateway template_one jwt-issuer add bench --issuer bench-es256 --audience uploads --algorithm ES256 --pem-file "$dir/jwt/es256" &&
      gateway template_one jwt-issuer add bench --issuer bench-rs256 --audience uploads --algorithm RS256 --pem-file "$dir/jwt/rs256"
  } >"$dir/setup.log" 2>&1 || { cat "$dir/setup.log" >&2; die "the tenant could not be made"; }
  api_key=$(gateway template_one api-key create bench --label bench)
  echo "$api_key" >"$dir/one_api_key"
}

# A database with many more of them, each with a bucket and an API key.
make_many_tenants() {
  local phase operator_key maker
  say "making $TENANTS tenants"
  copy_database template_one template_many
  operator_key=$(gateway template_many api-key create --operator --label bench)
  start_server template_many
  for phase in tenants buckets api-keys; do
    rm -f "$dir/many_api_keys"
    WRK_PHASE=$phase WRK_COUNT=$TENANTS WRK_RATE=$RATE WRK_REPORT="$dir/many_api_keys" \
      wrk -t1 -c16 -d300s -s bench/lib/tenants.lua -H "Authorization: Bearer $operator_key" "http://127.0.0.1:$ops_port" >"$dir/wrk.out" 2>&1 &
    maker=$!
    # Done, wrk would rest until its time is over.
    while kill -0 "$maker" 2>/dev/null && [ ! -e "$dir/many_api_keys" ]; do sleep 0.2; done
    kill "$maker" 2>/dev/null || true
    wait "$maker" 2>/dev/null || true
    if [ ! -e "$dir/many_api_keys" ]; then cat "$dir/wrk.out" >&2; fail "not all $phase could be made"; fi
  done
  stop_server
}

# What runs for a contender: of ours several are one program.
kind_of() {
  case $1 in
    constant | sign) echo floor ;;
    plain | node) echo "$1" ;;
    *) echo gateway ;;
  esac
}

is_recording() { [ "$(kind_of "$1")" != floor ]; }

# start_server CONTENDER: on a database of the same name.
start_server() {
  local log=$dir/server.log health=/livez
  port=$(free_port)
  ops_port=$(free_port)
  while [ "$ops_port" = "$port" ]; do ops_port=$(free_port); done
  case $1 in seen_1_percent | seen_all) start_sink ;; esac
  case $(kind_of "$1") in
    floor) (LISTEN=127.0.0.1:$port exec "$FLOOR_BIN") >"$log" 2>&1 & ;;
    plain) (LISTEN=127.0.0.1:$port DATABASE_URL=$(database_url plain) exec "$PLAIN_BIN") >"$log" 2>&1 & ;;
    node) (LISTEN=127.0.0.1:$port DATABASE_URL=$(database_url node) JWT_SECRET=$(<"$dir/jwt/hs256") NODE_ENV=production exec node bench/peers/node/server.mjs) >"$log" 2>&1 & ;;
    gateway)
      (
        gateway_settings "$1"
        # 256 batches of 20 are more rows at once than the usual queue has room for.
        if [ "$1" = batch ]; then export PRESIGN__UPLOADS__RECORDER_QUEUE=16384; fi
        PRESIGN__SERVER__LISTEN=127.0.0.1:$port PRESIGN__SERVER__OPS_LISTEN=127.0.0.1:$ops_port exec "$PRESIGN_BIN" serve
      ) >"$log" 2>&1 &
      health=/readyz
      ;;
  esac
  server_pid=$!
  for _ in $(seq 300); do
    kill -0 "$server_pid" 2>/dev/null || fail "it ended before it listened"
    if [ "$health" = /livez ]; then
      # The peers print their address when they listen.
      if grep -q "^127.0.0.1:$port" "$log" && curl -s -o /dev/null "http://127.0.0.1:$port/"; then return; fi
    elif curl -sf -o /dev/null "http://127.0.0.1:$ops_port$health"; then return; fi
    sleep 0.1
  done
  fail "it does not answer"
}

stop_server() {
  if [ -z "$server_pid" ]; then return 0; fi
  end_process "$server_pid"
  server_pid=""
  stop_sink
}

# Ends the run, with what the server said last.
fail() {
  echo "what the server complained of last:" >&2
  { grep -v '"level":"INFO"' "$dir/server.log" || true; } | tail -n 5 | cut -c1-2000 >&2
  die "$*"
}

# What a contender is asked: path and query.
target_of() {
  case $1 in
    constant) echo /constant ;;
    sign) echo /sign ;;
    uploads) echo /v1/uploads ;;
    batch) echo /v1/uploads/batch ;;
    *) echo '/oss/presign?ext=jpg&width=100&height=100&type=origin' ;;
  esac
}

credential_of() {
  case $1 in
    hs256 | es256 | rs256) cat "$dir/jwt/$1.token" ;;
    node) cat "$dir/jwt/hs256.token" ;;
    *) echo "$api_key" ;;
  esac
}

# One body for one upload; empty where the contender is asked by GET.
body_of() {
  local one='{"ext":"jpg"}'
  case $1 in
    uploads) echo "$one" ;;
    batch) printf '{"uploads":[%s' "$one"; for _ in $(seq 2 "$BATCH"); do printf ',%s' "$one"; done; echo ']}' ;;
  esac
}

# The file of API keys that are taken in turn, where they are.
api_keys_of() {
  case $1 in
    tenants_1) echo "$dir/one_api_key" ;;
    tenants_many) echo "$dir/many_api_keys" ;;
  esac
}

uploads_of() { if [ "$1" = batch ]; then echo "$BATCH"; else echo 1; fi; }
