# One image for every role: docker run streamscorer api | consumer | all | migrate | ...
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
# Where torch comes from: PyTorch's wheels for the CPU. Empty takes PyPI's, which bring CUDA and weigh 5 GB more.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
RUN python -m venv --without-pip /opt/streamscorer
COPY pyproject.toml constraints.txt ./
# Dependencies in a layer of their own, which stays when only the code changes.
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
      print(*p['dependencies'], *p['optional-dependencies']['openvino'], *p['optional-dependencies']['otel'], sep='\n')" > /tmp/requirements.txt \
 && cp constraints.txt /tmp/constraints.txt \
 && if [ -n "$TORCH_INDEX" ]; then \
      sed -i '/^torch/d' /tmp/constraints.txt \
      && pip --python /opt/streamscorer/bin/python install --index-url "$TORCH_INDEX" torch torchvision; \
    fi \
 && pip --python /opt/streamscorer/bin/python install -r /tmp/requirements.txt -c /tmp/constraints.txt
COPY . .
RUN pip --python /opt/streamscorer/bin/python install --no-deps --editable . \
 && /opt/streamscorer/bin/python -m compileall -q /app


FROM python:${PYTHON}-slim
RUN useradd --system --uid 10001 --create-home scorer \
 && install --directory --owner scorer /var/cache/streamscorer
COPY --from=build /opt/streamscorer /opt/streamscorer
COPY --from=build /app /app
ENV PATH=/opt/streamscorer/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TORCH_HOME=/var/cache/streamscorer \
    SCORER_CACHE_DIR=/var/cache/streamscorer
# Downloaded weights, the converted network, and which engine is the fastest here.
VOLUME /var/cache/streamscorer
USER scorer
WORKDIR /home/scorer
EXPOSE 8000
STOPSIGNAL SIGTERM
# Asks /readyz on SCORER_HEALTH_PORT where that is set, else on SCORER_PORT. Start period: download and warm-up of a model.
HEALTHCHECK --interval=5s --timeout=5s --start-period=120s --retries=6 CMD ["python", "-m", "cli.healthcheck"]
ENTRYPOINT ["streamscorer"]
CMD ["--help"]
