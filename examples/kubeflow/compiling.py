"""Compiles the pipelines to packages; runs in the SDK's environment (`__main__.py`)."""

import sys
from pathlib import Path

from kfp import compiler

from examples.kubeflow.churn import churn
from examples.kubeflow.two_steps import two_steps

for pipeline, name in ((churn, "churn.yaml"), (two_steps, "two-steps.yaml")):
    compiler.Compiler().compile(pipeline, str(Path(sys.argv[1]) / name))
