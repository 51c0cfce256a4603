# The mirror in an image without a shell, for a read-only root file system and a user that is not root.
#
#   docker build --tag portcullis .
#   docker run --read-only --publish 127.0.0.1:5000:5000 --volume portcullis-data:/data \
#     --volume ./config:/etc/portcullis:ro portcullis
#
# Inside a container the listener must be reachable from outside of it: `address = "0.0.0.0:5000"` in portcullis.toml, with
# `tls` or with `plain_http = true`. The admin listener stays on the container's loopback, where the health check asks it.
#
# BUILDER needs Rust, a C compiler and a shell; RUNTIME needs glibc, libgcc and the CA certificates, and nothing else.
# tests/container/run.sh makes both from Debian packages, to build and run all of this without any other registry.
ARG BUILDER=docker.io/library/rust:1.95-bookworm
ARG RUNTIME=gcr.io/distroless/cc-debian12

# ---- dependencies: their own layer, built again only when Cargo.lock changes.
FROM ${BUILDER} AS dependencies
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches/peers \
    && echo 'fn main() {}' | tee src/main.rs benches/pure.rs > benches/peers/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked \
    && rm -r src benches target/release/portcullis target/release/deps/*portcullis* target/release/.fingerprint/portcullis-*

FROM dependencies AS build
ARG REVISION=unknown
COPY . .
RUN PORTCULLIS_COMMIT="${REVISION}" cargo build --release --locked --bin portcullis \
    && install -D --mode=0755 target/release/portcullis /image/usr/local/bin/portcullis

# ---- runtime-base: everything but the binary.
FROM ${BUILDER} AS layout
RUN install --directory --owner=65532 --group=65532 --mode=0750 /image/data

FROM ${RUNTIME} AS runtime-base
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="portcullis" \
      org.opencontainers.image.description="A registry mirror that opens only for signed images" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=layout --chown=65532:65532 /image/ /
USER 65532:65532
VOLUME /data
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/usr/local/bin/portcullis", "health"]
ENTRYPOINT ["/usr/local/bin/portcullis"]
CMD ["serve", "--config", "/etc/portcullis/portcullis.toml", "--data", "/data"]

# ---- runtime-prebuilt: takes the release build of the host, which must have a glibc no newer than RUNTIME's.
FROM runtime-base AS runtime-prebuilt
COPY target/release/portcullis /usr/local/bin/portcullis

# ---- runtime: the default.
FROM runtime-base AS runtime
COPY --from=build /image/ /
