#!/usr/bin/env bash
# Uses examples/slipstream_top as a person would: in a terminal (tmux), against two processes with
# tasks, and by a script (--once --json).
# usage: slipstream_top.sh PROGRAM NODE
set -euo pipefail
program=$1
node=$2
export LC_ALL=C.UTF-8 TERM=xterm
unset SLIPSTREAM_TOKEN TMUX
dir=$(mktemp -d)
socket=$dir/tmux
pids=()
on_exit() {
  tmux -S "$socket" kill-server 2>/dev/null || true
  for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap on_exit EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }

# --- the processes that are looked at

start() {  # start NAME ARGUMENTS...: sets NAME_in, NAME_out and address
  local name=$1 in out
  shift
  rm -f "$dir/$name.in" "$dir/$name.out"
  mkfifo "$dir/$name.in" "$dir/$name.out"
  "$node" "$@" <"$dir/$name.in" >"$dir/$name.out" &
  pids+=($!)
  eval "${name}_pid=$!"
  disown  # bash need not tell that it was killed
  exec {in}>"$dir/$name.in" {out}<"$dir/$name.out"
  eval "${name}_in=$in ${name}_out=$out"
  local line
  read -r -t 30 -u "$out" line || fail "$name does not listen"
  address=${line##* }
}

tell() {  # tell NAME COMMAND...
  local in=$1_in out=$1_out answer
  shift
  printf '%s\n' "$*" >&"${!in}"
  read -r -t 30 -u "${!out}" answer || fail "no answer to '$*'"
  [ "$answer" = ok ] || fail "'$*' was answered by '$answer'"
}

# --- the terminal

screen() { tmux -S "$socket" capture-pane -p -t top; }
keys() { tmux -S "$socket" send-keys -t top "$@"; }

until_true() {  # until_true WHAT COMMAND...: looks until it holds, for 20 seconds at most
  local what=$1 end=$((SECONDS + 20))
  shift
  until "$@"; do
    if [ $SECONDS -ge $end ]; then
      screen >&2 || true
      fail "not within 20 s: $what"
    fi
    sleep 0.05
  done
}
has() { screen | grep -qF -- "$1"; }
has_not() { ! has "$1"; }
sees() { until_true "the screen shows '$1'" has "$1"; }
sees_no() { until_true "the screen shows no '$1'" has_not "$1"; }
is_size() { [ "$(tmux -S "$socket" display -p -t top '#{pane_width} #{pane_height}')" = "$1" ]; }
is_the_shells() { [ "$(tmux -S "$socket" display -p -t top '#{alternate_on} #{cursor_flag}')" = "0 1" ]; }
is_above() {  # the line with the one text is above the line with the other one
  local a b
  a=$(screen | grep -nF -- "$1" | head -1 | cut -d: -f1)
  b=$(screen | grep -nF -- "$2" | head -1 | cut -d: -f1)
  [ -n "$a" ] && [ -n "$b" ] && [ "$a" -lt "$b" ]
}

start follower 0 sesame
follower_address=$address
start leader 0 sesame "$follower_address"
leader_address=$address

# The text of a task may hold anything: here what clears a screen, and what names a terminal.
tell leader begin a query "scanning the orders"
tell leader attribute a account 4711
tell follower begin b apply $'\e[2J\e]0;HIJACKED\aapplying \xff\xc2\x9b1m'
tell leader forbid c compaction "level 0 to level 1"

# --- for scripts

json=$("$program" --once --json "$leader_address") || fail "--once --json ends with $?"
grep -qF '"account"' <<<"$json" || fail "no attributes in $json"
grep -qF "\"endpoint\": \"$follower_address\"" <<<"$json" || fail "the leader's follower is missing"
grep -qF '"role": "leader"' <<<"$json" || fail "no replication in $json"
[ "$(grep -F '"kind"' <<<"$json" | tr -d ' ,\n')" = '"kind":"query""kind":"apply""kind":"compaction"' ] ||
  fail "not the oldest first: $json"
if LC_ALL=C grep -q '[^ -~]' <<<"$json"; then fail "control characters in $json"; fi
text=$("$program" --once --endpoints="$leader_address" --filter "ACCOUNT=4711 orders")
[ "$(grep -c "query" <<<"$text")" = 1 ] || fail "the filter loses the query: $text"
if grep -q "compaction" <<<"$text"; then fail "the filter keeps the compaction: $text"; fi
text=$("$program" --once "$leader_address")
if LC_ALL=C grep -q $'\e' <<<"$text"; then fail "an escape sequence in the text"; fi
if "$program" --once --no-followers "$leader_address" | grep -qF "$follower_address"; then
  fail "--no-followers shows a follower"
fi
code=0
json=$("$program" --once --json --timeout-ms 500 --endpoints="$leader_address,127.0.0.1:1") || code=$?
[ "$code" = 1 ] || fail "an endpoint that is not there ends with $code, expected 1"
grep -qF '"error"' <<<"$json" || fail "an endpoint that is not there is not told"
grep -qF '"query"' <<<"$json" || fail "an endpoint that is not there hides the others"
for wrong in "--endpoints=nonsense" "--endpoints=host:99999" "--json $leader_address" ""; do
  code=0
  # shellcheck disable=SC2086
  "$program" $wrong >/dev/null 2>&1 || code=$?
  [ "$code" = 2 ] || fail "'$wrong' ends with $code, expected 2"
done
code=0
"$program" "$leader_address" </dev/null >/dev/null 2>&1 || code=$?
[ "$code" = 1 ] || fail "without a terminal it ends with $code, expected 1"

# --- on a screen, from a shell, as what it leaves behind matters

tmux -S "$socket" -f /dev/null -u new-session -d -s top -x 150 -y 24 \
  "env PS1='ready> ' bash --norc --noprofile"
sees "ready>"
keys "SLIPSTREAM_TOKEN=sesame $program --interval-ms 200 --timeout-ms 1000 --endpoints=$leader_address,127.0.0.1:1" Enter
sees "scanning the orders"
sees "account=4711"
sees "applying"
sees "level 0 to level 1"
sees "127.0.0.1:1  UNREACHABLE"
sees "leader of orders, epoch 7, 1 followers"
sees "3 tasks, 2 of 3 endpoints"
is_above "scanning the orders" "applying" || fail "not the oldest first"
is_above "applying" "level 0 to level 1" || fail "not the oldest first"
title=$(tmux -S "$socket" display -p -t top '#{pane_title}')
[[ $title != *HIJACKED* ]] || fail "a task named the terminal"
sees '?[2J?]0;HIJACKED?applying �?1m'

tell leader status a "merging"
sees "merging"

keys r
until_true "the order is reversed" is_above "level 0 to level 1" "merging"
keys r
until_true "the order is back" is_above "merging" "level 0 to level 1"
keys s s
sees "by kind"
until_true "sorted by kind" is_above "applying" "level 0 to level 1"
until_true "sorted by kind" is_above "level 0 to level 1" "merging"
keys s s s
sees "by age"

keys / "APPLY" Enter
sees_no "merging"
sees "applying"
sees '1 tasks'
keys / C-u Enter
sees "merging"

keys Home h
sees "history of task"
sees "scanning the orders"
keys q
sees_no "history of task"
keys '?'
sees "PgUp"
keys Escape
sees_no "PgUp"

# A kill with Escape does nothing, one without the right token says so.
keys Home k
sees "message:"
keys "no" Escape
sees_no "message:"
sees "merging"
keys Home k "it takes too long" Enter
sees "is asked to end"
sees_no "merging"
sees "2 tasks"
keys f
sees "it takes too long]"
keys f
sees_no "it takes too long]"
keys End k Enter
sees "not killed: HTTP 403"

# Sizes that nothing fits in, and back.
for size in "40 6" "9 2" "1 1" "150 24"; do
  tmux -S "$socket" resize-window -t top -x "${size% *}" -y "${size#* }"
  until_true "the terminal is $size" is_size "$size"
done
sees "level 0 to level 1"

# A process that ends and comes back.
port=${leader_address##*:}
kill -9 "$leader_pid"
sees "$leader_address  UNREACHABLE"
sees_no "level 0 to level 1"
sees "applying"
eval "exec ${leader_in}>&- ${leader_out}<&-"
start leader "$port" sesame "$follower_address"
tell leader begin d query "back again"
sees "back again"

# Ctrl-C leaves the terminal as it was.
keys C-c
sees "ready>"
until_true "the screen is the shell's" is_the_shells
keys 'echo code $?; stty -a | grep -o " echo \| icanon " | tr -d "\n"' Enter
sees "code 0"
sees " echo"
keys clear Enter
keys "$program --token wrong --interval-ms 200 $leader_address" Enter
sees "back again"
keys Home k Enter
sees "not killed: HTTP 401"
keys q
sees "ready>"
echo "slipstream_top: all as expected"
