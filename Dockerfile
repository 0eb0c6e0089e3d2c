# The parts as images: docker build --target worker . (or worker-gpu, web, watcher, sender); docker-compose.yml builds them all.
#
# They write to /data and /tmp alone, so that their root may be read-only, and never run as root. The base is held to the byte;
# --build-arg BASE=... takes another one that your site has examined.
# deployment/check_build.py carries these steps out in a folder, where there is no container engine.
ARG BASE=python:3.13.14-slim-trixie@sha256:6771159cd4fa5d9bba1258caf0b82e6b73458c694d178ad97c5e925c2d0e1a91

FROM ${BASE} AS packages
RUN python -m venv /opt/venv
WORKDIR /build
COPY requirements/base.txt requirements/
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/base.txt
COPY . .
# pip builds a wheel, and compiles every module of it, because nothing can be written beside a module later. /opt/weights
# names the shipped models whatever version of Python the folder of packages is named for.
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && ln -s "$(/opt/venv/bin/python -I -c 'import smearcount.models as room; print(*room.__path__)')/weights" /opt/weights

# What only installs or tests packages stays behind; /opt then becomes one layer of an image.
FROM packages AS lean
RUN /opt/venv/bin/pip uninstall --quiet --yes setuptools \
    && find /opt/venv -depth -type d \( -name tests -o -name pip -o -name 'pip-*.dist-info' \) -exec rm --recursive {} + \
    && rm -f /opt/venv/bin/pip*

FROM packages AS packages-gpu
COPY requirements/gpu.txt requirements/
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/gpu.txt

FROM ${BASE} AS bare
RUN groupadd --gid 10001 smearcount \
    && useradd --uid 10001 --gid smearcount --no-create-home --home-dir /data --shell /usr/sbin/nologin smearcount \
    && install --directory --owner smearcount --group smearcount --mode 0700 /data
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SMEARCOUNT_DATA=/data \
    SMEARCOUNT_INBOX_NAME=inbox
WORKDIR /data
USER 10001:10001
ENTRYPOINT ["smearcount"]

FROM bare AS small
COPY --from=lean /opt /opt

FROM bare AS worker-gpu
COPY --from=packages-gpu /opt /opt
ENV SMEARCOUNT_MODEL=/opt/weights/smearcount-2-keras.json
# Loads TensorFlow, so not often.
HEALTHCHECK --interval=10m --timeout=2m --start-period=3m --start-interval=30s CMD smearcount doctor
CMD ["worker"]

FROM small AS web
ENV SMEARCOUNT_WEB_HOST=0.0.0.0
HEALTHCHECK --interval=30s --timeout=10s --start-period=1m --start-interval=2s \
    CMD python -c "import urllib.request as r; r.urlopen('http://127.0.0.1:8765/readyz', timeout=5)"
EXPOSE 8765
CMD ["web"]

FROM small AS sender
# Whether a sender is at work for each destination; whether receivers answer is no health of ours.
HEALTHCHECK --interval=1m --timeout=20s --start-period=1m --start-interval=5s \
    CMD smearcount deliveries destinations --format json | grep -q '"served_at": "'
CMD ["deliver"]

FROM small AS watcher
HEALTHCHECK --interval=1m --timeout=20s --start-period=1m --start-interval=5s \
    CMD smearcount status --inbox "$SMEARCOUNT_INBOX_NAME" --format json | grep -q '"watcher": "running"'
CMD ["watch", "/inbox"]

FROM small AS worker
# Database, broker, model, and whether the inbox is where it should be; takes two seconds of a core.
HEALTHCHECK --interval=5m --timeout=1m --start-period=2m --start-interval=10s CMD smearcount doctor
CMD ["worker"]
