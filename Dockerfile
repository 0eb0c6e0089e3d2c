# One image for the watcher and the workers; the command says which. No TensorFlow in it.
FROM python:3.13-slim

WORKDIR /opt/smearcount
COPY requirements/base.txt requirements/
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/base.txt
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
    && useradd --create-home smearcount
USER smearcount
ENTRYPOINT ["smearcount"]
CMD ["--help"]
