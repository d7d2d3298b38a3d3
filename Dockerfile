# The image that `make image` builds, for those who have Docker: docker build -t certmill .
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p certmill \
    && scripts/image-root target/release/certmill /image \
    && mkdir /data

FROM scratch
COPY --from=build /image /
COPY --from=build --chown=65532:65532 /data /var/lib/certmill
COPY --from=build /src/target/release/certmill /usr/bin/certmill
USER 65532:65532
WORKDIR /var/lib/certmill
EXPOSE 14000 14001
VOLUME /var/lib/certmill
LABEL org.opencontainers.image.title="certmill" \
    org.opencontainers.image.description="An event-sourced ACME certificate authority" \
    org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/usr/bin/certmill"]
CMD ["serve", "--config", "/etc/certmill/certmill.toml"]
