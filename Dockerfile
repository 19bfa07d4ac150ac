# The image: one static program, no shell, nobody's user id 65532.
#
#   docker build .                      on a distroless base (certificates, time zones, a user called nonroot)
#   docker build --target minimal .     on nothing at all, with the system's certificates beside the program
#
# The base can be another one: --build-arg BASE=…@sha256:…, which is how the release pins it. Dependencies are a layer of
# their own: it stays as long as Cargo.lock does.

ARG RUST=1.95
ARG BASE=chainguard/static:latest

FROM rust:${RUST}-alpine AS chef
# hadolint ignore=DL3018
RUN apk add --no-cache build-base ca-certificates \
    && cargo install --locked cargo-chef@0.1.78 cargo-auditable@0.7.7
WORKDIR /src

FROM chef AS planner
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
COPY --from=planner /src/recipe.json recipe.json
RUN cargo chef cook --release --locked --no-default-features --recipe-path recipe.json
COPY . .
# Without the demo and the stand-ins of recipients. Alpine's target is musl, and its programs are static. The list of crates goes into the program, for scanners.
RUN cargo auditable build --release --locked --no-default-features --bin sunset \
    && mkdir /out && cp target/release/sunset /out/

FROM scratch AS minimal
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/sunset /usr/local/bin/sunset
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sunset" \
      org.opencontainers.image.description="Erases and anonymizes expired personal data by rules, and proves it" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/usr/local/bin
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/sunset"]

# hadolint ignore=DL3006
FROM ${BASE}
COPY --from=build /out/sunset /usr/local/bin/sunset
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sunset" \
      org.opencontainers.image.description="Erases and anonymizes expired personal data by rules, and proves it" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/sunset"]
