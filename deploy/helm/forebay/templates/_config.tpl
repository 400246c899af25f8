{{/* Forebay's configuration, made of the values. */}}

{{- define "forebay.sink" -}}
{{- $es := .Values.elasticsearch -}}
type: elasticsearch
endpoints: {{ toJson $es.endpoints }}
template:
  install: {{ $es.installTemplate }}
{{- if $es.credentials.secret }}
auth:
{{- if eq $es.credentials.type "api_key" }}
  api_key: "${ES_API_KEY:-}"
{{- else }}
  username: "${ES_USERNAME:-}"
  password: "${ES_PASSWORD:-}"
{{- end }}
{{- end }}
{{- if or $es.ca.secret $es.ca.configMap }}
tls:
  ca_file: {{ printf "/etc/forebay-ca/%s" $es.ca.key | quote }}
{{- end }}
{{- end -}}

{{- define "forebay.base" -}}
receivers:
  otlp:
    grpc: {listen: "0.0.0.0:4317"}
    http: {listen: "0.0.0.0:4318"}
  json: {listen: "0.0.0.0:8080"}
  {{- if .Values.receivers.beats }}
  beats: {listen: "0.0.0.0:5044"}
  {{- end }}
  {{- if .Values.receivers.elasticsearch }}
  elasticsearch: {listen: "0.0.0.0:9200"}
  {{- end }}
  {{- if .Values.receivers.tcp }}
  tcp: {listen: "0.0.0.0:5959", acknowledge: {{ ternary "durable" "none" (eq .Values.mode "durable") }}}
  {{- end }}
  {{- if .Values.receivers.syslog }}
  syslog: {listen: "0.0.0.0:5514", acknowledge: {{ ternary "durable" "none" (eq .Values.mode "durable") }}}
  {{- end }}
  {{- if .Values.receivers.loki }}
  loki: {listen: "0.0.0.0:3100"}
  {{- end }}
acknowledge: {{ ternary "durable" "delivered" (eq .Values.mode "durable") }}
{{- if eq .Values.mode "durable" }}
journal:
  path: /var/lib/forebay/journal
  max_bytes: {{ .Values.durable.journal.maxBytes }}
  compression: {{ .Values.durable.journal.compression }}
{{- end }}
dead_letters:
  path: /var/lib/forebay/dead-letters
  max_bytes: {{ .Values.deadLetters.maxBytes }}
  {{- if and (eq .Values.mode "gateway") .Values.deadLetters.sink }}
  to:
    sink: {{ .Values.deadLetters.sink }}
    index: {{ .Values.deadLetters.index | quote }}
  {{- end }}
admin: {listen: "0.0.0.0:9600"}
drain:
  door_open: {{ .Values.drain.doorOpenSeconds }}s
  deadline: {{ .Values.drain.deadlineSeconds }}s
{{- end -}}

{{- define "forebay.config" -}}
{{- $config := include "forebay.base" . | fromYaml -}}
{{- $sink := include "forebay.sink" . | fromYaml -}}
{{- $sink = mergeOverwrite $sink (deepCopy .Values.elasticsearch.settings) -}}
{{- $_ := set $config "sinks" (dict "es" $sink) -}}
{{- $_ := set $config "routes" .Values.routes -}}
{{- $config = mergeOverwrite $config (deepCopy .Values.config) -}}
{{- /* In quotes, or a password that looks like a number would be read as one. */ -}}
{{- regexReplaceAll "(?m)^(\\s*(?:username|password|api_key): )(\\$\\{.*\\})$" (toYaml $config) "${1}\"${2}\"" -}}
{{- end -}}
