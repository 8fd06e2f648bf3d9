"""Addresses, ports and names of the cluster, chosen once so that nothing shares a port by accident."""

from __future__ import annotations

NODE = "trainyard"
BRIDGE = "trainyard0"
HOST = "10.244.0.1"
"""The bridge's address: under it pods reach what runs on the host, and the host is the node."""
POD_SUBNET = "10.244.0.0/24"
DNS = "10.96.0.10"

API_SERVER = 16443
ETCD_CLIENT = 12379
ETCD_PEER = 12380
CONTROLLER_MANAGER = 10257
SCHEDULER = 10259
KUBELET = 10250
KUBELET_HEALTH = 10248
PROXY_HEALTH = 10256
PROXY_METRICS = 10249
COREDNS = 10053
COREDNS_READY = 10181
PROMETHEUS = 19090
CONTOUR_XDS = 18001
CONTOUR_HEALTH = 18002
CONTOUR_METRICS = 18003
ENVOY_STATS = 18004
GATEWAY_LISTENER = 10080
GATEWAY = GATEWAY_LISTENER + 8000
"""Contour serves a Gateway's listener on its port plus 8000."""

KUBEFLOW = "10.96.0.88"
"""Service address of Kubeflow's API server, in the low band that is never given out by itself."""

SIMULATED_GPUS = 2
GPU = "nvidia.com/gpu"
SIMULATED_LABEL = "trainyard.dev/simulated-accelerator"

API_URL = f"https://{HOST}:{API_SERVER}"
PROMETHEUS_URL = f"http://{HOST}:{PROMETHEUS}"
GATEWAY_URL = f"http://127.0.0.1:{GATEWAY}"
KUBEFLOW_URL = f"http://{KUBEFLOW}:8888"
KUBEFLOW_CLUSTER_URL = "http://ml-pipeline.kubeflow.svc:8888"
