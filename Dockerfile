# syntax=docker/dockerfile:1
# The image of a release: the controller `tidegate`, and the plugin `kubectl-tidegate` for pipelines that want it from an image.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" \
#     --provenance=mode=max --sbom=true --tag registry.example/tidegate:0.1.0 --push .
#
# Built natively on each platform it takes some twenty minutes on two cores; emulated, hours.
#
# Both bases are arguments, so that they can be pinned: name them with their digests (docker buildx imagetools inspect IMAGE),
# as in --build-arg RUNTIME=gcr.io/distroless/static-debian12:nonroot@sha256:…. The release workflow does.

ARG BUILDER=docker.io/library/rust:1.95-bookworm
# CA certificates and /etc/passwd; no shell, no package manager, no libraries. The programs bring their own, musl's: an idle controller
# takes a quarter less memory with it than with glibc (docs/benchmarks.md).
ARG RUNTIME=gcr.io/distroless/static-debian12:nonroot

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
# What links with musl, and Rust's own library for it.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends musl-tools \
    && rustup target add "$(uname -m)-unknown-linux-musl"
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo fetch --locked
# Each by itself: built together, either would have the features of both.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --locked --profile dist --no-default-features --features cloudwatch,gateway --bin tidegate \
    --target "$(uname -m)-unknown-linux-musl"
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --locked --profile dist --no-default-features --features plugin --bin kubectl-tidegate \
    --target "$(uname -m)-unknown-linux-musl" \
    && mkdir /programs && cp target/*/dist/tidegate target/*/dist/kubectl-tidegate /programs/

FROM ${RUNTIME}
COPY --from=build /programs/ /usr/local/bin/
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
