# syntax=docker/dockerfile:1

# Debian 12 in both stages, so that the binary finds the glibc it was linked against. Tags can be moved: whoever builds for others
# pins both by digest (`docker buildx imagetools inspect IMAGE` tells it; a proxy of his own does as well).
FROM rust:1.95-bookworm AS build
WORKDIR /build
# Queries are checked against .sqlx; the build needs no database.
ENV SQLX_OFFLINE=true
COPY Cargo.toml Cargo.lock ./
COPY .sqlx .sqlx
COPY config config
COPY deploy/postgres deploy/postgres
COPY migrations migrations
COPY src src
# The touch: with a cached target folder, Cargo would not notice a new migration, nor sources older than the last build.
# Locked: two builds must not share the target folder. It is not part of the image, so the binary is copied out.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target,sharing=locked \
    touch src/lib.rs src/main.rs \
    && cargo build --release --locked --no-default-features \
    && cp target/release/presign-gateway /presign-gateway

# glibc, libgcc and CA certificates; no shell, no package manager. `serve` opens no file for writing, and needs neither /proc nor /tmp.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="presign-gateway" \
      org.opencontainers.image.description="A shared gateway that hands out presigned upload URLs for S3 and Cloudflare R2, and keeps a record of every one." \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /presign-gateway /presign-gateway

# The defaults listen on loopback, which nobody outside the container reaches.
# 3001 is the operators' listener: never publish it to the internet. It is not exposed, so `docker run -P` does not either.
ENV PRESIGN__SERVER__LISTEN=0.0.0.0:3000 \
    PRESIGN__SERVER__OPS_LISTEN=0.0.0.0:3001 \
    PRESIGN__TELEMETRY__FORMAT=json
EXPOSE 3000

# A number, so that Kubernetes' runAsNonRoot can tell that it is not root.
USER 65532:65532
# On SIGTERM requests under way are finished: give it longer to stop than server.shutdown_timeout_seconds (20).
STOPSIGNAL SIGTERM
# The probe itself gives up after 2 seconds.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/presign-gateway", "healthcheck"]
ENTRYPOINT ["/presign-gateway"]
CMD ["serve"]
