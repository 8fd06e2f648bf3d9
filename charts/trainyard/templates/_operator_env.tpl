{{/* The operator's settings (operator/trainyard/settings.py). */}}
{{- define "trainyard.operatorEnv" -}}
- name: TRAINYARD_POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: TRAINYARD_POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
- name: TRAINYARD_POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- $settings := dict
  "TRAINYARD_NAMESPACES" (join "," .Values.namespaces)
  "TRAINYARD_LEASE_NAME" (printf "%s-operator" (include "trainyard.fullname" .))
  "TRAINYARD_LEASE_SECONDS" .Values.operator.leaseSeconds
  "TRAINYARD_VISIT_SECONDS" .Values.operator.visitSeconds
  "TRAINYARD_WORKERS" .Values.operator.workers
  "TRAINYARD_LOG_FORMAT" .Values.operator.logFormat
  "TRAINYARD_PROBE_PORT" 8080
  "TRAINYARD_METRICS_PORT" 9090
  "TRAINYARD_COURIER_IMAGE" (include "trainyard.image" .)
  "TRAINYARD_SERVER_IMAGE_TENSORFLOW" (include "trainyard.serverImage" .)
  "TRAINYARD_IMAGE_PULL_POLICY" .Values.image.pullPolicy
  "TRAINYARD_STORE_BUCKET" .Values.store.bucket
  "TRAINYARD_STORE_REGION" .Values.store.region
  "TRAINYARD_DATA_LOCATIONS" (join "," .Values.store.dataLocations)
  "TRAINYARD_STORE_ENDPOINT" (include "trainyard.storeEndpoint" .)
  "TRAINYARD_PROMETHEUS_URL" .Values.prometheus.url
  "TRAINYARD_SCRAPE_INTERVAL_SECONDS" .Values.prometheus.scrapeIntervalSeconds
  "TRAINYARD_POD_SCRAPE_INTERVAL_SECONDS" .Values.prometheus.podScrapeIntervalSeconds
  "TRAINYARD_SOURCE_LABELS" (toJson .Values.prometheus.sourceLabels)
  "TRAINYARD_CUSTOM_QUERIES" .Values.prometheus.customQueries
  "TRAINYARD_ENFORCE_NAMESPACE" .Values.prometheus.enforceNamespace
  "TRAINYARD_PROMETHEUS_CA_FILE" (ternary "/var/run/secrets/prometheus/ca.crt" "" (ne .Values.prometheus.tls.existingSecret ""))
  "TRAINYARD_PROMETHEUS_CERTIFICATE_FILE" (ternary "/var/run/secrets/prometheus/tls.crt" "" .Values.prometheus.tls.clientCertificate)
  "TRAINYARD_PROMETHEUS_KEY_FILE" (ternary "/var/run/secrets/prometheus/tls.key" "" .Values.prometheus.tls.clientCertificate)
  "TRAINYARD_PROMETHEUS_TOKEN_FILE" (ternary "/var/run/secrets/prometheus/token" "" (ne (printf "%s%s" .Values.prometheus.bearerToken.existingSecret .Values.prometheus.bearerToken.audience) ""))
  "TRAINYARD_PROMETHEUS_USERNAME" .Values.prometheus.basicAuth.username
  "TRAINYARD_PROMETHEUS_PASSWORD_FILE" (ternary "/var/run/secrets/prometheus/password" "" (ne .Values.prometheus.basicAuth.existingSecret ""))
  "TRAINYARD_PROMETHEUS_HEADERS" (toJson .Values.prometheus.headers)
  "TRAINYARD_PROVEN_ACTIONS" (and .Values.policies.actions (not .Values.namespaces))
  "TRAINYARD_KUBEFLOW_URL" .Values.kubeflow.url
  "TRAINYARD_KUBEFLOW_UI_URL" .Values.kubeflow.uiUrl
  "TRAINYARD_KUBEFLOW_NAMESPACE" .Values.kubeflow.namespace
  "TRAINYARD_KUBEFLOW_NAMESPACES" (join "," .Values.kubeflow.namespaces)
  "TRAINYARD_KUBEFLOW_MULTI_USER" .Values.kubeflow.multiUser
  "TRAINYARD_KUBEFLOW_WORKFLOWS" .Values.kubeflow.workflows
  "TRAINYARD_KUBEFLOW_TOKEN_FILE" (ternary "/var/run/secrets/kubeflow/token" "" (ne .Values.kubeflow.tokenAudience ""))
  "TRAINYARD_EVENTS_SECRET_NAMES" (ternary (join "," .Values.events.secretNames) "" .Values.events.enabled)
  "TRAINYARD_DATABASE_HOST" (include "trainyard.databaseHost" .)
  "TRAINYARD_DATABASE_PORT" (ternary 3306 .Values.mysql.external.port .Values.mysql.enabled)
  "TRAINYARD_DATABASE_NAME" .Values.mysql.database
  "TRAINYARD_DATABASE_USER" .Values.mysql.user
}}
{{- range $key, $value := $settings }}
- name: {{ $key }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- with include "trainyard.operatorStoreSecret" . }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ . }}, key: AWS_ACCESS_KEY_ID}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ . }}, key: AWS_SECRET_ACCESS_KEY}}
{{- end }}
{{- if include "trainyard.databaseHost" . }}
- name: TRAINYARD_DATABASE_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "trainyard.databaseSecret" . }}, key: password}}
{{- end }}
{{- end -}}

{{/* What the operator enters Prometheus with: sources of a projected volume, "" where there is none. */}}
{{- define "trainyard.prometheusSecrets" -}}
{{- with .Values.prometheus.tls }}
{{- if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items:
    - {key: ca.crt, path: ca.crt}
    {{- if .clientCertificate }}
    - {key: tls.crt, path: tls.crt}
    - {key: tls.key, path: tls.key}
    {{- end }}
{{- end }}
{{- end }}
{{- with .Values.prometheus.bearerToken }}
{{- if .existingSecret }}
- secret: {name: {{ .existingSecret }}, items: [{key: {{ .key }}, path: token}]}
{{- else if .audience }}
- serviceAccountToken: {path: token, audience: {{ .audience | quote }}, expirationSeconds: 3600}
{{- end }}
{{- end }}
{{- with .Values.prometheus.basicAuth }}
{{- if .existingSecret }}
- secret: {name: {{ .existingSecret }}, items: [{key: {{ .key }}, path: password}]}
{{- end }}
{{- end }}
{{- end -}}
