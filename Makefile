# One line a target; the logic is Go. Works with make 3.81.
.DEFAULT_GOAL := help
.PHONY: help build tools run say reset test test-all test-race test-long fuzz lint vuln histories bench bench-edge

override TEXT := $(value TEXT)
export TEXT

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 12

build: ## build the binaries into bin/
	go build -o bin/ ./webhook ./worker ./starter ./simulator ./dev

run: build ## the whole system on this machine; ONCE=1 ends after the first exchange, TWILIO=1 uses the real Twilio
	@exec bin/dev $(if $(ONCE),-once) $(if $(TWILIO),-twilio)

say: ## send the running system a message: make say TEXT="Are you open?"
	@exec bin/dev say "$$TEXT"

reset: build ## remove all that make run keeps
	@exec bin/dev reset

test: build ## the tests
	bin/dev test -timeout 45m ./...

test-all: test-race test-long fuzz ## what takes longer: the race detector, crashes and faults by the hundred, fuzzing, another system's vet
	GOOS=darwin GOARCH=arm64 go vet -tags long ./...

test-race: build
	bin/dev test -race -timeout 30m $$(go list ./... | grep -v /e2e$$)

test-long: build
	bin/dev test -tags long ./e2e -run '^TestLong' -count=1 -v -parallel 2 -timeout 45m

fuzz:
	go test ./internal/twilio -run '^$$' -fuzz FuzzVerify -fuzztime 100000x

tools:
	go build -C tools -o ../bin/ tool

lint: tools ## golangci-lint, and Temporal's check that workflows are deterministic
	bin/golangci-lint run ./... && go vet -vettool=$(CURDIR)/bin/workflowcheck ./workflows/...

vuln: tools ## known vulnerabilities, for those who reach their database
	bin/govulncheck ./...

histories: build ## record the histories that the replay test reads anew, after a workflow has changed
	bin/dev test ./workflows -run TestOnServer -count=1 -save

bench: build ## the figures of docs/operations.md
	bin/dev test ./bench -run '^$$' -bench Parley -benchtime 1x -timeout 30m

bench-edge: build ## how long genuine messages wait beside 500 slow clients
	bin/dev test ./bench -run '^$$' -bench Edge -benchtime 1x -timeout 30m
