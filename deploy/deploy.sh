#!/bin/sh
# Brings Forebay into a cluster, from the namespace to the health check. May be run again: what is there is brought to what is asked for.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

usage() {
  cat <<'USAGE'
usage: deploy.sh [options]

  --mode gateway|durable   the shape; default: the one of the values, gateway if they say nothing
  --namespace NAME         default telemetry; made if it is not there, with Pod Security `restricted`
  --release NAME           default forebay
  --image REGISTRY/NAME:TAG  default: the chart's
  --elasticsearch URL      default: the chart's; may be given several times
  --values FILE            a file of values for the chart; may be given several times
  --context NAME           default: kubectl's current context
  --timeout TIME           how long to wait for the pods; default 5m
  --test                   run `helm test` afterwards: it stores two records
  --dry-run                change nothing; show the namespace and what the chart makes

  ES_USERNAME and ES_PASSWORD, or ES_API_KEY, in the environment become the Secret <release>-elasticsearch. Without them the
  Secret of the values is used, if there is one.

  What the release was given before (shape, image, Elasticsearch, values) holds until it is given anew.
USAGE
}

fail() {
  echo "deploy.sh: $*" >&2
  exit 1
}
step() {
  echo "==> $*" >&2
}

mode=
namespace=telemetry
release=forebay
image=
context=
timeout=5m
dry_run=false
run_test=false
endpoints=
for argument; do
  [ "$argument" != -- ] || fail "unknown option: --"
done
# The options of helm gather behind a mark; the mark's left side is what is still to be read.
set -- "$@" --
while [ "$1" != -- ]; do
  option=$1
  shift
  case $option in
    --dry-run) dry_run=true; continue ;;
    --test) run_test=true; continue ;;
    -h | --help) usage; exit 0 ;;
    --mode | --namespace | --release | --image | --elasticsearch | --values | --context | --timeout) ;;
    *) usage >&2; fail "unknown option: $option" ;;
  esac
  [ "$1" != -- ] || fail "$option needs a value"
  value=$1
  shift
  case $option in
    --mode) mode=$value ;;
    --namespace) namespace=$value ;;
    --release) release=$value ;;
    --image) image=$value ;;
    --elasticsearch) endpoints="$endpoints${endpoints:+,}$value" ;;
    --context) context=$value ;;
    --timeout) timeout=$value ;;
    --values)
      [ -r "$value" ] || fail "cannot read $value"
      set -- "$@" --values "$value"
      ;;
  esac
done
shift

case $mode in '' | gateway | durable) ;; *) fail "--mode is gateway or durable, not $mode" ;; esac
# It goes into manifests that are written here.
case $namespace in '' | *[!a-z0-9-]* | -* | *-) fail "--namespace is of letters, digits and dashes, not $namespace" ;; esac
for tool in kubectl helm curl; do
  command -v "$tool" >/dev/null || fail "$tool is missing"
done

[ -z "$mode" ] || set -- "$@" --set-string "mode=$mode"
# Helm reads commas as separators.
[ -z "$endpoints" ] || set -- "$@" --set "elasticsearch.endpoints={$endpoints}"
if [ -n "$image" ]; then
  path=${image%:*}
  tag=${image##*:}
  case $tag in "$image" | */*) fail "--image needs a tag: $image:<version>" ;; latest) fail "the tag latest says nothing about what runs" ;; esac
  case $path in
    */*) set -- "$@" --set-string "image.registry=${path%/*}" ;;
    *) set -- "$@" --set-string "image.registry=" ;;
  esac
  set -- "$@" --set-string "image.repository=${path##*/}" --set-string "image.tag=$tag"
fi
secret=
if [ -n "${ES_API_KEY:-}" ]; then
  secret=$release-elasticsearch
  set -- "$@" --set-string elasticsearch.credentials.type=api_key
elif [ -n "${ES_USERNAME:-}${ES_PASSWORD:-}" ]; then
  if [ -z "${ES_USERNAME:-}" ] || [ -z "${ES_PASSWORD:-}" ]; then fail "ES_USERNAME and ES_PASSWORD come together"; fi
  secret=$release-elasticsearch
  set -- "$@" --set-string elasticsearch.credentials.type=basic
fi
if [ -n "$secret" ]; then
  set -- "$@" --set-string "elasticsearch.credentials.secret=$secret" --set elasticsearch.credentials.optional=false
fi

k() {
  kubectl ${context:+--context "$context"} "$@"
}
h() {
  helm ${context:+--kube-context "$context"} --namespace "$namespace" "$@"
}

namespace_manifest() {
  cat <<MANIFEST
apiVersion: v1
kind: Namespace
metadata:
  name: $namespace
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
MANIFEST
}
# Through standard input, and never an argument, which everybody on the machine can see.
base64_of() {
  printf %s "$1" | base64 | tr -d '\n'
}
secret_manifest() {
  printf 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\ntype: Opaque\ndata:\n' "$secret" "$namespace"
  if [ -n "${ES_API_KEY:-}" ]; then
    printf '  api_key: %s\n' "$(base64_of "$ES_API_KEY")"
  else
    printf '  username: %s\n  password: %s\n' "$(base64_of "$ES_USERNAME")" "$(base64_of "$ES_PASSWORD")"
  fi
}

# What the release was given before holds until it is given anew: else an upgrade that only names another image would go back to
# the chart's Elasticsearch.
given=$(mktemp)
trap 'rm -f "$given"' EXIT
if h get values "$release" --output yaml >"$given" 2>/dev/null; then set -- --values "$given" "$@"; fi

if $dry_run; then
  step "namespace $namespace"
  namespace_manifest
  [ -z "$secret" ] || step "secret $secret (its content is not shown)"
  step "release $release of the chart"
  h template "$release" "$here/helm/forebay" "$@"
  step "nothing was changed"
  exit 0
fi

# What the chart refuses, it refuses before anything is changed.
rendered=$(h template "$release" "$here/helm/forebay" "$@") || fail "the chart does not render"

k version >/dev/null 2>&1 || fail "no cluster answers${context:+ in the context $context}: kubectl cluster-info"

step "namespace $namespace"
if k get namespace "$namespace" >/dev/null 2>&1; then
  # Somebody made it; its labels are theirs.
  level=$(k get namespace "$namespace" -o 'jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}')
  [ "$level" = restricted ] || echo "    it does not enforce Pod Security restricted (it says: ${level:-nothing})" >&2
else
  namespace_manifest | k apply -f - >&2
fi

# A shape cannot be changed under load: the old pods would go before the new ones are there.
if printf '%s\n' "$rendered" | grep -q '^kind: StatefulSet'; then other=deployment; else other=statefulset; fi
found=$(k --namespace "$namespace" get "$other" -l "app.kubernetes.io/instance=$release,app.kubernetes.io/component=gateway" -o name)
[ -z "$found" ] || fail "$release is there in the other shape ($found): see deploy/helm/forebay/UPGRADING.md"

if [ -n "$secret" ]; then
  step "secret $secret"
  before=$(k --namespace "$namespace" get secret "$secret" -o 'jsonpath={.metadata.resourceVersion}' --ignore-not-found)
  # Server-side: a client-side apply would keep a copy of the content in an annotation.
  secret_manifest | k apply --server-side --force-conflicts --field-manager=forebay-deploy -f - >&2
  after=$(k --namespace "$namespace" get secret "$secret" -o 'jsonpath={.metadata.resourceVersion}')
  # Pods read it when they start.
  if [ -n "$before" ] && [ "$before" != "$after" ]; then secret_changed=true; else secret_changed=false; fi
else
  secret_changed=false
fi

step "release $release"
h upgrade --install "$release" "$here/helm/forebay" "$@" --wait --timeout "$timeout" >&2 ||
  fail "the release is not well after $timeout: kubectl -n $namespace get events --sort-by=.lastTimestamp; if it was well before, go back with: helm -n $namespace rollback $release"

if $secret_changed; then
  step "the secret has changed: pods start anew"
  workload=$(k --namespace "$namespace" get deployment,statefulset -l "app.kubernetes.io/instance=$release,app.kubernetes.io/component=gateway" -o name)
  k --namespace "$namespace" rollout restart "$workload" >&2
  k --namespace "$namespace" rollout status "$workload" --timeout "$timeout" >&2
fi

if $run_test; then
  step "helm test"
  h test "$release" --logs >&2 || fail "the test has failed"
fi

step "health check"
sh "$here/health-check.sh" --namespace "$namespace" --release "$release" ${context:+--context "$context"}
