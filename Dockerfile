# The operator; the courier that runs inside pods and the command line come with it. No TensorFlow, no kfp.
#   docker build -t trainyard .
# Wheels come from `wheels/` in the build context where there is one, else from the package index.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
RUN --mount=type=bind,target=/context \
    python3 -m venv /opt/venv \
    && if [ -d /context/wheels ]; then from="--no-index --find-links /context/wheels"; else from=""; fi \
    && /opt/venv/bin/pip install --no-cache-dir --no-compile --require-hashes $from -r /context/requirements.lock \
    && mkdir /app && cp -r /context/operator/trainyard /app/ \
    && find /app -name __pycache__ -prune -exec rm -r {} + \
    && /opt/venv/bin/pip uninstall --quiet --yes setuptools pip \
    && /opt/venv/bin/python -m compileall -qq -j 0 --invalidation-mode unchecked-hash /opt/venv/lib /app \
    && PYTHONPATH=/app /opt/venv/bin/python -c "import trainyard.handlers, trainyard.courier, trainyard.cli"

FROM ${BASE}
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LOGNAME=trainyard \
    MALLOC_ARENA_MAX=2
# LOGNAME: kopf asks for the user by name, and this one has none in the image.
USER 65532:65532
WORKDIR /app
# Probes on 8080 (/healthz, /readyz), metrics on 9090 (/metrics); settings in operator/trainyard/settings.py.
EXPOSE 8080 9090
ENTRYPOINT ["python", "-m", "trainyard"]
