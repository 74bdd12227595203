# `poseglot serve` in a container: PyTorch for the CPU, no root, a health check.
#
#     docker build -t poseglot .
#     docker run --rm -p 127.0.0.1:8000:8000 -e POSEGLOT_TOKEN=choose-one poseglot
#     docker run --rm -p 127.0.0.1:8000:8000 -e POSEGLOT_TOKEN=choose-one -v $PWD/runs/first:/run:ro poseglot serve /run --host 0.0.0.0
FROM python:3.12.11-slim-bookworm AS build
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
# PyPI's torch for Linux brings gigabytes of CUDA; this index has the build for the CPU.
RUN python -m venv /opt/poseglot \
 && /opt/poseglot/bin/pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu --constraint constraints.txt '.[web]'

FROM python:3.12.11-slim-bookworm
RUN useradd --create-home --uid 10001 poseglot
COPY --from=build /opt/poseglot /opt/poseglot
ENV PATH=/opt/poseglot/bin:$PATH PYTHONUNBUFFERED=1 OMP_NUM_THREADS=2
USER poseglot
WORKDIR /home/poseglot
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["poseglot"]
# From outside the container every address is another machine's, so the server wants POSEGLOT_TOKEN.
CMD ["serve", "everyday", "--host", "0.0.0.0", "--port", "8000"]
