package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// This file finds out whether the log was cut since it was read, after an unclean leader election (KIP-320): the new
// leader says where the last epoch that was read ends in its log.

// An epochEnd is where a leader epoch ends in the leader's log; -1 where it does not know the epoch.
type epochEnd struct {
	epoch  int32
	offset int64
	code   protocol.ErrorCode
}

// An epochAction says what is done about a partition's error code in OffsetForLeaderEpoch. None moves the position.
type epochAction int8

const (
	epochTell    epochAction = iota // asked again; the application is told until it passes
	epochRefresh                    // asked again with new metadata
	epochSkip                       // fetched unchecked: this broker does not check, or not for us
)

// epochActions has every code that brokers answer OffsetForLeaderEpoch with, and those that the Java client expects.
var epochActions = map[protocol.ErrorCode]epochAction{
	protocol.NotLeaderOrFollower:        epochRefresh,
	protocol.ReplicaNotAvailable:        epochRefresh,
	protocol.KafkaStorageError:          epochRefresh,
	protocol.OffsetNotAvailable:         epochRefresh,
	protocol.LeaderNotAvailable:         epochRefresh,
	protocol.FencedLeaderEpoch:          epochRefresh,
	protocol.UnknownLeaderEpoch:         epochRefresh,
	protocol.UnknownTopicOrPartition:    epochRefresh,
	protocol.UnknownTopicID:             epochRefresh,
	protocol.UnknownServerError:         epochRefresh,
	protocol.TopicAuthorizationFailed:   epochTell,
	protocol.ClusterAuthorizationFailed: epochSkip, // brokers before 2.3 answer only those who may alter the cluster
	protocol.UnsupportedVersion:         epochSkip,
}

func actionForEpoch(code protocol.ErrorCode) epochAction {
	if a, ok := epochActions[code]; ok {
		return a
	}
	if code.Retriable() {
		return epochRefresh
	}
	return epochTell
}

// validate asks one leader about the partitions it has come to lead.
func (c *Consumer) validate(ctx context.Context, node int32, parts []lookup) {
	ends, err := c.askEpochs(ctx, node, parts)
	if ctx.Err() != nil {
		return
	}
	refresh, unanswered := "", &lookupFailure{fmt.Errorf("broker %d left the partition out of its OffsetForLeaderEpoch answer", node)}
	if err != nil {
		refresh, unanswered.err = "OffsetForLeaderEpoch failed: "+err.Error(), err
	}
	c.settleLookups(parts, refresh, func(l *lookup, out *lookupResult) bool {
		end, ok := ends[l.p.tp]
		if !ok {
			l.p.asking.last = unanswered
			return true
		}
		if l.p.fetch.offset != l.offset || l.p.fetch.leaderEpoch != l.leaderEpoch {
			return false // something has changed: asked again with what holds now
		}
		if end.code == protocol.None {
			out.events = append(out.events, c.validated(l, end)...)
			return false
		}
		refused := &lookupFailure{brokerError("OffsetForLeaderEpoch", fmt.Sprint(node), l.p.tp, end.code)}
		switch l.p.asking.last = refused; actionForEpoch(end.code) {
		case epochSkip:
			c.validationDone(l.p)
			return false
		case epochRefresh:
			out.refresh = end.code.Name() + " for " + l.p.tp.String()
		default:
			c.sub.fail(l.p, refused.err)
		}
		return true // an error never moves the position
	})
}

func (c *Consumer) validationDone(p *partition) {
	p.fetch.validate = false
	p.asking.attempts, p.asking.last = 0, nil
	c.sub.healed(p)
	c.sub.dirty(p)
	c.sub.wakeFetcher()
}

// validated compares what was read with what the leader has.
func (c *Consumer) validated(l *lookup, end epochEnd) []logEvent {
	p := l.p
	c.validationDone(p)
	if end.offset >= 0 && end.epoch >= 0 && end.offset >= l.offset {
		return nil
	}
	event := logEvent{slog.LevelWarn, "kafka: the log was cut below what was read", []any{
		"topic", l.p.tp.Topic, "partition", l.p.tp.Partition, "position", p.position, "fetched", l.offset,
		"epoch", l.lastEpoch, "end", end.offset}}
	switch {
	case end.offset >= p.position && end.epoch >= 0: // only of what is buffered; its good part comes again
		p.buf.dropFrom(0, c.sub.budget)
		p.epoch++
		p.fetch.offset, p.fetch.lastEpoch = p.position, p.lastEpoch
		// The answer was about the epoch of what was buffered; an older one may have been cut, too, and further below.
		p.fetch.validate = p.lastEpoch >= 0 && p.lastEpoch < l.lastEpoch
		c.sub.dirty(p)
	case c.cfg.reset == ResetNone:
		p.buf.dropFrom(0, c.sub.budget)
		c.sub.lose(p, startAt{reset: c.cfg.reset, why: "the log was cut", from: p.position, cut: max(0, end.offset)})
	case end.offset < 0 || end.epoch < 0:
		c.sub.reset(p, startAt{reset: c.cfg.reset, why: "the log was cut, no common part is known", from: p.position})
	default:
		c.sub.seek(p, end.offset, end.epoch)
	}
	return []logEvent{event}
}

// askEpochs asks one leader, once, where the epochs of what was read end.
func (c *Consumer) askEpochs(ctx context.Context, node int32, parts []lookup) (map[TopicPartition]epochEnd, error) {
	req := &protocol.OffsetForLeaderEpochRequest{ReplicaID: -1}
	at := make(map[string]int)
	for _, l := range parts {
		i, ok := at[l.p.tp.Topic]
		if !ok {
			i = len(req.Topics)
			at[l.p.tp.Topic] = i
			req.Topics = append(req.Topics, protocol.OffsetForLeaderEpochRequestTopic{Topic: l.p.tp.Topic})
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, protocol.OffsetForLeaderEpochRequestPartition{
			Partition: l.p.tp.Partition, CurrentLeaderEpoch: l.leaderEpoch, LeaderEpoch: l.lastEpoch,
		})
	}
	out := make(map[TopicPartition]epochEnd, len(parts))
	resp, _, err := c.cluster.Do(ctx, node, cluster.KindGeneral, req, broker.CallOptions{Timeout: c.patience(attemptOf(parts))})
	if _, ok := errors.AsType[*broker.UnsupportedVersionError](err); ok { // it was not even sent: as if the broker had said so
		for _, l := range parts {
			out[l.p.tp] = epochEnd{code: protocol.UnsupportedVersion}
		}
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for _, t := range resp.(*protocol.OffsetForLeaderEpochResponse).Topics {
		for _, p := range t.Partitions {
			out[TopicPartition{Topic: t.Topic, Partition: p.Partition}] = epochEnd{epoch: p.LeaderEpoch, offset: p.EndOffset, code: p.ErrorCode}
		}
	}
	return out, nil
}
