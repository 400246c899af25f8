#!/bin/sh
# Says whether a Forebay is well: pods ready, probes good, sinks well, the books of every pod balanced. Exit code 0: it is; 1: it is not.
#
# Changes nothing. On Kubernetes it reaches every pod by a port-forward, which a NetworkPolicy does not stop.
set -u

usage() {
  cat <<'USAGE'
usage: health-check.sh [--namespace telemetry] [--release forebay] [--context NAME]
       health-check.sh --url http://localhost:9600      one Forebay, without Kubernetes
USAGE
}

namespace=telemetry
release=forebay
context=
url=
while [ $# -gt 0 ]; do
  case $1 in
    --namespace | --release | --context | --url)
      [ $# -ge 2 ] || { usage >&2; exit 2; }
      case $1 in
        --namespace) namespace=$2 ;;
        --release) release=$2 ;;
        --context) context=$2 ;;
        --url) url=$2 ;;
      esac
      shift 2
      ;;
    -h | --help) usage; exit 0 ;;
    *) echo "health-check.sh: unknown: $1" >&2; usage >&2; exit 2 ;;
  esac
done

bad=0
good() { echo "ok    $*"; }
wrong() {
  echo "WRONG $*"
  bad=$((bad + 1))
}
need() {
  command -v "$1" >/dev/null || { echo "health-check.sh: $1 is missing" >&2; exit 2; }
}

# What the metrics page says, in lines that begin with `ok` or `WRONG`.
judge() {
  awk '
    function label(name,   rest) {
      if (!match($0, name "=\"[^\"]*\"")) return ""
      rest = substr($0, RSTART, RLENGTH)
      sub(name "=\"", "", rest); sub("\"$", "", rest)
      return rest
    }
    /^forebay_receiver_received_records_total[{ ]/ { received += $NF; seen = 1 }
    /^forebay_receiver_records_total[{ ]/ { door += $NF }
    /^forebay_sink_(owed|recovered)_records_total[{ ]/ { owed += $NF }
    /^forebay_sink_(records_total|in_flight_records)[{ ]/ { settled += $NF }
    /^forebay_sink_state\{/ && $NF == 1 { state[label("sink")] = label("state") }
    /^forebay_sink_prepared\{/ && $NF == 0 { state[label("sink")] = "not prepared" }
    /^forebay_delivery_oldest_seconds\{/ && $NF > oldest { oldest = $NF }
    /^forebay_journal_bytes / { used = $NF }
    /^forebay_journal_max_bytes / { most = $NF }
    /^forebay_journal_behind_requests/ { behind += $NF }
    /^forebay_memory_budget_bytes / { budget = $NF }
    /^forebay_memory_budget_used_bytes / { held = $NF }
    /^forebay_dead_letters_bytes / { letters = $NF }
    END {
      if (!seen) { print "WRONG no metrics of a Forebay"; exit }
      balanced = received == door && owed == settled
      printf "%s received %d = %d at the door; owed %d = %d settled or in flight\n", \
        (balanced ? "ok   " : "WRONG"), received, door, owed, settled
      for (sink in state)
        printf "%s sink %s: %s\n", (state[sink] == "ok" ? "ok   " : "WRONG"), sink, state[sink]
      printf "%s oldest record: %.1f s\n", (oldest > 300 ? "WRONG" : "ok   "), oldest
      if (budget > 0) printf "ok    memory: %.0f %% of the budget\n", 100 * held / budget
      if (most > 0)
        printf "%s journal: %.0f %% full, %d requests behind\n", (used > 0.8 * most ? "WRONG" : "ok   "), 100 * used / most, behind
      printf "ok    dead letters in the folder: %d bytes\n", letters
    }'
}

# ask <address> <name>: one process. Books are read while others write, so what does not balance is read again.
ask() {
  for probe in livez readyz; do
    said=$(curl -sS --max-time 10 -w ' %{http_code}' "$1/$probe" 2>&1)
    case $said in
      *' 200') good "$2 $probe" ;;
      *) wrong "$2 $probe: $(printf %s "$said" | tr '\n' ' ')" ;;
    esac
  done
  tries=5
  while :; do
    verdict=$(curl -sS --max-time 10 "$1/metrics" 2>/dev/null | judge)
    tries=$((tries - 1))
    case $verdict in
      *'WRONG received'*) [ $tries -gt 0 ] || break ;;
      *) break ;;
    esac
    sleep 1
  done
  # Silence is never success.
  [ -n "$verdict" ] || verdict='WRONG the metrics page cannot be read'
  printf '%s\n' "$verdict" | sed -e "s#^ok    #ok    $2 #" -e "s#^WRONG #WRONG $2 #"
  bad=$((bad + $(printf '%s\n' "$verdict" | grep -c '^WRONG')))
}

need curl
if [ -n "$url" ]; then
  ask "${url%/}" "$url"
  [ $bad -eq 0 ]
  exit
fi

need kubectl
k() {
  kubectl ${context:+--context "$context"} --namespace "$namespace" "$@"
}
selector="app.kubernetes.io/instance=$release,app.kubernetes.io/component=gateway"

k get namespace "$namespace" >/dev/null || { echo "health-check.sh: no way to the namespace $namespace" >&2; exit 2; }
workload=$(k get deployment,statefulset -l "$selector" -o name | head -n 1)
if [ -z "$workload" ]; then
  wrong "no Deployment or StatefulSet of release $release in $namespace"
elif k rollout status "$workload" --timeout=10s >/dev/null 2>&1; then
  good "$workload is rolled out"
else
  wrong "$workload is not rolled out: kubectl -n $namespace describe $workload"
fi

forward=$(mktemp)
trap 'rm -f "$forward"; [ -z "${pid:-}" ] || kill "$pid" 2>/dev/null' EXIT
trap 'exit 1' INT TERM
# A pod that is on its way out is not ready, and ought not to be.
pods=$(k get pods -l "$selector" \
  -o go-template='{{range .items}}{{if not .metadata.deletionTimestamp}}pod/{{.metadata.name}}{{"\n"}}{{end}}{{end}}')
[ -n "$pods" ] || wrong "no pods"
for pod in $pods; do
  : >"$forward"
  # Not by k: a function in the background is a shell around kubectl, and ending that shell would leave kubectl running.
  kubectl ${context:+--context "$context"} --namespace "$namespace" port-forward "$pod" :9600 >"$forward" 2>&1 &
  pid=$!
  port=
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    port=$(sed -n 's/^Forwarding from 127\.0\.0\.1:\([0-9]*\) .*/\1/p' "$forward" | head -n 1)
    if [ -n "$port" ] || ! kill -0 "$pid" 2>/dev/null; then break; fi
    sleep 0.5
  done
  if [ -n "$port" ]; then
    ask "http://127.0.0.1:$port" "$pod"
  else
    wrong "$pod cannot be reached: $(tr '\n' ' ' <"$forward")"
  fi
  kill "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
  pid=
done

# Volumes that scale-in has left. They may hold records whose clients were told success.
for claim in $(k get persistentvolumeclaim -l "$selector" -o name); do
  owner=${claim#persistentvolumeclaim/data-}
  case " $(echo "$pods" | tr '\n' ' ') " in
    *" pod/$owner "*) ;;
    *) echo "note  $claim has no pod: see docs/runbooks/ForebayJournalOrphaned.md" ;;
  esac
done

[ $bad -eq 0 ]
