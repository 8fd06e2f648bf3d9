"""`python -m trainyard.courier <verb>`: what docs/contracts.md tells, in init containers and publish Jobs.

Reads its environment here and nowhere else. The last sentence goes to stderr and to the termination message.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from trainyard.courier.carrying import Carrier
from trainyard.courier.collect import collect, order
from trainyard.courier.data import datasets, fetch_data, wait_for_data
from trainyard.courier.fetch import fetch
from trainyard.courier.outcome import Errand, Unusable
from trainyard.courier.progress import Progress
from trainyard.courier.publish import publish
from trainyard.systems.artifacts.addresses import address
from trainyard.systems.artifacts.client import ObstoreArtifacts

Environment = Mapping[str, str]

TERMINATION_LOG = Path("/dev/termination-log")
TERMINATION_BYTES = 4096  # what the kubelet reads
ANYTHING_ELSE = 1
PATIENCE_SECONDS = 45.0  # with a store that does not answer; the Job's own retries come after
DATA_PATIENCE_SECONDS = 300.0  # the training Job has none: what fails in it is another attempt


async def _data(carrier: Carrier, env: Environment) -> str:
    """The first worker fetches onto the volume that all share; a further attempt keeps what the first one fetched."""
    wanted, folder = datasets(_needed(env, "TRAINYARD_DATASETS")), _folder(env, "TRAINYARD_DATA")
    attempt = env.get("TRAINYARD_ATTEMPT", "1")
    done = folder / f".fetched-{attempt}"
    if env.get("TRAINYARD_WORKER", "0") != "0":
        return await asyncio.to_thread(wait_for_data, done)
    sentence = await fetch_data(carrier, wanted, folder, keep=attempt != "1")
    done.touch()
    return sentence


async def _publish(carrier: Carrier, env: Environment) -> str:
    data = env.get("TRAINYARD_DATA")
    return await publish(carrier, _folder(env, "TRAINYARD_OUTPUT"), Path(data) if data else None, _artifact(env))


async def _collect(carrier: Carrier, env: Environment) -> str:
    return await collect(carrier, order(_needed(env, "TRAINYARD_COLLECT")), _folder(env, "TRAINYARD_OUTPUT"))


async def _fetch(carrier: Carrier, env: Environment) -> str:
    digest = _needed(env, "TRAINYARD_ARTIFACT_DIGEST")
    return await fetch(carrier, _artifact(env), digest, _folder(env, "TRAINYARD_MODEL_DIR"))


VERBS: Mapping[str, Callable[[Carrier, Environment], Awaitable[str]]] = {
    "data": _data,
    "collect": _collect,
    "publish": _publish,
    "fetch": _fetch,
}


def _needed(env: Environment, name: str) -> str:
    if not env.get(name):
        raise Unusable(f"{name} is not set")
    return env[name]


def _folder(env: Environment, name: str) -> Path:
    return Path(_needed(env, name))


def _artifact(env: Environment) -> str:
    uri = _needed(env, "TRAINYARD_ARTIFACT_URI")
    try:
        address(uri)
    except ValueError as error:
        raise Unusable(f"TRAINYARD_ARTIFACT_URI: {error}") from error
    if not uri.endswith("/"):
        raise Unusable("TRAINYARD_ARTIFACT_URI does not end with a slash")
    return uri


def _carrier(verb: str, env: Environment) -> Carrier:
    store = ObstoreArtifacts(
        env.get("TRAINYARD_STORE_ENDPOINT", ""),
        env.get("TRAINYARD_STORE_REGION") or "us-east-1",
        _needed(env, "AWS_ACCESS_KEY_ID"),
        _needed(env, "AWS_SECRET_ACCESS_KEY"),
    )
    return Carrier(store, Progress(verb), DATA_PATIENCE_SECONDS if verb == "data" else PATIENCE_SECONDS)


async def _errand(verb: str, env: Environment) -> str:
    carrier = _carrier(verb, env)
    sentence = await VERBS[verb](carrier, env)
    carrier.progress.close(sentence)
    return sentence


def main(arguments: Sequence[str], env: Environment, last_words: Path = TERMINATION_LOG) -> int:
    """Do one errand; return its exit code after telling the sentence."""
    if len(arguments) != 1 or arguments[0] not in VERBS:
        sys.stderr.write(f"usage: python -m trainyard.courier {'|'.join(VERBS)}\n")
        return 2
    try:
        sentence, code = asyncio.run(_errand(arguments[0], env)), 0
    except Errand as error:
        sentence, code = str(error), error.code
    except OSError as error:
        sentence, code = f"{arguments[0]}: {error.strerror or error} {error.filename or ''}".strip(), ANYTHING_ELSE
    if code:
        sys.stderr.write(f"{sentence}\n")
    _leave(sentence, last_words)
    return code


def _leave(sentence: str, last_words: Path) -> None:
    """Write the termination message where the kubelet made a file for it."""
    if last_words.exists():
        last_words.write_bytes(sentence.encode(errors="replace")[:TERMINATION_BYTES])


def _run() -> NoReturn:
    """Do the errand and leave at once.

    An interpreter that ends step by step stops threads of obstore's runtime that just then want to call into Python,
    and now and then that aborts the process (github.com/PyO3/pyo3/pull/4874): the errand was done, and its Job failed.
    """
    code = main(sys.argv[1:], os.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _run()
