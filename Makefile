# The two commands of the README are `make sim` and `make test`; the rest is for
# whoever works on Reprise.

GO      ?= go
JOBS    ?= $(shell nproc)
BUF      = $(GO) run github.com/bufbuild/buf/cmd/buf@v1.75.0
CHECK    = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: sim test race lint generate campaign planted fuzz build

# 200 seeded clusters with faults, every history checked.
sim: build
	bin/reprise-sim run --seeds 1..200 --jobs $(JOBS)

# Every test of the project.
test:
	$(GO) test ./...

build:
	$(GO) build -trimpath -o bin/ ./cmd/reprise ./cmd/reprise-sim

# The concurrent shells under the race detector.
race:
	$(GO) test -race ./broker/rpc/... ./broker/osenv/... ./broker/client/... ./broker/server/... ./broker/embed/...

# Go's own checks and the rules of the house, cmd/detvet.
lint:
	test -z "$$(gofmt -l $$(git ls-files '*.go' | grep -v '\.pb\.go$$'))"
	$(GO) vet ./...
	$(CHECK) ./...
	$(GO) test ./cmd/detvet

# The generated code is committed; this makes it again.
generate:
	$(BUF) generate --path broker/api --path broker/rpc

# Fresh seeds for a given time; a seed that fails is kept under out/.
MINUTES ?= 10
campaign: build
	bin/reprise-sim campaign --minutes $(MINUTES) --jobs $(JOBS) --save out/campaign

# Plants each bug of the kill sheet, and prints by which seed and verdict it is found.
planted:
	$(GO) run ./sim/planted/killsheet --jobs $(JOBS)

# Every decoder, fuzzed for FUZZTIME each. What is found is kept under testdata.
FUZZTIME ?= 5m
fuzz:
	@set -e; for dir in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
	  for target in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' $$dir/*_test.go | cut -c6-); do \
	    echo "== $$dir $$target"; \
	    $(GO) test ./$$dir -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) | tail -n 2; \
	  done; done
