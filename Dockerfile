# `assistant serve` (or any other command) as a plain user, on a read-only root:
#
#   docker build -t assistant .
#   docker run --rm --read-only --tmpfs /tmp -p 8000:8000 -e ASSISTANT_API_KEYS=a-long-secret assistant
#
# docs/serve.md has the variant for a GPU, and how others' registries are named.

ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
ARG EXTRAS=serve,ocr,sound
# pip's own variables: a registry of yours, or one whose torch is for the CPU alone.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
RUN apt-get update -qq && \
    apt-get install -y -qq --no-install-recommends python3 python3-venv && \
    rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/assistant
WORKDIR /source
COPY . .
RUN /opt/assistant/bin/pip install --no-cache-dir ".[${EXTRAS}]"
# Mini's weights, so that the image answers offline.
ENV ASSISTANT_CACHE=/opt/cache
RUN /opt/assistant/bin/assistant fetch && /opt/assistant/bin/assistant fetch speech

FROM ${BASE}
RUN apt-get update -qq && \
    apt-get install -y -qq --no-install-recommends python3 && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --uid 1000 --create-home assistant
COPY --from=build /opt/assistant /opt/assistant
COPY --from=build --chown=assistant:assistant /opt/cache /opt/cache
ENV PATH=/opt/assistant/bin:$PATH ASSISTANT_CACHE=/opt/cache \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER assistant
WORKDIR /home/assistant
EXPOSE 8000
HEALTHCHECK --start-period=2m CMD ["python3", "-c", \
    "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=5)"]
ENTRYPOINT ["assistant"]
CMD ["serve", "--host", "0.0.0.0"]
