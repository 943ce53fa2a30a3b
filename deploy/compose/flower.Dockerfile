# Flower, which shows what Celery's workers do. Not part of genfleet's images: nothing of ours needs it.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/venv
COPY flower.txt .
RUN /build/bin/pip --python /opt/venv install --quiet --no-cache-dir --disable-pip-version-check --progress-bar off \
        --require-hashes -r flower.txt

FROM ${BASE}
RUN groupadd --gid 10001 genfleet \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin genfleet
COPY --from=build /opt/venv /opt/venv
COPY celeryconfig.py /flower/
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /flower
USER 10001:10001
EXPOSE 5555
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:5555/healthcheck', timeout=4)"]
# Flower itself reads FLOWER_BASIC_AUTH, and would let everybody in without it.
CMD ["sh", "-c", ": \"${FLOWER_BASIC_AUTH:?is empty: set it to name:password, in .env}\"; exec celery --broker=\"$CELERY_BROKER_URL\" flower --port=5555"]
