# One image for all of Parley's processes; the command chooses one: webhook, worker -role ROLES, starter ..., simulator.
# Build it with: docker build -t parley --build-arg VERSION=1.2.3 .

# The same Go as in go.mod: a test in deploy/ compares them. With it the whole image is pinned, since the last stage
# begins with nothing.
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Static, so that they run where there is no libc.
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.version=$VERSION" -o /out/ ./webhook ./worker ./starter ./simulator

# No shell, no package manager, nothing to keep up to date: the binaries and the certificate authorities they trust.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /usr/local/bin/
# A health check needs a fixed port; loopback is enough, since it runs inside the container.
ENV PATH=/usr/local/bin PARLEY_ADMIN_LISTEN=127.0.0.1:9090
# A user that owns nothing. By number: there is no /etc/passwd, and Kubernetes' runAsNonRoot wants one.
USER 65532:65532
EXPOSE 8080
# webhook and worker know the flag, and both ask whoever listens on PARLEY_ADMIN_LISTEN: so it serves for either.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["webhook", "-healthcheck"]
CMD ["webhook"]
