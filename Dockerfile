# ESARM in a container, for the CPU:
#     docker build -t esarm .
#     docker run --rm -v "$PWD":/work esarm animate speech.wav -o face.csv
# For NVIDIA GPUs, with the torch of PyPI, which brings CUDA (the host needs its container toolkit):
#     docker build -t esarm:cuda --build-arg TORCH_INDEX=https://pypi.org/simple .
#     docker run --rm --gpus all -v "$PWD":/work --entrypoint python esarm:cuda script_of_yours.py
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=synthetic,plots,progress,video,heads,tensorboard,ray,tune,distributed,hub

# Caches that any user may write, whatever `--user` says, and that a volume can keep.
ENV ESARM_CACHE=/cache/esarm \
    HF_HOME=/cache/huggingface \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# Whose files they are that a mounted folder gets; `--user` takes another.
RUN useradd --create-home --uid 1000 esarm && install -d -o esarm -g esarm /work \
    && install -d -m 1777 /cache /cache/esarm /cache/huggingface

# By far the largest layer, and the one that changes least.
COPY constraints.txt /opt/esarm/
RUN pip install --extra-index-url "${TORCH_INDEX}" -c /opt/esarm/constraints.txt torch

COPY setup.cfg pyproject.toml README.md LICENSE /opt/esarm/
COPY esarm_env /opt/esarm/esarm_env
COPY agents /opt/esarm/agents
COPY reward /opt/esarm/reward
COPY train /opt/esarm/train
RUN pip install --extra-index-url "${TORCH_INDEX}" -c /opt/esarm/constraints.txt \
        "/opt/esarm[${EXTRAS}]" \
    && rm -rf /opt/esarm/build /opt/esarm/*.egg-info

USER esarm
WORKDIR /work
ENTRYPOINT ["esarm"]
CMD ["--help"]
