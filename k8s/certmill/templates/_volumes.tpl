{{/* What one role may see, as JSON: each with a name, where it is mounted and its source. The CA's key is the signer's alone. */}}
{{- define "certmill.files" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $role := .role -}}
{{- $files := list
  (dict "name" "config" "path" "/etc/certmill/config" "source" (dict "configMap" (dict "name" (include "certmill.fullname" $root))))
-}}
{{- if and $values.tls.secretName (has $role (list "api" "embedded")) -}}
{{- $files = append $files (dict "name" "tls" "path" "/etc/certmill/tls" "source" (dict "secret" (dict "secretName" $values.tls.secretName "defaultMode" 0440))) -}}
{{- end -}}
{{- with $values.externalAccounts -}}
{{- if and .secretName (has $role (list "api" "embedded")) -}}
{{- $items := list (dict "key" .key "path" "operator.key") -}}
{{- range $number, $key := .formerKeys -}}
{{- $items = append $items (dict "key" $key "path" (printf "former-%d.key" $number)) -}}
{{- end -}}
{{- $files = append $files (dict "name" "external-accounts" "path" "/etc/certmill/external-accounts" "source" (dict "secret" (dict "secretName" .secretName "defaultMode" 0440 "items" $items))) -}}
{{- end -}}
{{- end -}}
{{- if has $role (list "signer" "embedded") -}}
{{- with $values.ca.passphrase -}}
{{- if .secretName -}}
{{- $item := dict "key" .key "path" "passphrase" -}}
{{- $files = append $files (dict "name" "passphrase" "path" "/etc/certmill/passphrase" "source" (dict "secret" (dict "secretName" .secretName "defaultMode" 0440 "items" (list $item)))) -}}
{{- end -}}
{{- end -}}
{{- with $values.ca.pkcs11 -}}
{{- if .module -}}
{{- $item := dict "key" .pin.key "path" "pin" -}}
{{- $files = append $files (dict "name" "pkcs11-pin" "path" "/etc/certmill/pkcs11-pin" "source" (dict "secret" (dict "secretName" .pin.secretName "defaultMode" 0440 "items" (list $item)))) -}}
{{- range .volumes -}}
{{- $files = append $files (dict "name" (printf "pkcs11-%s" .name) "path" .mountPath "source" .source) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $values.ca.csi -}}
{{- $files = append $files (dict "name" "ca" "path" "/var/lib/certmill/ca" "source" (dict "csi" $values.ca.csi)) -}}
{{- else if $values.ca.secretName -}}
{{- $items := list (dict "key" "root.pem" "path" "root.pem") (dict "key" "intermediate.pem" "path" "intermediate.pem") -}}
{{- if not $values.ca.pkcs11.module -}}
{{- $items = append $items (dict "key" "intermediate.key" "path" "keys/intermediate.key") -}}
{{- end -}}
{{- $files = append $files (dict "name" "ca" "path" "/var/lib/certmill/ca" "source" (dict "secret" (dict "secretName" $values.ca.secretName "defaultMode" 0440 "items" $items))) -}}
{{- end -}}
{{- end -}}
{{- if ne $role "embedded" -}}
{{- with index $values.nats.credentials $role -}}
{{- $files = append $files (dict "name" "nats" "path" "/etc/certmill/nats" "source" (dict "secret" (dict "secretName" . "defaultMode" 0440))) -}}
{{- end -}}
{{- with index $values.nats.clientCertificates $role -}}
{{- $files = append $files (dict "name" "nats-tls" "path" "/etc/certmill/nats-tls" "source" (dict "secret" (dict "secretName" . "defaultMode" 0440))) -}}
{{- end -}}
{{- with $values.nats.caSecretName -}}
{{- $files = append $files (dict "name" "nats-ca" "path" "/etc/certmill/nats-ca" "source" (dict "secret" (dict "secretName" . "items" (list (dict "key" "ca.crt" "path" "ca.crt"))))) -}}
{{- end -}}
{{- with $values.redis.caSecretName -}}
{{- $files = append $files (dict "name" "redis-ca" "path" "/etc/certmill/redis-ca" "source" (dict "secret" (dict "secretName" . "items" (list (dict "key" "ca.crt" "path" "ca.crt"))))) -}}
{{- end -}}
{{- end -}}
{{- toJson $files -}}
{{- end -}}

{{- define "certmill.mounts" -}}
- { name: tmp, mountPath: /tmp }
{{- if has .role (list "signer" "embedded") }}
- { name: data, mountPath: /var/lib/certmill }
{{- end }}
{{- range include "certmill.files" . | fromJsonArray }}
- { name: {{ .name }}, mountPath: {{ .path }}, readOnly: true }
{{- end }}
{{- end -}}

{{- define "certmill.volumes" -}}
- name: tmp
  emptyDir: { sizeLimit: 64Mi }
{{- range include "certmill.files" . | fromJsonArray }}
- name: {{ .name }}
  {{- toYaml .source | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "certmill.claim" -}}
metadata:
  name: data
  labels:
    {{- include "certmill.selector" .root | nindent 4 }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .volume.storageClassName }}
  storageClassName: {{ . }}
  {{- end }}
  resources: { requests: { storage: {{ .volume.size }} } }
{{- end -}}
