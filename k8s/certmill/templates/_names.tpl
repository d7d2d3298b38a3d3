{{- define "certmill.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* All pods of the release. */}}
{{- define "certmill.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "certmill.labels" -}}
{{ include "certmill.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The roles that have pods of their own, as JSON. */}}
{{- define "certmill.roles" -}}
{{- if eq .Values.mode "embedded" -}}
["embedded"]
{{- else -}}
["api", "validator", "signer", "projector"]
{{- end -}}
{{- end -}}

{{/* The role whose pods answer clients. */}}
{{- define "certmill.front" -}}
{{- if eq .Values.mode "embedded" -}}embedded{{- else -}}api{{- end -}}
{{- end -}}

{{- define "certmill.host" -}}
{{- (urlParse .Values.baseUrl).host | splitList ":" | first -}}
{{- end -}}

{{- define "certmill.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Where pods listen, as it stands before a port: IPv6 in brackets. */}}
{{- define "certmill.address" -}}
{{- $address := .Values.pods.listenAddress | trimAll "[]" -}}
{{- ternary (printf "[%s]" $address) $address (contains ":" $address) -}}
{{- end -}}
