{{/* Names, labels and checks that several templates use. */}}

{{- define "forebay.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := .Values.fullnameOverride -}}
{{- if not $full -}}
{{- $full = ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- end -}}
{{- /* A release's name may have dots and begin with a digit; a Service's may not. */ -}}
{{- $full = replace "." "-" $full -}}
{{- if not (regexMatch "^[a-z]" $full) -}}
{{- $full = printf "%s-%s" $name $full -}}
{{- end -}}
{{- $full | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "forebay.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "forebay.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Cannot be changed once it is installed. Without the component, the pods of `helm test` would be behind the Service. */}}
{{- define "forebay.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: gateway
{{- end -}}

{{/* Labels of everything but the component, which tells the gateway from its tests. */}}
{{- define "forebay.commonLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: telemetry
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "forebay.labels" -}}
{{ include "forebay.commonLabels" . }}
app.kubernetes.io/component: gateway
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The labels of an object, and further ones. Arguments: `root` and `more`. */}}
{{- define "forebay.labelsWith" -}}
{{- merge (dict) (default (dict) .more) (include "forebay.labels" .root | fromYaml) | toYaml -}}
{{- end -}}

{{/* Whose the processes are. A null leaves the choice to the cluster, as OpenShift has it. */}}
{{- define "forebay.user" -}}
runAsNonRoot: true
{{- with .Values.runAsUser }}
runAsUser: {{ int64 . }}
{{- end }}
{{- with .Values.runAsGroup }}
runAsGroup: {{ int64 . }}
{{- end }}
{{- end -}}

{{/* An image's full name. Arguments: `image` (registry, repository, tag, digest) and `tag`, which is used without one. */}}
{{- define "forebay.image" -}}
{{- $tag := default .tag .image.tag | toString -}}
{{- if not $tag -}}
{{- fail (printf "the image %s needs a tag" .image.repository) -}}
{{- end -}}
{{- if eq $tag "latest" -}}
{{- fail (printf "the tag `latest` of %s says nothing about what runs: name a version" .image.repository) -}}
{{- end -}}
{{- if .image.registry -}}{{ .image.registry }}/{{- end -}}
{{ .image.repository }}:{{ $tag }}
{{- if .image.digest -}}@{{ .image.digest }}{{- end -}}
{{- end -}}

{{/* A size such as 20Gi or 16GiB in MiB. */}}
{{- define "forebay.mebibytes" -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- $unit := regexFind "[A-Za-z]+$" . -}}
{{- if has $unit (list "Ki" "KiB") -}}{{ div $number 1024 }}
{{- else if has $unit (list "Mi" "MiB") -}}{{ $number }}
{{- else if has $unit (list "Gi" "GiB") -}}{{ mul $number 1024 }}
{{- else if has $unit (list "Ti" "TiB") -}}{{ mul $number 1048576 }}
{{- else -}}{{ fail (printf "%s: write sizes with Mi, Gi or Ti" .) }}
{{- end -}}
{{- end -}}

{{/* A time such as 15s or 1m in seconds. */}}
{{- define "forebay.seconds" -}}
{{- mul (regexFind "^[0-9]+" . | int64) (ternary 60 1 (hasSuffix "m" .)) -}}
{{- end -}}

{{/* What the schema cannot say: values that contradict each other. Renders nothing. */}}
{{- define "forebay.checks" -}}
{{- $values := .Values -}}
{{- $drain := add $values.drain.doorOpenSeconds $values.drain.deadlineSeconds -}}
{{- if le (int64 $values.terminationGracePeriodSeconds) $drain -}}
{{- fail (printf "terminationGracePeriodSeconds (%v) must be longer than drain.doorOpenSeconds and drain.deadlineSeconds together (%v): else pods are killed while they deliver" $values.terminationGracePeriodSeconds $drain) -}}
{{- end -}}
{{- if and $values.autoscaling.enabled (gt (int64 $values.autoscaling.minReplicas) (int64 $values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is above autoscaling.maxReplicas" -}}
{{- end -}}
{{- if and $values.autoscaling.enabled (not (or $values.autoscaling.targetCPU $values.autoscaling.targetMemory $values.autoscaling.extraMetrics)) -}}
{{- fail "autoscaling has no metric: set targetCPU, targetMemory or extraMetrics" -}}
{{- end -}}
{{- $labels := list $values.commonLabels $values.podLabels $values.serviceMonitor.labels $values.prometheusRule.labels $values.dashboard.labels -}}
{{- range $labels }}{{ range $label, $_ := . -}}
{{- if has $label (list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/version" "app.kubernetes.io/part-of" "app.kubernetes.io/managed-by" "helm.sh/chart") -}}
{{- fail (printf "the label %s is the chart's own" $label) -}}
{{- end -}}
{{- end }}{{ end -}}
{{- if and (has (toString $values.strategy.maxSurge) (list "0" "0%")) (has (toString $values.strategy.maxUnavailable) (list "0" "0%")) -}}
{{- fail "strategy.maxSurge and strategy.maxUnavailable are both 0: no pod could ever be replaced" -}}
{{- end -}}
{{- if and $values.serviceMonitor.enabled (gt (include "forebay.seconds" $values.serviceMonitor.scrapeTimeout | int64) (include "forebay.seconds" $values.serviceMonitor.interval | int64)) -}}
{{- fail "serviceMonitor.scrapeTimeout is longer than serviceMonitor.interval: the operator would pass the monitor over" -}}
{{- end -}}
{{- $sinks := append (keys (default (dict) (default (dict) $values.config).sinks)) "es" -}}
{{- $named := ternary (list $values.deadLetters.sink) (list) (and (eq $values.mode "gateway") (not (empty $values.deadLetters.sink))) -}}
{{- range $values.routes -}}
{{- $named = concat $named .to (default (list) .best_effort) -}}
{{- end -}}
{{- range $named -}}
{{- if not (has . $sinks) -}}
{{- fail (printf "a route or deadLetters names the sink %s, which is neither `es` nor in config.sinks" .) -}}
{{- end -}}
{{- end -}}
{{- if and $values.ingress.enabled (eq $values.ingress.grpc.host $values.ingress.http.host) -}}
{{- fail "ingress.grpc.host and ingress.http.host must differ: NGINX speaks one protocol to all backends of a path" -}}
{{- end -}}
{{- $letters := include "forebay.mebibytes" $values.deadLetters.maxBytes | int64 -}}
{{- if eq $values.mode "gateway" -}}
{{- if le (include "forebay.mebibytes" $values.deadLetters.emptyDirSize | int64) $letters -}}
{{- fail "deadLetters.emptyDirSize must be larger than deadLetters.maxBytes: else a full store of letters is evicted with its pod" -}}
{{- end -}}
{{- else -}}
{{- $volume := include "forebay.mebibytes" $values.durable.volume.size | int64 -}}
{{- $journal := include "forebay.mebibytes" $values.durable.journal.maxBytes | int64 -}}
{{- if gt (mul (add $journal $letters) 10) (mul $volume 9) -}}
{{- fail (printf "durable.volume.size (%s) must hold durable.journal.maxBytes (%s) and deadLetters.maxBytes (%s) with a tenth to spare" $values.durable.volume.size $values.durable.journal.maxBytes $values.deadLetters.maxBytes) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The ports that clients send to. A service mesh reads the protocol from the first word of a port's name. */ -}}
{{- define "forebay.ports" -}}
- {name: grpc-otlp, port: 4317}
- {name: http-otlp, port: 4318}
- {name: http-json, port: 8080}
{{- if .Values.receivers.beats }}
- {name: tcp-beats, port: 5044}
{{- end }}
{{- if .Values.receivers.elasticsearch }}
- {name: http-bulk, port: 9200}
{{- end }}
{{- if .Values.receivers.remote_write }}
- {name: http-prometheus, port: 9201}
{{- end }}
{{- if .Values.receivers.forward }}
- {name: tcp-forward, port: 24224}
{{- end }}
{{- if .Values.receivers.tcp }}
- {name: tcp-json, port: 5959}
{{- end }}
{{- if .Values.receivers.syslog }}
- {name: tcp-syslog, port: 5514}
{{- end }}
{{- if .Values.receivers.loki }}
- {name: http-loki, port: 3100}
{{- end }}
{{- end -}}

{{- /* Where names are resolved, as the egress rule of a policy. */ -}}
{{- define "forebay.dns" -}}
{{- with .Values.networkPolicy.dns }}
- to:
    {{- toYaml . | nindent 4 }}
  ports:
    {{- range default (list 53) $.Values.networkPolicy.dnsPorts }}
    - {port: {{ . }}, protocol: UDP}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end }}
{{- end -}}
