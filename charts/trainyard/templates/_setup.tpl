{{/* Names of the Secrets that the setup Job may touch in a namespace: (dict "root" . "namespace" "a"). */}}
{{- define "trainyard.setupSecrets" -}}
{{- $name := include "trainyard.fullname" .root -}}
{{- if eq .namespace .root.Release.Namespace }}
- {{ $name }}-mysql
- {{ $name }}-minio
- {{ $name }}-operator-store
{{- end }}
{{- if has .namespace .root.Values.setup.namespaces }}
- trainyard-data
- trainyard-publisher
- trainyard-reader
{{- end }}
{{- end -}}

{{/* One step of the setup: (dict "root" . "step" "secrets"). */}}
{{- define "trainyard.setupContainer" -}}
{{- $name := include "trainyard.fullname" .root -}}
- name: {{ .step }}
  image: {{ include "trainyard.image" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: [python, -m, trainyard.setup, {{ .step }}]
  env:
  - {name: TRAINYARD_SETUP_RELEASE_NAMESPACE, value: {{ .root.Release.Namespace | quote }}}
  - {name: TRAINYARD_SETUP_NAMESPACES, value: {{ join "," .root.Values.setup.namespaces | quote }}}
  - {name: TRAINYARD_SETUP_MYSQL_SECRET, value: {{ ternary (printf "%s-mysql" $name) "" .root.Values.mysql.enabled | quote }}}
  - {name: TRAINYARD_SETUP_STORE_SECRET, value: {{ ternary (printf "%s-minio" $name) "" .root.Values.minio.enabled | quote }}}
  - {name: TRAINYARD_SETUP_OPERATOR_SECRET, value: {{ $name }}-operator-store}
  - {name: TRAINYARD_STORE_ENDPOINT, value: {{ include "trainyard.storeEndpoint" .root | quote }}}
  - {name: TRAINYARD_STORE_BUCKET, value: {{ .root.Values.store.bucket | quote }}}
  - {name: TRAINYARD_STORE_REGION, value: {{ .root.Values.store.region | quote }}}
  {{- if eq .step "store" }}
  - name: MINIO_ROOT_USER
    valueFrom: {secretKeyRef: {name: {{ $name }}-minio, key: root-user}}
  - name: MINIO_ROOT_PASSWORD
    valueFrom: {secretKeyRef: {name: {{ $name }}-minio, key: root-password}}
  {{- end }}
  resources:
    requests: {cpu: 50m, memory: 64Mi}
    limits: {memory: 256Mi}
  securityContext: {{- include "trainyard.containerSecurity" .root | nindent 4 }}
  volumeMounts:
  - {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* First the passwords, then (with the store's root password among them) bucket, users and tenants' Secrets. */}}
{{- define "trainyard.setupPod" -}}
serviceAccountName: {{ include "trainyard.fullname" . }}-setup
restartPolicy: OnFailure
{{- include "trainyard.pullSecrets" . }}
securityContext: {{- include "trainyard.podSecurity" 65532 | nindent 2 }}
{{- if .Values.minio.enabled }}
initContainers:
{{ include "trainyard.setupContainer" (dict "root" . "step" "secrets") }}
containers:
{{ include "trainyard.setupContainer" (dict "root" . "step" "store") }}
{{- else }}
containers:
{{ include "trainyard.setupContainer" (dict "root" . "step" "secrets") }}
{{- end }}
volumes:
- name: tmp
  emptyDir: {}
{{- end -}}
