# syntax=docker/dockerfile:1.17
# Server with the tiny models on the CPU.    docker build -f docker/cpu.Dockerfile -t moa-cpu .
#
# BASE: Debian bookworm, or a distribution like it, whose python3 is 3.11 and has the module venv.
ARG BASE=python:3.11.14-slim-bookworm

# checkov:skip=CKV_DOCKER_7:the default of BASE has a tag; tests/chart/test_images.py
FROM ${BASE} AS packages
# Package indexes, in pip's own variables. This stage is not part of the image, so its variables are not either. An index with
# credentials belongs into a secret: --secret id=pip.conf,src=$HOME/.config/pip/pip.conf
# The lock is complete; resolving again would select CUDA builds. The CPU build of torch is in PyTorch's own index.
# The path file puts the code behind the packages on Python's path: in PYTHONPATH it would come before them.
# compileall fails where a package has files for a newer Python, as torch does; such files are left out.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
ARG PIP_FIND_LINKS
ARG PIP_TRUSTED_HOST
COPY requirements/cpu-image.txt /tmp/packages.txt
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps -r /tmp/packages.txt \
    && echo /opt/moa > /opt/venv/lib/python3.11/site-packages/moa.pth \
    && { /opt/venv/bin/python -m compileall -qq -j 0 --invalidation-mode unchecked-hash /opt/venv/lib || true; } \
    && find /opt/venv -name tests -type d -path '*/site-packages/*' -prune -exec rm -rf {} + \
    && rm -rf /opt/venv/lib/python3.11/site-packages/pip* /opt/venv/bin/pip*

FROM ${BASE}
# libnuma1: vLLM's CPU kernels; wget: the probes that KubeRay and the chart run; tini: PID 1, which reaps what Ray leaves behind.
# A login shell, which KubeRay can be told to use, would reset the PATH.
# hadolint ignore=DL3008,SC2016
RUN apt-get update \
    && apt-get install -y --no-install-recommends libnuma1 tini wget \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/* /var/log/apt /var/log/dpkg.log \
    && groupadd --gid 1000 ray \
    && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /tmp/home --shell /usr/sbin/nologin ray \
    && echo 'PATH=/opt/venv/bin:$PATH' > /etc/profile.d/moa.sh
COPY --from=packages /opt/venv /opt/venv
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
# What changes most comes last.
COPY models/tiny/weights /opt/moa/models/tiny/weights
COPY LICENSE pyproject.toml /opt/moa/
COPY serving /opt/moa/serving
COPY deployments /opt/moa/deployments
# Fails the build if this Python cannot compile the code.
RUN python -W error -m compileall -q --invalidation-mode unchecked-hash /opt/moa/serving /opt/moa/deployments
USER 1000
# Fails the build, not the start, if the wrapper is not executable or HAProxy is missing.
RUN ["/opt/moa/deployments/cluster/haproxy.sh", "-v"]
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m --retries=4 \
    CMD ["wget", "-q", "-t", "1", "-T", "4", "-O", "/dev/null", "http://127.0.0.1:8000/health"]
# KubeRay starts Ray with its own command; this entry point is for `docker run --read-only --tmpfs /tmp:exec --shm-size 1g -p 8000:8000`.
ENTRYPOINT ["tini", "--", "python", "-m", "deployments.start", "host=0.0.0.0"]
CMD ["profile=tiny"]
ARG BASE
ARG REVISION
LABEL org.opencontainers.image.title="moa-cpu" \
      org.opencontainers.image.description="Mixture-of-Agents server with tiny models on the CPU" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.source="https://github.com/moa-serve/moa-serve" \
      org.opencontainers.image.licenses="Apache-2.0"
