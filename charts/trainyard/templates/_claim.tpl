{{/* A StatefulSet's claim named `data`, from a `persistence` value. Kinds are spelt out for Argo CD's diff. */}}
{{- define "trainyard.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .storageClassName }}
  storageClassName: {{ . }}
  {{- end }}
  resources: {requests: {storage: {{ .size }}}}
{{- end -}}
