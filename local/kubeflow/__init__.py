"""Kubeflow Pipelines, Argo Workflows and ML Metadata on the local cluster: `up --kubeflow`."""
