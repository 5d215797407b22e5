package replay

import (
	"errors"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var errClosing = errors.New("the server closes")

// answer is what a Fetch response says of one partition.
type answer struct {
	*wanted
	topic *servedTopic // nil with a code
	code  int16
	bytes int // of records
}

// handleFetch answers a Fetch, or, where there is nothing to read, waits first as the request asks.
func (c *conn) handleFetch(correlation int32, req *kmsg.FetchRequest) error {
	ss, parts, code := c.srv.sessions.take(req)
	answers, idle := c.answers(req, parts)
	if idle && code == 0 && req.MaxWaitMillis > 0 {
		select {
		case <-time.After(time.Duration(req.MaxWaitMillis) * time.Millisecond): // the logs never grow
		case <-c.srv.closing:
			return errClosing
		}
	}
	if ss != nil && code == 0 {
		if req.SessionEpoch > 0 {
			answers = news(answers)
		}
		ss.rotate()
	}
	for _, a := range answers {
		a.told = a.code == 0
	}
	w := &c.fetch
	w.begin(correlation, req.Version)
	w.top(code, ss)
	w.partitions(answers)
	if !idle {
		c.srv.fetches.Add(1)
		c.srv.fetched.Add(int64(len(w.small) + w.size))
	}
	return w.send(c.nc)
}

// answers decides what each partition gets of the bytes that the request allows. As on a broker, the first partition with
// data gets a whole batch even if that is larger. It is idle if there is nothing to say but that there is nothing.
func (c *conn) answers(req *kmsg.FetchRequest, parts []*wanted) (answers []answer, idle bool) {
	answers = make([]answer, 0, len(parts))
	left, idle := int(req.MaxBytes), true
	for _, p := range parts {
		a := answer{wanted: p}
		a.topic, a.code = c.find(p.partitionKey.topic, p.topicID, p.partition)
		if a.code == 0 && (p.offset < 0 || p.offset > a.topic.log.End()) {
			a.code = offsetOutOfRange
		}
		if a.code == 0 {
			a.bytes = span(a.topic.log, p, min(left, int(p.maxBytes)), idle)
			left = max(0, left-a.bytes)
		}
		p.served = a.bytes > 0
		idle = idle && a.bytes == 0 && a.code == 0
		answers = append(answers, a)
	}
	return answers, idle
}

// span is how many bytes from the batch at the partition's offset on are sent: up to the limit, where the last batch is cut, as brokers do.
// A first batch that does not fit is sent whole if whole is set, else not at all.
func span(l *topic.Log, p *wanted, limit int, whole bool) int {
	n := 0
	for offset := p.offset; offset < l.End(); {
		batch, base := l.Batch(p.partition, offset)
		if n+len(batch) >= limit {
			switch {
			case n > 0 || len(batch) == limit:
				return limit
			case whole:
				return len(batch)
			}
			return 0
		}
		n += len(batch)
		offset = base + int64(l.Spec.RecordsPerBatch())
	}
	return n
}

// news leaves out what an incremental response leaves out: partitions of which the client knows everything already.
func news(answers []answer) []answer {
	var out []answer
	for _, a := range answers {
		if a.bytes > 0 || a.code != 0 || !a.told {
			out = append(out, a)
		}
	}
	return out
}
