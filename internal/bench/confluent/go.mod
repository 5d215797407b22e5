// A module of its own: it needs cgo and a C library of many megabytes, which nothing else of the bench shall depend on.
module github.com/seed-7379b4e8/kafka/internal/bench/confluent

go 1.26.0

replace github.com/seed-7379b4e8/kafka/internal/bench => ..

replace github.com/seed-7379b4e8/kafka => ../../..

require (
	github.com/confluentinc/confluent-kafka-go/v2 v2.11.1
	github.com/seed-7379b4e8/kafka/internal/bench v0.0.0-00010101000000-000000000000
)
