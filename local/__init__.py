"""A whole Kubernetes cluster on one machine, without Docker: built, started, stopped and watched from here.

Used as `python -m local up|down|status|env|images|rig`; the tests import `local.rig`.
"""
