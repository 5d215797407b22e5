//go:build external

package main

import "testing"

// The clients of other languages fetch what they need with Maven and pip, so that this needs the tag. One that cannot be run
// here is logged, not failed.
func TestRun_ClientsOfOtherLanguagesReadEveryRecord(t *testing.T) {
	b := runSmoke(t, smokeTopics, "confluent,java,aiokafka")
	for client, reason := range b.Skipped {
		t.Logf("%s was not run: %s", client, reason)
	}
}
