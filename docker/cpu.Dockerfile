# syntax=docker/dockerfile:1.17
# Server with the tiny models on the CPU.    docker build -f docker/cpu.Dockerfile -t moa-cpu .
ARG PYTHON_VERSION=3.11.14

FROM python:${PYTHON_VERSION}-slim-bookworm AS packages
COPY requirements/cpu.txt /tmp/cpu.txt
# The lock is complete; resolving again would select CUDA builds. The CPU build of torch is in PyTorch's own index.
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps --extra-index-url https://download.pytorch.org/whl/cpu \
        -r /tmp/cpu.txt \
    && echo /opt/moa > /opt/venv/lib/python3.11/site-packages/moa.pth \
    && /opt/venv/bin/python -m compileall -q -j 0 /opt/venv/lib \
    && find /opt/venv -name tests -type d -path '*/site-packages/*' -prune -exec rm -rf {} + \
    && rm -rf /opt/venv/lib/python3.11/site-packages/pip*

FROM python:${PYTHON_VERSION}-slim-bookworm
LABEL org.opencontainers.image.title="moa-cpu" \
      org.opencontainers.image.description="Mixture-of-Agents server with tiny models on the CPU" \
      org.opencontainers.image.licenses="Apache-2.0"
# libnuma1: vLLM's CPU kernels; wget: the probes that KubeRay and the chart run.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libnuma1 wget \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 1000 ray \
    && useradd --uid 1000 --gid 1000 --no-create-home --shell /usr/sbin/nologin ray
COPY --from=packages /opt/venv /opt/venv
COPY pyproject.toml /opt/moa/
COPY serving /opt/moa/serving
COPY deployments /opt/moa/deployments
COPY models/tiny/weights /opt/moa/models/tiny/weights
# All writes go to /tmp or to mounted volumes: the root file system can be read-only.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp/home \
    XDG_CACHE_HOME=/tmp/cache \
    HF_HOME=/tmp/hugging-face \
    HF_HUB_OFFLINE=1 \
    VLLM_CACHE_ROOT=/tmp/cache/vllm \
    RAY_SERVE_ENABLE_HA_PROXY=1 \
    RAY_SERVE_HAPROXY_BINARY_PATH=/opt/moa/deployments/cluster/haproxy.sh \
    RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S=120 \
    RAY_SERVE_THROUGHPUT_OPTIMIZED=1 \
    RAY_USAGE_STATS_ENABLED=0 \
    VLLM_NO_USAGE_STATS=1
WORKDIR /opt/moa
USER 1000
# Fails the build, not the start, if the wrapper is not executable or HAProxy is missing.
RUN ["/opt/moa/deployments/cluster/haproxy.sh", "-v"]
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m --retries=4 \
    CMD ["wget", "-q", "-T", "4", "-O", "/dev/null", "http://127.0.0.1:8000/health"]
# KubeRay starts Ray with its own command; this entry point is for `docker run --read-only --tmpfs /tmp:exec --shm-size 1g -p 8000:8000`.
ENTRYPOINT ["serve", "run", "deployments:moa_app", "host=0.0.0.0"]
CMD ["profile=tiny"]
