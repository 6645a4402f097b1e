# For development alone: a system on which `make` finds everything, for those who have no Debian.
#
#     docker build --tag croupier-dev .
#     docker run --rm --interactive --tty --volume "$PWD":/croupier croupier-dev make test
#
# The checkout is mounted, and what is made stays in it: .venv, .tox and the extensions beside their sources.
FROM debian:bookworm

# What ./bootstrap installs, and what `make fuzz-memory` and a debugger need.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        ca-certificates \
        etcd-client \
        etcd-server \
        gcc \
        gdb \
        git \
        libc6-dev \
        libnghttp2-dev \
        libxxhash-dev \
        make \
        python3 \
        python3-dev \
        python3-venv \
        redis-server \
        valgrind \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /croupier
CMD ["bash"]
