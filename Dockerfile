# syntax=docker/dockerfile:1
# The image of a release: the controller `tidegate`, and the plugin `kubectl-tidegate` for pipelines that want it from an image.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" \
#     --provenance=mode=max --sbom=true --tag registry.example/tidegate:0.1.0 --push .
#
# Built natively on each platform it takes some twenty minutes on two cores; emulated, hours.
#
# Both bases are arguments, so that they can be pinned: name them with their digests (docker buildx imagetools inspect IMAGE),
# as in --build-arg RUNTIME=gcr.io/distroless/cc-debian12:nonroot@sha256:…. The release workflow does.

ARG BUILDER=docker.io/library/rust:1.95-bookworm
# glibc, libgcc, CA certificates and /etc/passwd; no shell, no package manager. Tests and benchmarks ran with glibc; with a static
# binary of musl nobody has measured anything yet.
ARG RUNTIME=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILDER} AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY src src
# What makes two builds of one commit the same: the lock file, no paths of this machine, no build ids, no clock.
ARG SOURCE_DATE_EPOCH=0
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} \
    CARGO_INCREMENTAL=0 \
    CFLAGS="-ffile-prefix-map=/usr/local/cargo=/cargo -ffile-prefix-map=/src=." \
    RUSTFLAGS="--remap-path-prefix=/usr/local/cargo=/cargo --remap-path-prefix=/src=. -C link-arg=-Wl,--build-id=none"
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo fetch --locked
# Each by itself: built together, either would have the features of both.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --locked --profile dist --no-default-features --features cloudwatch --bin tidegate
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --locked --profile dist --no-default-features --features plugin --bin kubectl-tidegate

FROM ${RUNTIME}
COPY --from=build /src/target/dist/tidegate /src/target/dist/kubectl-tidegate /usr/local/bin/
COPY LICENSE /licenses/LICENSE
LABEL org.opencontainers.image.title="tidegate" \
      org.opencontainers.image.description="Progressive delivery for Kubernetes" \
      org.opencontainers.image.source="https://github.com/tidegate/tidegate" \
      org.opencontainers.image.licenses="Apache-2.0"
# By number, so that Kubernetes can tell that it is not root.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/tidegate"]
CMD ["run"]
