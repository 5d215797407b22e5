# Every module of the repository: the library, and the nested ones that hold what it must not depend on.
MODULES := $(patsubst %/go.mod,%,$(wildcard ./go.mod ./examples/go.mod ./internal/*/go.mod))
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 30s

# each runs a command in every module; a failure in one fails the whole.
each = @set -e; for dir in $(MODULES); do echo "--- $$dir"; ( cd "$$dir" && $(1) ); done

# What bench-full is made of.
BENCH_OUT ?= $(CURDIR)/internal/bench/out
BENCH_ROUNDS ?= 5
BENCH_SECONDS ?= 2
BENCH_CLIENTS := franz-go/defaults,franz-go/pools,ours/getmany,ours/messages,ours/batches,sarama,kafka-go,confluent,java,aiokafka
BENCH_SPEED = -gogc 100,400 -rounds $(BENCH_ROUNDS) -seconds $(BENCH_SECONDS) -at-most 3h \
	-clients $(BENCH_CLIENTS),floor/fresh,floor/reused,floor/socket,floor/memory

.DEFAULT_GOAL := help
.PHONY: help demo test test-kafka bench bench-full bench-speed bench-figures bench-clients long fuzz lint fmt need-others

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## watch a group share a small stream on an embedded broker (KAFKA_BOOTSTRAP=host:port TOPIC=t [GROUP=g]: read a real one)
	@cd examples && go run ./demo

test: ## all tests that need nothing but Go, with the race detector
	$(call each,go test -race -shuffle=on -timeout 10m ./...)
	go test -count=1 -run 'Allocat|Bombs' . ./internal/compress # the budgets of allocations, which the race detector would break

test-kafka: need-others ## the tests on real brokers (KAFKA_VERSION=3.9.1: that release; KAFKA_BOOTSTRAP=host:port: that cluster)
	cd internal/kafkatest && go test -count=1 -race -tags kafka -skip '/kfake' -p 1 -timeout 40m ./...

bench: ## compare speed with other clients: minutes
	cd internal/bench && go run ./cmd/bench -rounds 3 -seconds 1

bench-full: bench-speed bench-figures ## all figures, and docs/performance.md from them: hours (KAFKA_BOOTSTRAP=host:port: on real Kafka, too)

bench-speed: ## the part of bench-full that is rates and CPU, of all clients
	@mkdir -p $(BENCH_OUT)
	cd internal/bench && go run ./cmd/bench -topics table $(BENCH_SPEED) -json $(BENCH_OUT)/table.json
	cd internal/bench && go run ./cmd/bench -topics more $(BENCH_SPEED) -json $(BENCH_OUT)/more.json
	cd internal/bench && go run ./cmd/bench -from $(BENCH_OUT)/table.json,$(BENCH_OUT)/more.json -docs ../../docs >/dev/null
	[ -z "$$KAFKA_BOOTSTRAP" ] || { cd internal/bench && go run ./cmd/bench -topics table -bootstrap "$$KAFKA_BOOTSTRAP" \
		-rounds $(BENCH_ROUNDS) -seconds $(BENCH_SECONDS) -at-most 3h -clients $(BENCH_CLIENTS) -json $(BENCH_OUT)/kafka.json -docs ../../docs; }

bench-figures: ## the part of bench-full that is latency, first message, scale and moves
	@mkdir -p $(BENCH_OUT)
	cd internal/bench && go run ./cmd/bench first -rounds $(BENCH_ROUNDS) -json $(BENCH_OUT)/first.json -docs ../../docs
	cd internal/bench && go run ./cmd/bench move -window 2s -rounds $(BENCH_ROUNDS) -json $(BENCH_OUT)/move.json -docs ../../docs
	cd internal/bench && go run ./cmd/bench scale -rounds $(BENCH_ROUNDS) -json $(BENCH_OUT)/scale.json -docs ../../docs
	cd internal/bench && go run ./cmd/bench latency -window 20s -rounds $(BENCH_ROUNDS) -json $(BENCH_OUT)/latency.json -docs ../../docs
	[ -z "$$KAFKA_BOOTSTRAP" ] || { cd internal/bench && go run ./cmd/bench latency -bootstrap "$$KAFKA_BOOTSTRAP" \
		-rounds $(BENCH_ROUNDS) -window 20s -json $(BENCH_OUT)/latency-kafka.json -docs ../../docs; }

bench-clients: ## check that the bench's clients in C, Java and Python read everything, where the machine can run them: a minute
	cd internal/bench && go test -tags external -run ClientsOfOtherLanguages -v ./cmd/bench

long: need-others ## soak and chaos tests on real brokers, then fuzz: many minutes
	cd internal/kafkatest && go test -tags 'kafka long' -run '^TestLong' -p 1 -timeout 60m -v ./...
	@$(MAKE) fuzz

fuzz: ## every fuzz target, one after the other, for FUZZTIME (30s) each
	@set -e; for dir in $$(go list -f '{{.Dir}}' ./...); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$dir"/*_test.go 2>/dev/null); do \
			echo "--- $$dir $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$dir"; \
		done; done

lint: ## gofmt, go vet and staticcheck on every module
	@unformatted=$$(gofmt -l $(MODULES)); if [ -n "$$unformatted" ]; then echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; fi
	$(call each,go vet ./... && go run $(STATICCHECK) ./...)
	cd internal/kafkatest && go vet -tags 'kafka long' ./... && go run $(STATICCHECK) -tags 'kafka long' ./...

fmt: ## format everything
	gofmt -w .

need-others:
	@[ -n "$$KAFKA_BOOTSTRAP" ] || { command -v java && command -v mvn; } >/dev/null || { \
		echo "real Kafka brokers need java (17 or newer) and mvn: install them (Debian: apt-get install openjdk-17-jdk-headless maven)," \
			"or name a cluster in KAFKA_BOOTSTRAP" >&2; exit 1; }
	@python3 -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "members of aiokafka need python3 with venv and pip: install them (Debian: apt-get install python3-venv python3-pip)" >&2; exit 1; }
