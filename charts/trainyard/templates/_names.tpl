{{/* What every object's name begins with; at most 40 characters. */}}
{{- define "trainyard.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select a component's pods: (dict "root" . "name" "trainyard-mysql"). */}}
{{- define "trainyard.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{- define "trainyard.labels" -}}
{{ include "trainyard.selector" . }}
app.kubernetes.io/part-of: trainyard
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "trainyard.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "trainyard.serverImage" -}}
{{- with .Values.servers.tensorflow.image -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "trainyard.storeEndpoint" -}}
{{- if .Values.minio.enabled -}}
http://{{ include "trainyard.fullname" . }}-minio.{{ .Release.Namespace }}.svc:9000
{{- else -}}
{{ .Values.minio.external.endpoint }}
{{- end -}}
{{- end -}}

{{/* The Secret with the operator's own key pair for the store; empty without a store. */}}
{{- define "trainyard.operatorStoreSecret" -}}
{{- if .Values.minio.enabled -}}
{{ include "trainyard.fullname" . }}-operator-store
{{- else -}}
{{ .Values.minio.external.existingSecret }}
{{- end -}}
{{- end -}}

{{- define "trainyard.databaseHost" -}}
{{- if .Values.mysql.enabled -}}
{{ include "trainyard.fullname" . }}-mysql.{{ .Release.Namespace }}.svc
{{- else -}}
{{ .Values.mysql.external.host }}
{{- end -}}
{{- end -}}

{{- define "trainyard.databaseSecret" -}}
{{- if .Values.mysql.enabled -}}
{{ include "trainyard.fullname" . }}-mysql
{{- else -}}
{{ .Values.mysql.external.existingSecret }}
{{- end -}}
{{- end -}}

{{/* The `restricted` pod security standard, in both places where it is asked for. */}}
{{- define "trainyard.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "trainyard.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "trainyard.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}
