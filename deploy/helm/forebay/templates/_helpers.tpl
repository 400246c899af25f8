{{/* Names, labels and checks that several templates use. */}}

{{- define "forebay.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
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
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: gateway
{{- end -}}

{{/* Labels of everything but the component, which tells the gateway from its tests. */}}
{{- define "forebay.commonLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
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
{{- range $label, $_ := merge (dict) $values.commonLabels $values.podLabels -}}
{{- if has $label (list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/version" "app.kubernetes.io/part-of" "app.kubernetes.io/managed-by" "helm.sh/chart") -}}
{{- fail (printf "the label %s is the chart's own" $label) -}}
{{- end -}}
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
