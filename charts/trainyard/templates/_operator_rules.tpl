{{/*
What the operator may do where it works: get, list, watch, create, patch, delete, each where it is used. No wildcard.
Of Secrets it gets single ones, and of those the metadata alone, to see whether their owner labelled them.
*/}}
{{- define "trainyard.operatorRules" -}}
- apiGroups: [trainyard.dev]
  resources: [trainingpipelines, rollouts]
  verbs: [get, list, watch, patch]
- apiGroups: [trainyard.dev]
  resources: [trainingruns, modelversions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [trainyard.dev]
  resources: [trainingpipelines/status, trainingruns/status, modelversions/status, rollouts/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments, controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# Which features a Gateway's class lists; where they may not be read, the route's own conditions tell.
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways, gatewayclasses]
  verbs: [get]
- apiGroups: [""]
  resources: [pods]
  # Deleted only where a Job left them behind (kubectl delete --cascade=orphan) and a cancel must free what they hold.
  verbs: [get, list, watch, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- if .Values.kubeflow.url }}
# Packages of Kubeflow pipelines; single ones, read before a run is made.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
{{- end }}
{{- if and .Values.kubeflow.url .Values.kubeflow.workflows .Values.kubeflow.multiUser }}
{{ include "trainyard.workflowRules" . }}
{{- end }}
# Its own are created; others' tell why a pod does not start.
- apiGroups: [""]
  resources: [events]
  verbs: [create, list]
{{- end -}}

{{/*
Workflows tell how a Kubeflow run stands. One that Kubeflow's own API does not know any more is deleted to end it.
*/}}
{{- define "trainyard.workflowRules" -}}
- apiGroups: [argoproj.io]
  resources: [workflows]
  verbs: [get, list, watch, delete]
{{- end -}}
