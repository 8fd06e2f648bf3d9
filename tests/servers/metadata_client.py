"""Asks an ML Metadata server what Kubeflow asks; run by `test_ml_metadata.py` in that server's own environment.

`python metadata_client.py <port> <type name>` makes a type and an artifact of it, reads both back, prints a line.
"""

import sys

from ml_metadata.errors import NotFoundError
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2


def main(port: int, name: str) -> None:
    """Write, read back, and ask for something that is not there."""
    store = metadata_store.MetadataStore(metadata_store_pb2.MetadataStoreClientConfig(host="127.0.0.1", port=port))
    made = metadata_store_pb2.ArtifactType(name=name)
    made.properties["rows"] = metadata_store_pb2.INT
    type_id = store.put_artifact_type(made)
    artifact = metadata_store_pb2.Artifact(type_id=type_id, uri="s3://bucket/ünïcode")
    artifact.properties["rows"].int_value = 7
    (artifact_id,) = store.put_artifacts([artifact])
    (found,) = store.get_artifacts_by_id([artifact_id])
    try:
        store.get_artifact_type("missing")
    except NotFoundError:
        print(found.type, found.uri, found.properties["rows"].int_value)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
