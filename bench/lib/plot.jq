# results.json as a plot: what each contender does in a second, as horizontal bars. Its grey can be read on white and on black.
include "results";

def escape: gsub("&"; "&amp;") | gsub("<"; "&lt;") | gsub("`"; "");
def thousands: round | tostring | explode | reverse | [_nwise(3)] | map(reverse | implode) | reverse | join("\u202f");
def colour: if . == "constant" or . == "sign" then "#8b949e" elif . == "plain" or . == "node" then "#d9822b" else "#2f81f7" end;

. as $all
| [names | to_entries[] | select(.key | startswith("seen_") | not) | .key as $contender | { $contender, name: (.value | escape), rates: [(64, 256) as $n | { connections: $n, rate: ($all | rate($contender; $n)) } | select(.rate)] } | select(.rates != [])] as $bars
| ([$bars[].rates[].rate] | max) as $most
| (310) as $left | 520 as $width | 46 as $step | 62 as $top
| ($top + $step * ($bars | length)) as $bottom
| "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 920 \($bottom + 22)\" width=\"920\" height=\"\($bottom + 22)\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#7a828c\" role=\"img\">",
  "<title>Requests a second of each contender</title>",
  "<text x=\"0\" y=\"18\" font-size=\"17\" font-weight=\"600\">Requests a second</text>",
  "<text x=\"0\" y=\"40\">upper bar: 64 connections; lower bar: 256. \($all.machine.cores) cores for server, Postgres and load; \($all.date)</text>",
  ($bars | to_entries[] | .value as $bar | ($top + $step * .key) as $y
    | "<text x=\"\($left - 10)\" y=\"\($y + 23)\" text-anchor=\"end\">\($bar.name)</text>",
      ($bar.rates | to_entries[] | ($y + 2 + 18 * .key) as $at | ([$width * .value.rate / $most, 1] | max * 10 | round / 10) as $long
        | "<rect x=\"\($left)\" y=\"\($at)\" width=\"\($long)\" height=\"16\" rx=\"2\" fill=\"\($bar.contender | colour)\" fill-opacity=\"\(if .value.connections == 64 then 0.7 else 1 end)\"/>",
          "<text x=\"\($left + $long + 6)\" y=\"\($at + 12.5)\" font-size=\"12\">\(.value.rate | thousands)</text>")),
  "</svg>"
