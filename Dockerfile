# One image for every process of Foldex: the command says which (docs/production.md).
FROM python:3.13.7-slim-bookworm AS build
WORKDIR /build
COPY requirements.lock ./
# Only wheels whose hashes the lock file has: nothing is compiled, nothing else is run.
RUN python -m venv /venv \
    && /venv/bin/pip install --disable-pip-version-check --no-cache-dir --require-hashes \
        --only-binary=:all: --requirement requirements.lock
WORKDIR /app
COPY domain ./domain
COPY eventstore ./eventstore
COPY commands ./commands
COPY projections ./projections
COPY wallet ./wallet
COPY audit ./audit
COPY api ./api
RUN /venv/bin/python -m compileall -q /app

FROM python:3.13.7-slim-bookworm
RUN groupadd --system --gid 10001 foldex \
    && useradd --system --uid 10001 --gid 10001 --home-dir /nonexistent --no-create-home foldex \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FOLDEX_DATA=/data \
    FOLDEX_METRICS_PORT=9464
WORKDIR /app
USER 10001:10001
# Whether the process works; whether it is ready for requests is at /health/ready.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['FOLDEX_METRICS_PORT'] + '/health/live', timeout=4)"]
# -P: nothing in a mounted directory may shadow our packages.
ENTRYPOINT ["python", "-P", "-m", "api"]
CMD ["serve", "--host", "0.0.0.0"]
