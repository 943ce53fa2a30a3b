# Flower, which shows what Celery's workers do. Not part of genfleet's images: nothing of ours needs it.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/venv
COPY flower.txt .
RUN /build/bin/pip --python /opt/venv install --quiet --no-cache-dir --disable-pip-version-check --progress-bar off \
        --require-hashes -r flower.txt

FROM ${BASE}
# Nothing of the base is left that becomes root or installs programs.
RUN groupadd --gid 10001 genfleet \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin genfleet \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && rm -rf /usr/bin/pip* /usr/lib/python3/dist-packages/pip* /var/lib/apt/lists/* \
        /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip*
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
# It reads CELERY_BROKER_URL and FLOWER_BASIC_AUTH. Without the latter celeryconfig.py refuses: Flower would let everybody in.
CMD ["celery", "flower", "--port=5555"]
