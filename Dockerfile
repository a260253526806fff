# Build: docker build -t privatelink-dns .
# Run:   see "Docker" in README.md

# The images that it is built in and made of, for mirrors of registries.
ARG BUILDER=rust:1-bookworm
ARG BASE=gcr.io/distroless/cc-debian12:nonroot

# bookworm on both sides: the binary is linked to the C library that it will run with.
FROM ${BUILDER} AS builder
WORKDIR /build
COPY . .
# aws-lc-rs compiles C with the compiler of the image; nothing else has to be installed.
RUN cargo build --release --locked --bin privatelink-dns
# The state directory, so that a fresh volume takes its owner and mode from it.
RUN install -d -m 0700 /state

# distroless/cc has what the binary needs, glibc, libgcc and the CA certificates, and nothing that
# an attacker could use: no shell, no package manager. debian:bookworm-slim would be three times the
# size and need ca-certificates on top.
FROM ${BASE}
COPY --from=builder /build/target/release/privatelink-dns /usr/bin/privatelink-dns
# 65532 is the image's user "nonroot".
COPY --from=builder --chown=65532:65532 /state /var/lib/privatelink-dns
USER 65532:65532
VOLUME /var/lib/privatelink-dns
# Docker lets every user of a container listen on port 53 (net.ipv4.ip_unprivileged_port_start=0).
EXPOSE 53/udp 53/tcp
STOPSIGNAL SIGTERM
# Liveness: the engine gives a pulse. It stays healthy while Azure is away, as it should.
HEALTHCHECK --interval=30s --timeout=15s --start-period=10s --retries=3 \
    CMD ["/usr/bin/privatelink-dns", "health", "--config", "/etc/privatelink-dns/config.toml"]
ENTRYPOINT ["/usr/bin/privatelink-dns"]
CMD ["run", "--config", "/etc/privatelink-dns/config.toml"]
