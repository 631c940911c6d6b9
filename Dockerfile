# The page in a container; docs/running-a-space.md says how to build and run it.  The default target is cpu.

FROM python:3.11-slim-bookworm AS base


# --- Packages: all in one folder, so that the image gets neither pip nor its leftovers ---

FROM base AS packages
WORKDIR /build
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt ./

FROM packages AS cpu-packages
# tensorflow-cpu is half the download of tensorflow, without GPU kernels.  It does not exist for ARM; tensorflow has
# no GPU kernels there anyway.
RUN if [ "$(uname -m)" = x86_64 ]; then package=tensorflow-cpu; else package=tensorflow; fi; \
    sed "s/^tensorflow/$package/" requirements.txt > wanted.txt
RUN pip --python /opt/venv install --no-cache-dir --no-compile --only-binary :all: --requirement wanted.txt
RUN rm -rf /opt/venv/lib/python3.11/site-packages/tensorflow/include

FROM packages AS gpu-packages
# CUDA and cuDNN are Python packages too; only the driver is the host's.
RUN sed "s/^tensorflow/tensorflow[and-cuda]/" requirements.txt > wanted.txt
RUN pip --python /opt/venv install --no-cache-dir --no-compile --only-binary :all: --requirement wanted.txt
RUN rm -rf /opt/venv/lib/python3.11/site-packages/tensorflow/include


# --- The page itself, readable by all and writable by none, whatever the checkout's modes are ---

FROM base AS app
WORKDIR /app
COPY app.py LICENSE ./
COPY nst/ nst/
COPY examples/ examples/
RUN chmod -R a+rX,go-w .


# --- The final images ---

FROM base AS runtime
RUN useradd --uid 1000 --create-home nst
# Large memory pages make a step on a CPU 3 to 4 % faster.
ENV HOME=/home/nst PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
    GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=7860
WORKDIR /app
USER 1000:1000
EXPOSE 7860
# Like Ctrl-C: Python ignores the default signal, SIGTERM, when it runs as process 1.
STOPSIGNAL SIGINT
HEALTHCHECK --start-period=2m --interval=30s --timeout=10s CMD ["python", "-c", "import http.client, os; \
    server = http.client.HTTPConnection('127.0.0.1', int(os.environ['GRADIO_SERVER_PORT']), timeout=5); \
    server.request('GET', '/healthz'); \
    raise SystemExit(server.getresponse().status != 200)"]
CMD ["python", "app.py"]

FROM runtime AS gpu
COPY --from=gpu-packages /opt/venv /opt/venv
COPY --from=app /app /app

FROM runtime AS cpu
COPY --from=cpu-packages /opt/venv /opt/venv
COPY --from=app /app /app
