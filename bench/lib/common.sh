# shellcheck shell=bash disable=SC2154
# What all parts of bench/run and bench/compare use.

say() { echo "$(date -u +%H:%M:%S) $*" >&2; }
die() { echo "$0: $*" >&2; exit 1; }

# A port that nobody listens on, below those that the kernel hands out itself.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((RANDOM % 12000 + 20000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
  done
  die "no port is free"
}

# Processor time in microseconds and resident bytes of a process and all below it. Time of processes that ended is with those that waited for them.
tree_usage() {
  { cat /proc/[0-9]*/stat 2>/dev/null || true; } | awk -v root="$1" -v hz="$(getconf CLK_TCK)" -v page="$(getconf PAGESIZE)" '
    { pid = $1; sub(/^.*\) /, ""); parent[pid] = $2; ticks[pid] = $12 + $13 + $14 + $15; pages[pid] = $22 }
    END {
      for (pid in parent) {
        up = pid
        while (up != root && up in parent) up = parent[up]
        if (up == root) { time += ticks[pid]; resident += pages[pid] }
      }
      printf "%.0f %.0f\n", time * 1000000 / hz, resident * page
    }'
}

# Microseconds that all processors have worked since boot, for anybody; what a hypervisor took is in it. Interrupts are not: kernels differ in whom they count them for.
machine_busy() { awk -v hz="$(getconf CLK_TCK)" '/^cpu / { printf "%.0f", ($2 + $3 + $4 + $9) * 1000000 / hz; exit }' /proc/stat; }

# Ends a process that this script started: kindly first.
end_process() {
  local pid=$1
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}
