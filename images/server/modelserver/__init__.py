"""The stock TensorFlow model server: one SavedModel over the Open Inference Protocol, v1 and v2 REST."""

VERSION = "0.1.0"
