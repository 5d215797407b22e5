package kafka

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// A Subscribe while a join is out: what that brings is not the first assignment of the new topics, which FromPartitions waits for.
func TestGroup_TheFirstAssignmentIsOfTheSubscriptionThereIs(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("payments", 1)
		k.AppendValues("payments", 0, "paid")
		c, answer := rejoining(t, k)
		k.Handle(protocol.KeySyncGroup, func(call *fakebroker.Call) fakebroker.Reply {
			req := call.Request.(*protocol.SyncGroupRequest)
			resp := &protocol.SyncGroupResponse{}
			for _, a := range req.Assignments {
				resp.Assignment = a.Assignment
			}
			return fakebroker.Reply{Response: resp}
		})
		require.NoError(t, c.Subscribe([]string{"payments"}))
		answer(2)
		synctest.Wait() // the next join waits for its answer
		come := make(chan error, 1)
		go func() {
			m, err := c.GetOne(t.Context(), FromPartitions(TopicPartition{"payments", 0}))
			if err == nil {
				require.Equal(t, "paid", string(m.Value))
			}
			come <- err
		}()
		time.Sleep(time.Second)
		answer(3)
		require.NoError(t, <-come)
		require.NoError(t, c.Stop(t.Context()))
	})
}
