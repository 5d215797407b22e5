package acceptance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// An error of the coordinator that does not pass by itself reaches a call that waits and those that come later; when it has
// passed, the member is back by itself.
func TestGroupTold_CoordinatorErrorsReachGetCallsAndHeal(t *testing.T) {
	unheardOf := &kerr.Error{Message: "UNHEARD_OF", Code: 999}
	eachFake(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, as := range map[string]struct {
			key  kmsg.Key
			code *kerr.Error
		}{
			"unknown code of JoinGroup":  {kmsg.JoinGroup, unheardOf},
			"unknown code of SyncGroup":  {kmsg.SyncGroup, unheardOf},
			"unknown code of Heartbeat":  {kmsg.Heartbeat, unheardOf},
			"Heartbeat is not permitted": {kmsg.Heartbeat, kerr.GroupAuthorizationFailed},
		} {
			t.Run(name, func(t *testing.T) {
				topic, tps := filled(t, c, 2, 5)
				a, heard := startMember(t, c, topic, []string{topic}, kafka.WithRetryBackoff(10*time.Millisecond, 30*time.Millisecond))
				readMany(t, a, 10)
				one := inBackground(func() error { _, err := a.GetOne(within(t)); return err })
				many := inBackground(func() error { _, err := a.GetMany(within(t)); return err })
				refused := fault(c, as.key, topic, as.code, -1)
				if as.key != kmsg.Heartbeat {
					require.NoError(t, a.EnforceRebalance("for the test"))
				}
				code := protocol.ErrorCode(as.code.Code)
				require.ErrorIs(t, ended(t, one).err, code)
				require.ErrorIs(t, ended(t, many).err, code)
				for range 2 {
					_, err := a.GetOne(within(t))
					require.ErrorIs(t, err, code)
					require.ErrorContains(t, err, topic)
				}
				refused.Remove()
				produce(t, c, topic, 0, "after")
				require.Equal(t, []string{"after"}, texts(readThrough(t, a, topic)))
				shared(t, tps, a)
				eventually(t, func() bool { // the error lasts until a heartbeat is taken again
					got, err := a.GetMany(within(t), kafka.WaitFor(short))
					require.Empty(t, got)
					return err == nil
				}, "the error is still told")
				heard.inOrder(t)
			})
		}
	})
}
