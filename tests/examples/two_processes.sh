#!/usr/bin/env bash
# Plays with examples/two_processes as a person would: a leader, a follower, a leader that is killed
# and started again on the same port.
# usage: two_processes.sh PROGRAM
set -euo pipefail
program=$1
dir=$(mktemp -d)
leader_pid=
follower_pid=
trap 'kill -9 $leader_pid $follower_pid 2>/dev/null || true; rm -rf "$dir"' EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }

start() {  # start NAME ARGUMENTS...: a process with its own input and output pipes
  local name=$1
  shift
  mkfifo "$dir/$name.in" "$dir/$name.out"
  "$program" "$@" <"$dir/$name.in" >"$dir/$name.out" 2>"$dir/$name.err" &
  eval "${name}_pid=$!"
}

expect() {  # expect FD TEXT: the next line holds the text
  local line
  read -r -t 30 -u "$1" line || fail "no answer, expected '$2'"
  [[ $line == *"$2"* ]] || fail "answered '$line', expected '$2'"
  last=$line
}

start leader leader "$dir/data" 0
exec 3>"$dir/leader.in" 4<"$dir/leader.out"
expect 4 "listening on"
address=${last##* }
start follower follower "$dir/data" "$address"
exec 5>"$dir/follower.in" 6<"$dir/follower.out"
expect 6 "connecting to"
expect 6 "connected at position"

echo "put fruit apple" >&3
expect 4 "at position"
echo "wait ${last##* }" >&5
expect 6 "shows"
echo "get fruit" >&5
expect 6 "apple"

echo "flush" >&3
kill -9 "$leader_pid"
wait "$leader_pid" 2>/dev/null || true
exec 3>&- 4<&-
rm "$dir/leader.in" "$dir/leader.out"

echo "get fruit" >&5  # reads go on without a leader
expect 6 "apple"

start leader leader "$dir/data" "${address##*:}"
exec 3>"$dir/leader.in" 4<"$dir/leader.out"
expect 4 "listening on"
echo "put fruit cherry" >&3
expect 4 "at position"
echo "wait ${last##* }" >&5
expect 6 "shows"
echo "get fruit" >&5
expect 6 "cherry"

echo "put fruit plum" >&5  # a follower refuses, says why, and its exit code tells
expect 6 "follower"
echo "quit" >&5
echo "quit" >&3
wait "$leader_pid" || fail "the leader ended with $?"
if wait "$follower_pid"; then fail "the follower's exit code hides a command that failed"; fi
echo "two_processes: all as expected"
