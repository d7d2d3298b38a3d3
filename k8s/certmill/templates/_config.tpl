{{/* What the values decide about the configuration file, over the keys the operator gives. */}}
{{- define "certmill.config" -}}
{{- $values := .Values -}}
{{- $decided := dict
  "data_dir" "/var/lib/certmill"
  "api" (dict "listen" (printf "%s:14000" (include "certmill.address" .)) "base_url" $values.baseUrl)
  "ops" (dict "listen" (printf "%s:14001" (include "certmill.address" .)))
  "event_log" (dict "kind" "embedded")
  "ca" dict
  "external_accounts" dict
  "redis" dict
-}}
{{- if $values.tls.secretName -}}
{{- $_ := set $decided.api "tls_certificate" "/etc/certmill/tls/tls.crt" -}}
{{- $_ := set $decided.api "tls_key" "/etc/certmill/tls/tls.key" -}}
{{- end -}}
{{- if $values.ca.passphrase.secretName -}}
{{- $_ := set $decided.ca "passphrase_file" "/etc/certmill/passphrase/passphrase" -}}
{{- end -}}
{{- with $values.ca.pkcs11 -}}
{{- if .module -}}
{{- $token := dict "module" .module "token" .token "pin_file" "/etc/certmill/pkcs11-pin/pin" -}}
{{- with .keyLabel -}}
{{- $_ := set $token "key_label" . -}}
{{- end -}}
{{- $_ := set $decided.ca "key_source" "pkcs11" -}}
{{- $_ := set $decided.ca "pkcs11" $token -}}
{{- end -}}
{{- end -}}
{{- if $values.externalAccounts.secretName -}}
{{- $_ := set $decided.external_accounts "key_file" "/etc/certmill/external-accounts/operator.key" -}}
{{- $former := list -}}
{{- range $number, $_ := $values.externalAccounts.formerKeys -}}
{{- $former = append $former (printf "/etc/certmill/external-accounts/former-%d.key" $number) -}}
{{- end -}}
{{- if $former -}}
{{- $_ := set $decided.external_accounts "former_key_files" $former -}}
{{- end -}}
{{- end -}}
{{- if eq $values.mode "cluster" -}}
{{- $log := dict
  "kind" "jetstream"
  "servers" $values.nats.servers
  "monitor_urls" $values.nats.monitorUrls
  "replicas" $values.nats.replicas
  "order_shards" $values.nats.orderShards
-}}
{{- if $values.nats.caSecretName -}}
{{- $_ := set $log "root_certificates" "/etc/certmill/nats-ca/ca.crt" -}}
{{- end -}}
{{- $_ := set $decided "event_log" $log -}}
{{- if $values.redis.caSecretName -}}
{{- $_ := set $decided.redis "root_certificates" "/etc/certmill/redis-ca/ca.crt" -}}
{{- end -}}
{{- end -}}
{{- include "certmill.toml" (mergeOverwrite (deepCopy $values.config) $decided) -}}
{{- end -}}

{{/* A map as TOML: what is no table first, as TOML wants it. JSON's strings, numbers and booleans are TOML's too. */}}
{{- define "certmill.toml" -}}
{{- range $key, $value := . }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ $key }} = {{ include "certmill.toml.value" $value }}
{{- end }}
{{- end }}
{{- range $table, $keys := . }}
{{- if and (kindIs "map" $keys) $keys }}

[{{ $table }}]
{{- range $key, $value := $keys }}
{{- if not (kindIs "invalid" $value) }}
{{ $key }} = {{ include "certmill.toml.value" $value }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "certmill.toml.value" -}}
{{- if kindIs "map" . -}}
{{- $pairs := list -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $pairs = append $pairs (printf "%s = %s" $key (include "certmill.toml.value" $value)) -}}
{{- end -}}
{{- end -}}
{ {{ join ", " $pairs }} }
{{- else if kindIs "slice" . -}}
{{- $items := list -}}
{{- range . -}}
{{- $items = append $items (include "certmill.toml.value" .) -}}
{{- end -}}
[{{ join ", " $items }}]
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}
