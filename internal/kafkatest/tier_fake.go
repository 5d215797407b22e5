//go:build !kafka

package kafkatest

// realTier tells Each to run on real brokers too.
const realTier = false
