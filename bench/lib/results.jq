# What is asked of the cells of results.json: medians over rounds, and what follows from them.

def median: sort | if length == 0 then null else (.[(length - 1) / 2 | floor] + .[length / 2 | floor]) / 2 end;

# Cells of one contender at so many connections, without pauses.
def cells($contender; $connections): [.cells[] | select(.contender == $contender and .connections == $connections and .think_ms == 0)];

def rate($contender; $connections): [cells($contender; $connections)[] | .requests_per_second * .uploads_per_request] | median;

def ratio($a; $b): if $a == null or $b == null then null else $a / $b end;

def names: {
  constant: "floor: axum, a constant answer", sign: "floor: axum and aws-sigv4, signing only",
  api_key: "ours, API key", hs256: "ours, JWT HS256", es256: "ours, JWT ES256", rs256: "ours, JWT RS256",
  uploads: "ours, `POST /v1/uploads`", batch: "ours, `POST /v1/uploads/batch` of \(.load.batch), uploads",
  seen_off: "telemetry off: no metrics, no lines", seen_metrics: "with metrics",
  seen_usual: "as it comes: metrics, and the log", seen_1_percent: "and all of it to a collector, 1 % traced",
  seen_all: "and all of it to a collector, each request traced",
  plain: "axum, aws-sdk-s3, sqlx", node: "Fastify, AWS SDK, pg" };

def connections: [.cells[] | select(.think_ms == 0).connections] | unique;

# Half of the saturating load: a row for each contender that was measured so.
def half_loads: . as $all | [.cells[] | select(.think_ms > 0)] | group_by(.contender)
  | map({ contender: .[0].contender, connections: .[0].connections, rate: (map(.requests_per_second) | median),
          p50: (map(.p50_us) | median), p99: (map(.p99_us) | median), ratio: (map(.p99_us / .p50_us) | median) }
        | .share = ratio(.rate; . as $half | $all | rate($half.contender; $half.connections)));

def resident($contender): [.cells[] | select(.contender == $contender) | .server_resident_bytes] | max;

# Each aim, as { aim, connections, found, met }; found is null where a contender is missing.
def targets: . as $all
  | def aim($text; $connections; $value; $unit; met): { aim: $text, connections: $connections, met: (if $value == null then null else ($value | met) end),
      found: (if $value == null then null elif $unit == "%" then "\($value * 1000 | round / 10) %" elif $unit == "MB" then "\($value / 1e6 | round) MB" else "\($value * 100 | round / 100)×" end) };
  [ (64, 256) as $n
    | ($all | rate("api_key"; $n)) as $ours | ($all | rate("hs256"; $n)) as $hs256
    | aim("ours with API key at least 20 × Fastify"; $n; ratio($ours; $all | rate("node"; $n)); "×"; . >= 20),
      aim("ours with API key at least 4 × the plain Rust peer"; $n; ratio($ours; $all | rate("plain"; $n)); "×"; . >= 4),
      aim("ours with API key at least 70 % of signing only"; $n; ratio($ours; $all | rate("sign"; $n)); "%"; . >= 0.7),
      aim("ours with HS256 at least 60 % of signing only"; $n; ratio($hs256; $all | rate("sign"; $n)); "%"; . >= 0.6),
      aim("ES256 at least 85 % of HS256"; $n; ratio($all | rate("es256"; $n); $hs256); "%"; . >= 0.85),
      aim("RS256 at least 85 % of HS256"; $n; ratio($all | rate("rs256"; $n); $hs256); "%"; . >= 0.85) ]
  + [ ("api_key", "hs256") as $contender | ($all | names[$contender]) as $name
    | aim("p99 at half load at most 5 × p50: \($name)"; 256; ($all | half_loads | map(select(.contender == $contender)) | first.ratio // null); "×"; . <= 5) ]
  + [ (64, 256) as $n
    | aim("\($all.load.tenants) tenants at least 90 % of one"; $n; ratio($all | rate("tenants_many"; $n); $all | rate("tenants_1"; $n)); "%"; . >= 0.9) ]
  + [ (64, 256) as $n
    | aim("with no exporter at least 97 % of telemetry off"; $n; ratio($all | rate("seen_usual"; $n); $all | rate("seen_off"; $n)); "%"; . >= 0.97),
      aim("with 1 % traced at least 90 % of telemetry off"; $n; ratio($all | rate("seen_1_percent"; $n); $all | rate("seen_off"; $n)); "%"; . >= 0.9) ]
  + [ aim("\($all.load.tenants) tenants in less than 200 MB"; 256; ($all | resident("tenants_many")); "MB"; . < 200e6) ]
  | sort_by(.connections);
