# results.json as the tables of bench/README.md.
include "results";

def milliseconds: if . == null then "–" else . / 1000 | if . < 10 then . * 100 | round / 100 else . * 10 | round / 10 end | "\(.) ms" end;
def decimals: if . == null then "–" else . * 10 | round / 10 | tostring end;
def times: if . == null then "–" else . * 100 | round / 100 | tostring end;
def thousands: round | tostring | explode | reverse | [_nwise(3)] | map(reverse | implode) | reverse | join(" ");
def whole: if . == null then "–" else thousands end;

def row($name; $contender; $connections): . as $all | cells($contender; $connections) as $cells
  | if $cells == [] then empty else
    [$cells[] | .requests_per_second * .uploads_per_request] as $rates
    | ($cells | map(.requests * .uploads_per_request) | add) as $uploads
    | ($cells | map(select(.rows) | .rows) | add) as $rows
    # A table grows by many pages at a time, so all that the contender wrote is taken together.
    | [$all.cells[] | select(.contender == $contender and .rows)] as $written
    | [ $name, ($rates | median | whole) + (if $cells[0].uploads_per_request > 1 then " (\([$cells[].requests_per_second] | median | whole) requests)" else "" end), "\($rates | min | whole) – \($rates | max | whole)",
        ($cells | map(.p50_us) | median | milliseconds), ($cells | map(.p99_us) | median | milliseconds),
        (($cells | map(.server_cpu_us) | add) / $uploads | decimals),
        (if $rows then ($cells | map(.postgres_cpu_us) | add) / $uploads | decimals else "–" end),
        (if $rows then ($cells | map(.wal_bytes) | add) / $rows | whole else "–" end),
        (if $rows then ($written | map(.table_bytes) | add) / ($written | map(.rows) | add) | whole else "–" end),
        ($cells | map(.server_resident_bytes) | max / 1e6 | whole),
        (ratio($rates | median; $all | rate("api_key"; $connections)) | times),
        (ratio($rates | median; $all | rate("sign"; $connections)) | times) ]
    | "| " + join(" | ") + " |" end;

def others: ([.cells[].others_cpu_us] | add) / ([.cells[].seconds] | add) / 1e6 / .machine.cores | [., 0] | max;

def half_row($all): . as $half | "| \($all | names[$half.contender]) | \(.connections) | \(.rate | whole) | \(if .share then "\(.share * 100 | round) %" else "–" end) | \(.p50 | milliseconds) | \(.p99 | milliseconds) | \(.ratio | times) |";

def tenants_row($name; $contender; $connections): cells($contender; $connections) as $cells
  | if $cells == [] then empty else [$cells[].requests_per_second] as $rates
    | "| \($name) | \($connections) | \($rates | median | whole) | \($rates | min | whole) – \($rates | max | whole) | \($cells | map(.p99_us) | median | milliseconds) | \($cells | map(.server_cpu_us) | add / ($cells | map(.requests) | add) | decimals) | \($cells | map(.server_resident_bytes) | max / 1e6 | whole) |" end;

def head: "| | a second | spread | p50 | p99 | server, CPU µs | Postgres, CPU µs | WAL, bytes | table, bytes | resident, MB | to ours | to signing |",
          "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

. as $all
| "\(.date), version \(.commit), on \(.machine.cpu), \(.machine.cores) cores, \(.machine.memory_bytes / 1e9 | round) GB, \(.machine.kernel), \(.machine.file_system); Postgres \(.machine.postgres); Node \(.machine.node).",
  "Medians of \(.load.rounds) rounds of \(.load.duration_seconds) s each, after \(.load.warm_up_seconds) s of warming up; "
    + (if .load.gateway_settings == [] then "the gateway with its default settings." else "the gateway with \(.load.gateway_settings | map("`\(.)`") | join(", "))." end)
    + " Other processes took \(others * 100 | . * 10 | round / 10) % of the machine meanwhile\(if others > 0.05 then ": **too busy for figures that are worth much**" else "" end).",
  "",
  "| aim | connections | found | |", "|---|--:|--:|---|",
  (targets[] | "| \(.aim) | \(.connections) | \(.found // "–") | \(if .met == null then "not measured" elif .met then "met" else "**missed**" end) |"),
  (connections[] as $connections
    | "", "### \($connections) connection\(if $connections == 1 then "" else "s" end)", "", head,
      (names | keys_unsorted)[] as $contender
    | select($contender | startswith("seen_") | not)
    | $all | row(names[$contender]; $contender; $connections)),
  (if half_loads != [] then
      "", "### Half of the saturating load", "", "| | connections | a second | of the most | p50 | p99 | p99 / p50 |", "|---|--:|--:|--:|--:|--:|--:|", (half_loads[] | half_row($all)) else empty end),
  (if rate("tenants_many"; 64) // rate("tenants_many"; 256) then
      "", "### Many tenants", "", "| | connections | a second | spread | p99 | server, CPU µs | resident, MB |", "|---|--:|--:|--:|--:|--:|--:|",
      (connections[] as $connections | $all | tenants_row("1 tenant"; "tenants_1"; $connections), tenants_row("\(.load.tenants) tenants"; "tenants_many"; $connections)) else empty end),
  (if rate("seen_off"; 64) // rate("seen_off"; 256) then
      "", "### Seen from outside", "", "| | connections | a second | spread | p99 | server, CPU µs | resident, MB | to telemetry off |", "|---|--:|--:|--:|--:|--:|--:|--:|",
      (connections[] as $connections | (names | keys_unsorted)[] | select(startswith("seen_")) as $contender
        | $all | tenants_row(names[$contender]; $contender; $connections) + " \(ratio($all | rate($contender; $connections); $all | rate("seen_off"; $connections)) | times) |") else empty end)
