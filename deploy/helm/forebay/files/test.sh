# What `helm test` runs, with SERVICE as the name of the Service. Needs sh, curl, awk and nslookup.
set -eu

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

said=$(curl -sS --max-time 20 -d '{"component":"forebay-test","message":"forebay test event"}' "http://$SERVICE:8080/") ||
  fail "no answer from $SERVICE:8080"
case $said in
  *'"accepted":1'*) echo "JSON: $said" ;;
  *) fail "JSON: $said" ;;
esac

# An ExportLogsServiceRequest of one record: severity 9, this text, component "forebay-test".
event='\012\071\022\067\022\065\020\011*\024\012\022forebay test event\062\033\012\011component\022\016\012\014forebay-test'
# shellcheck disable=SC2059 # the event is the format: its escapes are octal bytes
status=$(printf "$event" | curl -sS --max-time 20 -o /dev/null -w '%{http_code}' \
  -H 'Content-Type: application/x-protobuf' --data-binary @- "http://$SERVICE:4318/v1/logs") ||
  fail "no answer from $SERVICE:4318"
[ "$status" = 200 ] || fail "OTLP: status $status"
echo "OTLP: status $status"

# Both answers came, so both records are in the books of one pod or of two. The books are read while others may be writing: what
# does not balance is read again.
balance() {
  curl -sS --max-time 10 "http://$1:9600/metrics" | awk '
    /^forebay_receiver_received_records_total[{ ]/ { received += $NF; seen = 1 }
    /^forebay_receiver_records_total[{ ]/ { door += $NF }
    /^forebay_sink_(owed|recovered)_records_total[{ ]/ { owed += $NF }
    /^forebay_sink_(records_total|in_flight_records)[{ ]/ { settled += $NF }
    END {
      printf "received %d = %d at the door; owed %d = %d settled or in flight\n", received, door, owed, settled
      exit !(seen && received == door && owed == settled)
    }'
}

pods=$(nslookup "$SERVICE-headless" 2>/dev/null | awk '/^Name:/ { named = 1 } named && /^Address/ { print $NF }')
[ -n "$pods" ] || fail "$SERVICE-headless has no addresses"
for pod in $pods; do
  case $pod in *:*) pod="[$pod]" ;; esac
  tries=5
  until line=$(balance "$pod"); do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || fail "$pod: $line"
    sleep 1
  done
  echo "$pod: $line"
done
