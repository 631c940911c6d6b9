# The page in a container; docs/running-a-space.md says how to build and run it.  Without a target: cpu.

FROM python:3.11-slim-bookworm AS base


# --- Packages: everything into one folder, so that pip and its leavings stay behind ---

FROM base AS packages
WORKDIR /build
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt ./

FROM packages AS cpu-packages
# Half of what tensorflow is to download: it has no kernels for GPUs.  For ARM it is not made, where tensorflow has none.
RUN if [ "$(uname -m)" = x86_64 ]; then package=tensorflow-cpu; else package=tensorflow; fi; \
    sed "s/^tensorflow/$package/" requirements.txt > wanted.txt
RUN pip --python /opt/venv install --no-cache-dir --no-compile --only-binary :all: --requirement wanted.txt
RUN rm -rf /opt/venv/lib/python3.11/site-packages/tensorflow/include

FROM packages AS gpu-packages
# CUDA and cuDNN come as packages, too; only the driver is the host's.
RUN sed "s/^tensorflow/tensorflow[and-cuda]/" requirements.txt > wanted.txt
RUN pip --python /opt/venv install --no-cache-dir --no-compile --only-binary :all: --requirement wanted.txt
RUN rm -rf /opt/venv/lib/python3.11/site-packages/tensorflow/include


# --- The page itself, for anybody to read and nobody to write, whatever the checkout's modes are ---

FROM base AS app
WORKDIR /app
COPY app.py LICENSE ./
COPY nst/ nst/
COPY examples/ examples/
RUN chmod -R a+rX,go-w .


# --- What runs ---

FROM base AS runtime
RUN useradd --uid 1000 --create-home nst
# glibc asks for large pages: a step on a CPU is 3 to 4 % quicker.
ENV HOME=/home/nst PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
    GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=7860
WORKDIR /app
USER 1000:1000
EXPOSE 7860
# As Ctrl-C: the usual signal is ignored by a Python that is the first process.
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
