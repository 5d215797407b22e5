package kafkatest_test

import (
	"testing"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }
