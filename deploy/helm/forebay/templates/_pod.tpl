{{/* The pods of both shapes. */}}

{{- define "forebay.podTemplate" -}}
metadata:
  labels:
    {{- include "forebay.labelsWith" (dict "root" . "more" .Values.podLabels) | nindent 4 }}
  annotations:
    # A changed configuration is a changed template: it rolls the pods.
    checksum/config: {{ include "forebay.config" . | sha256sum }}
    {{- with omit (default (dict) .Values.podAnnotations) "checksum/config" }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "forebay.serviceAccountName" . }}
  automountServiceAccountToken: false
  # Off: a Service called forebay would put FOREBAY_* variables into its own pods.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    {{- include "forebay.user" . | nindent 4 }}
    {{- with .Values.fsGroup }}
    fsGroup: {{ int64 . }}
    {{- end }}
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- include "forebay.placement" . | nindent 2 }}
  containers:
    - name: forebay
      image: {{ include "forebay.image" (dict "image" .Values.image "tag" .Chart.AppVersion) | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [run, --config, /etc/forebay/forebay.yaml]
      {{- with include "forebay.env" . }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      ports:
        {{- range include "forebay.ports" . | fromYamlArray }}
        - {name: {{ .name }}, containerPort: {{ .port }}, protocol: TCP}
        {{- end }}
        - {name: http-admin, containerPort: 9600, protocol: TCP}
      startupProbe:
        httpGet: {path: /startupz, port: http-admin}
        {{- toYaml .Values.probes.startup | nindent 8 }}
      readinessProbe:
        httpGet: {path: /readyz, port: http-admin}
        {{- toYaml .Values.probes.readiness | nindent 8 }}
      livenessProbe:
        httpGet: {path: /livez, port: http-admin}
        {{- toYaml .Values.probes.liveness | nindent 8 }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        privileged: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: config, mountPath: /etc/forebay, readOnly: true}
        - {name: data, mountPath: /var/lib/forebay}
        {{- if or .Values.elasticsearch.ca.secret .Values.elasticsearch.ca.configMap }}
        - {name: elasticsearch-ca, mountPath: /etc/forebay-ca, readOnly: true}
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "forebay.fullname" . }}}
    {{- if eq .Values.mode "gateway" }}
    - name: data
      emptyDir: {sizeLimit: {{ .Values.deadLetters.emptyDirSize }}}
    {{- end }}
    {{- if .Values.elasticsearch.ca.secret }}
    - name: elasticsearch-ca
      secret: {secretName: {{ .Values.elasticsearch.ca.secret }}}
    {{- else if .Values.elasticsearch.ca.configMap }}
    - name: elasticsearch-ca
      configMap: {name: {{ .Values.elasticsearch.ca.configMap }}}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "forebay.env" -}}
{{- $credentials := .Values.elasticsearch.credentials -}}
{{- if $credentials.secret -}}
{{- $keys := ternary (list "api_key") (list "username" "password") (eq $credentials.type "api_key") -}}
{{- range $key := $keys }}
- name: {{ printf "ES_%s" (upper $key) }}
  valueFrom:
    secretKeyRef: {name: {{ $credentials.secret }}, key: {{ $key }}, optional: {{ $credentials.optional }}}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "forebay.placement" -}}
{{- $selector := include "forebay.selector" . | fromYaml -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" $selector) -}}
{{- if eq .Values.antiAffinity "preferred" }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          {{- toYaml $term | nindent 10 }}
{{- else if eq .Values.antiAffinity "required" }}
affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - {{- toYaml $term | nindent 8 }}
{{- end }}
{{- with .Values.topologySpread }}
topologySpreadConstraints:
  {{- range . }}
  - maxSkew: {{ .maxSkew }}
    topologyKey: {{ .topologyKey }}
    whenUnsatisfiable: {{ .whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- toYaml $selector | nindent 8 }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
