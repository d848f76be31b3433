# The service: `docker build --tag holdgate .`, then `docker run holdgate --help`.
# Settings come by environment (docs/operating.md). The container runs as a normal user and writes only below
# /var/lib/holdgate.

FROM python:3.12-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/holdgate

# The dependencies are a layer of their own: they change less often than the code.
COPY requirements/service.lock requirements/
RUN /opt/holdgate/bin/python -m pip install --require-hashes -r requirements/service.lock

# The same as `pip install .[service]`, with everything but Holdgate itself installed above.
COPY pyproject.toml README.md LICENSE ./
COPY schema schema
COPY producer producer
COPY workers workers
RUN /opt/holdgate/bin/python -m pip install --no-deps --no-build-isolation ".[service]" \
    && /opt/holdgate/bin/python -m pip uninstall --yes hatchling editables pip


FROM python:3.12-slim

LABEL org.opencontainers.image.title="holdgate" \
      org.opencontainers.image.description="Takes booking holds from RabbitMQ without ever overselling" \
      org.opencontainers.image.licenses="Apache-2.0"

RUN groupadd --system --gid 10001 holdgate \
    && useradd --system --uid 10001 --gid holdgate --home-dir /var/lib/holdgate --create-home holdgate

COPY --from=build /opt/holdgate /opt/holdgate

ENV PATH=/opt/holdgate/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/holdgate

# Without a shell in between, so that SIGTERM reaches the process and it can finish what it has begun.
ENTRYPOINT ["holdgate"]
CMD ["--help"]
