# shellcheck shell=bash disable=SC2154
# Load, and what is read off the machine meanwhile.

# load CONTENDER CONNECTIONS SECONDS [THINK_MS]: wrk's figures go to $dir/wrk.json. An error of any kind ends the run.
load() {
  local contender=$1 connections=$2 seconds=$3 errors body api_keys
  body=$(body_of "$contender")
  api_keys=$(api_keys_of "$contender")
  rm -f "$dir/wrk.json"
  (
    export WRK_REPORT=$dir/wrk.json
    if [ -n "$body" ]; then export WRK_BODY=$body; fi
    if [ -n "$api_keys" ]; then export WRK_API_KEYS=$api_keys WRK_TURNS=$TENANTS; fi
    if [ -n "${4:-}" ]; then export WRK_THINK_MS=$4; fi
    exec wrk -t1 "-c$connections" "-d${seconds}s" --timeout 5s -s bench/lib/load.lua -H "Authorization: Bearer $(credential_of "$contender")" "http://127.0.0.1:$port$(target_of "$contender")"
  ) >"$dir/wrk.out" 2>&1 || { cat "$dir/wrk.out" >&2; fail "$contender, $connections connections: wrk failed"; }
  kill -0 "$server_pid" 2>/dev/null || fail "$contender, $connections connections: the server died"
  errors=$(jq -r 'if .errors > 0 or .requests == 0 then "\(.errors) errors in \(.requests) answers: \(.error_kinds)" else "" end' "$dir/wrk.json")
  if [ -n "$errors" ]; then fail "$contender, $connections connections: $errors"; fi
}

# One request by hand, so that a contender that is set up wrongly is told with its answer.
try_server() {
  local contender=$1 body answer
  body=$(body_of "$contender")
  answer=$(curl -sS -H "Authorization: Bearer $(credential_of "$contender")" -H 'Content-Type: application/json' ${body:+-d "$body"} "http://127.0.0.1:$port$(target_of "$contender")")
  case $contender,$answer in
    constant,*'"success"'* | *,*'"url":"http://127.0.0.1:9000/alpha-uploads/'*X-Amz-Signature*) ;;
    *) fail "$contender answers: $answer" ;;
  esac
}

# Before it is measured: compiled by its JIT, connected to Postgres, and with all that it remembers in memory.
warm_up() {
  local contender=$1 answered=0 wanted=1 connections=64 seconds=$WARMUP
  case $contender in
    # Each of the first answers needs several queries, on few connections to Postgres: with many clients some would wait longer than they may.
    # Each load begins with the same tenants, so it takes one that comes to the end of them: however long that is.
    tenants_many) wanted=$((2 * TENANTS)) connections=8 seconds=$((5 * WARMUP)) ;;
    # Its compiler takes its time.
    node) wanted=5000 ;;
  esac
  while [ "$answered" -lt "$wanted" ]; do
    load "$contender" "$connections" "$seconds"
    if [ "$contender" = tenants_many ]; then answered=0 seconds=$((2 * seconds)); fi
    answered=$((answered + $(jq .requests "$dir/wrk.json")))
  done
}

# Counting can be deceived by rows of requests that were cut off. So, for a second, each object key that was answered is looked for.
prove_rows() {
  local contender=$1 found
  WRK_OBJECT_KEYS=$dir/object_keys load "$contender" 64 1
  found=$(psql -XqAt -F ' ' -v ON_ERROR_STOP=1 "$(database_url "$contender")" -c "CREATE TEMP TABLE answered (object_key text)" \
    -c "\\copy answered FROM '$dir/object_keys'" -c "SELECT count(*), count(*) FILTER (WHERE object_key NOT IN (SELECT object_key FROM uploads)) FROM answered")
  case $found in
    "0 "*) fail "$contender: no answer had an object key" ;;
    *" 0") ;;
    *) fail "$contender: of ${found% *} answers ${found#* } have no row" ;;
  esac
}

# cell CONTENDER CONNECTIONS ROUND [THINK_MS]: one measurement, as a line of $dir/cells.
cell() {
  local contender=$1 connections=$2 round=$3 think=${4:-} before="0 0 0" after="0 0 0" server postgres all busy uploads
  uploads=$(uploads_of "$contender")
  if is_recording "$contender"; then before=$(ledger "$contender"); fi
  server=$(tree_usage "$server_pid") postgres=$(tree_usage "$postgres_pid") all=$(tree_usage $$) busy=$(machine_busy)
  load "$contender" "$connections" "$DURATION" "$think"
  server+=" $(tree_usage "$server_pid")" postgres+=" $(tree_usage "$postgres_pid")" all+=" $(tree_usage $$)" busy+=" $(machine_busy)"
  if is_recording "$contender"; then after=$(ledger "$contender"); fi
  jq -c --arg contender "$contender" --argjson connections "$connections" --argjson round "$round" --argjson think "${think:-0}" --argjson uploads "$uploads" \
    --argjson recorded "$(is_recording "$contender" && echo true || echo false)" \
    --arg server "$server" --arg postgres "$postgres" --arg all "$all" --arg busy "$busy" --arg ledger "$before $after" '
    def numbers: split(" ") | map(tonumber);
    . as $wrk | ($server | numbers) as $server | ($postgres | numbers) as $postgres | ($ledger | numbers) as $ledger | ($all | numbers) as $all | ($busy | numbers) as $busy
    | { $contender, $connections, $round, think_ms: $think, uploads_per_request: $uploads,
        requests: $wrk.requests, seconds: $wrk.seconds, requests_per_second: ($wrk.requests / $wrk.seconds),
        p50_us: $wrk.p50_us, p99_us: $wrk.p99_us, max_us: $wrk.max_us,
        server_cpu_us: ($server[2] - $server[0]), server_resident_bytes: $server[3], postgres_cpu_us: ($postgres[2] - $postgres[0]),
        load_cpu_us: ($all[2] - $all[0] - $server[2] + $server[0] - $postgres[2] + $postgres[0]), others_cpu_us: ($busy[1] - $busy[0] - $all[2] + $all[0]) }
    | if $recorded then . + { rows: ($ledger[3] - $ledger[0]), wal_bytes: ($ledger[4] - $ledger[1]), table_bytes: ($ledger[5] - $ledger[2]) } else . end
    ' "$dir/wrk.json" >"$dir/cell"
  check_rows "$dir/cell"
  cat "$dir/cell" >>"$dir/cells"
  say "$(jq -r '"  \(.contender), \(.connections) connections\(if .think_ms > 0 then " that think \(.think_ms) ms" else "" end): " +
    "\(.requests_per_second | round) requests a second, p50 \(.p50_us) µs, p99 \(.p99_us) µs"' "$dir/cell")"
}

# Every answer has its rows; beyond that there may be those of requests that were under way when wrk hung up.
check_rows() {
  local wrong
  wrong=$(jq -r 'if .rows == null or (.rows >= .requests * .uploads_per_request and .rows <= (.requests + .connections) * .uploads_per_request) then "" else
    "\(.requests) answers on \(.connections) connections, and \(.rows) rows" end' "$1")
  if [ -n "$wrong" ]; then fail "$(jq -r .contender "$1"): $wrong"; fi
}

# Half of the saturating load, on as many connections, which pause between requests. wrk waits for answers, so the pause is found in two steps.
half_load() {
  local contender=$1 round=$2 connections=256 think saturated
  saturated=$(jq -s --arg contender "$contender" --argjson round "$round" --argjson connections "$connections" \
    'map(select(.contender == $contender and .round == $round and .connections == $connections)) | first.requests_per_second // empty' "$dir/cells")
  if [ -z "$saturated" ]; then return; fi
  think=$(jq -n --argjson saturated "$saturated" --argjson connections "$connections" '1000 * $connections / ($saturated / 2) | . * 100 | round / 100')
  load "$contender" "$connections" "$WARMUP" "$think"
  think=$(jq --argjson saturated "$saturated" --argjson connections "$connections" --argjson think "$think" '
    ($think + 1000 * $connections / ($saturated / 2) - 1000 * $connections / (.requests / .seconds)) | [., 1] | max | . * 100 | round / 100' "$dir/wrk.json")
  cell "$contender" "$connections" "$round" "$think"
}
