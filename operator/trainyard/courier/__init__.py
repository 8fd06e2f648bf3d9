"""Carries data, models and manifests between volumes and the object store, in pods (docs/contracts.md)."""
