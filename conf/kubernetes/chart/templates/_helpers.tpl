{{- define "moongate.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "moongate.fullname" -}}
{{- $name := include "moongate.name" . -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 56 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 56 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 56 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "moongate.namespace" -}}
{{ default .Release.Namespace .Values.namespace }}
{{- end }}

{{- define "moongate.selector" -}}
app.kubernetes.io/name: {{ include "moongate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "moongate.labels" -}}
{{ include "moongate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.extraLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "moongate.serviceAccount" -}}
{{- if .Values.deployment.serviceAccount.create -}}
{{ default (include "moongate.fullname" .) .Values.deployment.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.deployment.serviceAccount.name }}
{{- end -}}
{{- end }}

{{- define "moongate.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end }}

{{- define "moongate.listen" -}}
{{- $list := list -}}
{{- with .Values.proxy.http }}{{ if .enabled }}{{ $list = append $list (printf "0.0.0.0:%v" .containerPort) }}{{ end }}{{ end -}}
{{- with .Values.proxy.tls }}{{ if .enabled }}{{ $list = append $list (printf "0.0.0.0:%v ssl" .containerPort) }}{{ end }}{{ end -}}
{{ join ", " $list }}
{{- end }}

{{- define "moongate.adminListen" -}}
{{- $list := list -}}
{{- with .Values.admin.http }}{{ if .enabled }}{{ $list = append $list (printf "0.0.0.0:%v" .containerPort) }}{{ end }}{{ end -}}
{{- with .Values.admin.tls }}{{ if .enabled }}{{ $list = append $list (printf "0.0.0.0:%v ssl" .containerPort) }}{{ end }}{{ end -}}
{{ join ", " $list }}
{{- end }}

{{/* A variable: plain text or a map with valueFrom. */}}
{{- define "moongate.variable" -}}
- name: {{ .name }}
{{- if kindIs "map" .value }}
{{ toYaml .value | indent 2 }}
{{- else }}
  value: {{ .value | quote }}
{{- end }}
{{- end }}

{{/* What cannot work is refused here, in words. */}}
{{- define "moongate.check" -}}
{{- $v := .Values -}}
{{- $least := add $v.drain.delaySeconds $v.drain.timeoutSeconds 20 | int -}}
{{- if lt (int $v.terminationGracePeriodSeconds) $least -}}
{{- fail (printf "terminationGracePeriodSeconds is %d: streams would be killed; it must be at least drain.delaySeconds + drain.timeoutSeconds + 20 = %d" (int $v.terminationGracePeriodSeconds) $least) -}}
{{- end -}}
{{- if and $v.podDisruptionBudget.enabled (not $v.autoscaling.enabled) (lt (int $v.replicaCount) 2) -}}
{{- fail "podDisruptionBudget.enabled with one replica would block node drains: set replicaCount to 2, or podDisruptionBudget.enabled to false" -}}
{{- end -}}
{{- if and $v.dblessConfig.configMap $v.dblessConfig.secret -}}
{{- fail "dblessConfig.configMap and dblessConfig.secret are both set: choose one" -}}
{{- end -}}
{{- if not (or $v.proxy.http.enabled $v.proxy.tls.enabled) -}}
{{- fail "proxy.http.enabled and proxy.tls.enabled are both false: nothing would listen" -}}
{{- end -}}
{{- if and .Values.admin.enabled (not (include "moongate.adminListen" .)) -}}
{{- fail "admin.enabled is true, and admin.http.enabled and admin.tls.enabled are both false: nothing would listen" -}}
{{- end -}}
{{- end }}
