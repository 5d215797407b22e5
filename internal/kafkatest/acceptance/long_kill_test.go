//go:build kafka && long

package acceptance

import (
	"testing"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestLong_MessageInHandIsNeverLost(t *testing.T) { killInTheMiddle(t, kafkatest.Shared(t), 100) }
