#!/bin/sh
# Sets Elasticsearch and Kibana up for Forebay: lifecycle policies, component and index templates, the ingest role, and the
# data view with its searches. May be run again at any time: everything is put, not added.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
dry_run=false

usage() {
  cat <<'USAGE'
usage: setup.sh [--dry-run]

  ES_URL             Elasticsearch, default http://localhost:9200
  KIBANA_URL         Kibana, for example http://localhost:5601; without it, Kibana is left alone
  ES_USERNAME, ES_PASSWORD
                     an administrator; or ES_API_KEY (encoded). Without: no credentials
  ES_CA_FILE         the authority of an https address, if it is not a well-known one
  FOREBAY_PASSWORD   makes the user `forebay` with the ingest role and this password; without it, only the role is made
USAGE
}

fail() {
  echo "setup.sh: $*" >&2
  exit 1
}

for argument in "$@"; do
  case $argument in
    --dry-run) dry_run=true ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

command -v curl >/dev/null || fail "curl is missing"
es=${ES_URL:-http://localhost:9200}
es=${es%/}

# In curl's own form of quotes.
quoted() {
  printf '"%s"' "$(printf %s "$1" | sed 's/[\\"]/\\&/g')"
}

# Credentials reach curl on its standard input: its arguments can be seen by everybody on the machine.
credentials() {
  if [ -n "${ES_API_KEY:-}" ]; then
    printf 'header = %s\n' "$(quoted "Authorization: ApiKey $ES_API_KEY")"
  elif [ -n "${ES_USERNAME:-}" ]; then
    printf 'user = %s\n' "$(quoted "$ES_USERNAME:${ES_PASSWORD:-}")"
  fi
  if [ -n "${ES_CA_FILE:-}" ]; then printf 'cacert = %s\n' "$(quoted "$ES_CA_FILE")"; fi
}

# call <what> <curl's arguments...>: shows what was done, or what the server said against it.
call() {
  what=$1
  shift
  if $dry_run; then
    echo "would put: $what"
    return
  fi
  answer=$(credentials | curl -sS -K - --max-time 60 -w '\n%{http_code}' "$@") || fail "$what: no answer"
  status=$(printf '%s' "$answer" | tail -n 1)
  case $status in
    2??)
      # Kibana says 200 also of objects that it did not take.
      case $answer in *'"success":false'*) fail "$what: $answer" ;; esac
      echo "$what"
      ;;
    *) fail "$what: status $status: $(printf '%s' "$answer" | sed '$d')" ;;
  esac
}

put() {
  call "$1" -X PUT -H 'Content-Type: application/json' --data-binary "@$3" "$es/$2"
}

# put_all <folder> <path> <what>: every file under its own name. Policies first, then components, then what is made of them.
put_all() {
  for file in "$here/$1"/*.json; do
    name=$(basename "$file" .json)
    put "$3 $name" "$2/$name" "$file"
  done
}

# has <path>: whether the cluster has the part that this address belongs to. One without it does not know the address.
has() {
  if $dry_run; then return; fi
  status=$(credentials | curl -sS -K - --max-time 60 -o /dev/null -w '%{http_code}' "$es/$1") || fail "$es does not answer"
  case $status in
    2??) ;;
    400 | 404 | 405 | 410) return 1 ;;
    401 | 403) fail "these credentials are not good enough: status $status" ;;
    *) fail "$es/$1: status $status" ;;
  esac
}

if has _ilm/status; then
  put_all lifecycle _ilm/policy 'lifecycle policy'
  put_all lifecycle-templates _component_template 'component template'
else
  echo 'LEFT OUT: lifecycle policies. This cluster has no index lifecycle management: nothing deletes old indices'
fi
put_all component-templates _component_template 'component template'
put_all index-templates _index_template 'index template'

if has _security/_authenticate; then
  put_all roles _security/role 'role'
  if [ -n "${FOREBAY_PASSWORD:-}" ]; then
    escaped=$(printf %s "$FOREBAY_PASSWORD" | sed 's/[\\"]/\\&/g')
    printf '{"roles":["forebay-ingest"],"password":"%s"}' "$escaped" | {
      user=$(mktemp)
      trap 'rm -f "$user"' EXIT
      cat >"$user"
      put 'user forebay' _security/user/forebay "$user"
    }
  fi
else
  echo 'LEFT OUT: roles and users. This cluster has no security'
fi

if [ -n "${KIBANA_URL:-}" ]; then
  call 'Kibana: data view project-ai-* and five searches' -X POST -H 'kbn-xsrf: forebay' \
    -F "file=@$here/kibana/project-ai.ndjson" "${KIBANA_URL%/}/api/saved_objects/_import?overwrite=true"
fi
