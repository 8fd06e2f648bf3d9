"""What kubectl's flags say of the API server. Apart from `options`, for `connection` needs it and is loaded late."""

from typing import NamedTuple


class Where(NamedTuple):
    """Which API server and namespace the flags say; None means what the kubeconfig says."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None
