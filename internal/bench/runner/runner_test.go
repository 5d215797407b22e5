package runner

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRun_CountsWhatManyGoroutinesRead(t *testing.T) {
	task := Task{Records: 3000, Partitions: 3}
	r := Run(t.Context(), "test", task, time.Minute, func(ctx context.Context, t Task, c *Count) error {
		for range t.Partitions {
			go func() {
				part := NewPart(t, c)
				for offset := int64(0); !part.Done(offset, 10); offset++ {
				}
			}()
		}
		<-ctx.Done() // ends with the last record
		return ctx.Err()
	})
	require.Empty(t, r.Error)
	require.EqualValues(t, 3000, r.Records)
	require.EqualValues(t, 30000, r.Bytes)
	require.EqualValues(t, 3*999*1000/2, r.OffsetSum)
	require.Positive(t, r.Seconds)
	require.LessOrEqual(t, r.ReadSeconds, r.Seconds)
	require.Positive(t, r.PeakRSS)
}

func TestRun_SaysWhyARunIsShort(t *testing.T) {
	r := Run(t.Context(), "test", Task{Records: 10}, time.Minute, func(_ context.Context, _ Task, c *Count) error {
		c.Add(4, 6, 40)
		return errors.New("the broker went away")
	})
	require.Equal(t, "4 of 10 records read: the broker went away", r.Error)

	r = Run(t.Context(), "test", Task{Records: 10}, time.Millisecond, func(ctx context.Context, _ Task, _ *Count) error {
		<-ctx.Done()
		return nil
	})
	require.Equal(t, "0 of 10 records read: context deadline exceeded", r.Error)
}
