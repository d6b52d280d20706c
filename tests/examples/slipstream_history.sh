#!/usr/bin/env bash
# slipstream_history asks a process and reads a storage, and gets the same from both.
#   slipstream_history.sh SLIPSTREAM_HISTORY HISTORY_NODE
set -euo pipefail
history=$1
node=$2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

coproc NODE { exec "$node" "$work/node"; }
node_pid=$NODE_PID
trap 'kill "$node_pid" 2>/dev/null || true; rm -rf "$work"' EXIT
read -r -t 60 word port <&"${NODE[0]}" || fail "the node does not start"
[ "$word" = ready ] || fail "the node says $word $port"

process=(--endpoint "127.0.0.1:$port")
storage=(--storage "$work/node/storage")

# The same from both, whatever is asked for.
same() {
  "$history" "${process[@]}" --json "$@" >"$work/process" || fail "asking the process for $*"
  "$history" "${storage[@]}" --json "$@" >"$work/storage" || fail "reading the storage for $*"
  # Tasks that end in one microsecond have no order; their times differ by when the clocks were read.
  for file in process storage; do
    sed -E 's/.*"id":([0-9]+),.*/\1/' "$work/$file" | sort >"$work/$file.ids"
  done
  cmp "$work/process.ids" "$work/storage.ids" || fail "not the same for $*"
}
count() { [ "$(wc -l <"$work/process")" -eq "$1" ] || fail "expected $1 records, got $(cat "$work/process")"; }

same --limit 1000 && count 300
same --kind ingest && count 100
same --outcome failed && count 3
same --attr account=7 --attr source=web && count 1
same --from -1h --limit 299 && count 299
same --to -1h && count 0
same --kind none && count 0

# As text, in which nothing reaches the terminal but text.
"$history" "${process[@]}" --outcome failed >"$work/text"
grep -q 'failed  ingest  node-[0-9a-f]*/[0-9]*  account=300  source=web  status: reading  error: IO error: disk' \
  "$work/text" || fail "text: $(cat "$work/text")"
grep -q $'\x1b' "$work/text" && fail "an escape sequence"

# What is wrong is said, with an exit code.
expect() {
  local code=$1 text=$2
  shift 2
  local got=0
  "$history" "$@" >"$work/out" 2>&1 || got=$?
  [ "$got" -eq "$code" ] || fail "exit code $got of $*, expected $code: $(cat "$work/out")"
  grep -q -- "$text" "$work/out" || fail "$* says: $(cat "$work/out")"
}
expect 0 "Usage: slipstream_history" --help
expect 2 "storage" # neither endpoint nor storage
expect 2 "NAME=VALUE" "${process[@]}" --attr account
expect 2 "outcome" "${process[@]}" --outcome bad
expect 2 "yesterday" "${storage[@]}" --from yesterday
expect 2 "endpoint" "${process[@]}" "${storage[@]}"
expect 1 "no such directory" --storage "$work/none"
expect 0 "no object" --storage "$work/node/storage" --prefix other
echo '{"v":1,"inst' >>"$(ls "$work"/node/storage/observe/tasks/*.jsonl | head -1)"
expect 0 "1 lines that are torn" "${storage[@]}" --limit 1

# An answer of the process does not come, and the storage still does.
kill "$node_pid"
wait "$node_pid" 2>/dev/null || true
expect 1 "127.0.0.1:$port" "${process[@]}"
expect 0 "failed" "${storage[@]}" --outcome failed
echo "slipstream_history: all as expected"
