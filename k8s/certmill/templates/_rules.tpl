{{/* The alerts, about this release alone: while a signer of another one runs, "no signer runs" would never be true. What its
series are called is known where the chart has them collected. */}}
{{- define "certmill.rules" -}}
{{- $rules := .Files.Get "alerts/certmill.rules.yaml" | fromYaml -}}
{{- $name := include "certmill.fullname" . -}}
{{- $job := printf "%s-ops" $name -}}
{{- $namespace := printf "namespace=%q" .Release.Namespace -}}
{{- $own := printf "%s,job=%q" $namespace $job -}}
{{- range $group := $rules.groups -}}
{{- range $rule := $group.rules -}}
{{- $asked := $rule.expr | replace "data-.*certmill.*-" (printf "data-%s-" $name) -}}
{{- if $.Values.serviceMonitor.enabled -}}
{{- $asked = replace "{persistentvolumeclaim" (printf "{%s,persistentvolumeclaim" $namespace) $asked -}}
{{- $asked = regexReplaceAll `(certmill_\w+)\{` $asked (printf "${1}{%s," $own) -}}
{{- $asked = regexReplaceAll `(certmill_\w+)([^\w{]|$)` $asked (printf "${1}{%s}${2}" $own) -}}
{{- $_ := set $rule "labels" (merge (dict "namespace" $.Release.Namespace "job" $job) $rule.labels) -}}
{{- end -}}
{{- $_ := set $rule "expr" $asked -}}
{{- end -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end -}}
