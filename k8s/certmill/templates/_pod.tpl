{{/* The pods of one role: takes a dict of `root` and `role`. */}}
{{- define "certmill.pod" -}}
{{- $root := .root -}}
{{- $role := .role -}}
{{- $own := index $root.Values $role -}}
metadata:
  labels:
    {{- include "certmill.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ $role }}
    {{- with $root.Values.pods.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # A changed configuration restarts the pods, one after the other.
    certmill/config: {{ include "certmill.config" $root | sha256sum }}
    {{- with $root.Values.pods.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "certmill.fullname" $root }}-{{ $role }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- if $root.Values.pods.userNamespaces }}
  hostUsers: false
  {{- end }}
  {{- with $root.Values.pods.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: {{ $root.Values.pods.runAsUser }}
    runAsGroup: {{ $root.Values.pods.runAsUser }}
    fsGroup: {{ $root.Values.pods.runAsUser }}
    # Never again once the volume is ours: the CA's keys stay readable for their owner only.
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: { type: RuntimeDefault }
  # The process itself stops within 10 s.
  terminationGracePeriodSeconds: {{ add $root.Values.pods.drainSeconds 20 }}
  {{- with $own.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if ne $role "embedded" }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "certmill.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $role }}
    {{- end }}
  {{- end }}
  containers:
    - name: certmill
      image: {{ include "certmill.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args:
        - serve
        {{- if ne $role "embedded" }}
        - --role={{ $role }}
        {{- end }}
        - --config=/etc/certmill/config/certmill.toml
        {{- if eq (dig "telemetry" "log_format" "text" $root.Values.config) "json" }}
        # What it says when it is ready is a line of the pod's log.
        - --json
        {{- end }}
      {{- with include "certmill.env" . }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      ports:
        {{- if has $role (list "api" "embedded") }}
        - { name: https, containerPort: 14000 }
        {{- end }}
        - { name: ops, containerPort: 14001 }
      # Reading the log or a journal may take a while; liveness looks at nothing but the process itself.
      startupProbe:
        httpGet: { path: /healthz, port: ops }
        periodSeconds: 2
        failureThreshold: 150
      livenessProbe:
        httpGet: { path: /healthz, port: ops }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: /readyz, port: ops }
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      lifecycle:
        preStop:
          sleep: { seconds: {{ $root.Values.pods.drainSeconds }} }
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: { drop: [ALL] }
      resources:
        {{- toYaml $own.resources | nindent 8 }}
      volumeMounts:
        {{- include "certmill.mounts" . | nindent 8 }}
  volumes:
    {{- include "certmill.volumes" . | nindent 4 }}
{{- end -}}

{{/* Secrets that are no files. */}}
{{- define "certmill.env" -}}
{{- $root := .root -}}
{{- $role := .role -}}
{{- if ne $role "embedded" -}}
- name: CERTMILL__REDIS__URL
  valueFrom: { secretKeyRef: { name: {{ index $root.Values.redis.urls $role }}, key: url } }
{{- with index $root.Values.nats.urls $role }}
- name: CERTMILL__EVENT_LOG__SERVERS
  valueFrom: { secretKeyRef: { name: {{ . }}, key: servers } }
{{- end }}
{{- if index $root.Values.nats.credentials $role }}
- { name: CERTMILL__EVENT_LOG__CREDENTIALS, value: /etc/certmill/nats/user.creds }
{{- end }}
{{- if index $root.Values.nats.clientCertificates $role }}
- { name: CERTMILL__EVENT_LOG__CLIENT_CERTIFICATE, value: /etc/certmill/nats-tls/tls.crt }
- { name: CERTMILL__EVENT_LOG__CLIENT_KEY, value: /etc/certmill/nats-tls/tls.key }
{{- end }}
{{- end -}}
{{- if and $root.Values.ca.pkcs11.module (has $role (list "signer" "embedded")) -}}
{{- range $name, $value := $root.Values.ca.pkcs11.environment }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end -}}
{{- end -}}
