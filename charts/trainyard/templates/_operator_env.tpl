{{/* The operator's settings (operator/trainyard/settings.py). */}}
{{- define "trainyard.operatorEnv" -}}
- name: TRAINYARD_POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
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
  "TRAINYARD_STORE_ENDPOINT" (include "trainyard.storeEndpoint" .)
  "TRAINYARD_PROMETHEUS_URL" .Values.prometheus.url
  "TRAINYARD_SCRAPE_INTERVAL_SECONDS" .Values.prometheus.scrapeIntervalSeconds
  "TRAINYARD_CUSTOM_QUERIES" .Values.prometheus.customQueries
  "TRAINYARD_KUBEFLOW_URL" .Values.kubeflow.url
  "TRAINYARD_KUBEFLOW_NAMESPACE" .Values.kubeflow.namespace
  "TRAINYARD_KUBEFLOW_NAMESPACES" (join "," .Values.kubeflow.namespaces)
  "TRAINYARD_KUBEFLOW_MULTI_USER" .Values.kubeflow.multiUser
  "TRAINYARD_KUBEFLOW_WORKFLOWS" .Values.kubeflow.workflows
  "TRAINYARD_KUBEFLOW_TOKEN_FILE" (ternary "/var/run/secrets/kubeflow/token" "" (ne .Values.kubeflow.tokenAudience ""))
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
