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
	bytes int   // of records
	end   int64 // of the partition, at the time of the answer
}

// handleFetch answers a Fetch, or, where there is nothing to read, waits first as the request asks.
func (c *conn) handleFetch(correlation int32, req *kmsg.FetchRequest) error {
	if !c.fetches {
		c.fetches = true
		c.srv.traffic.fetching.Add(1)
	}
	ss, parts, code := c.srv.sessions.take(req)
	answers, idle := c.answers(req, parts)
	deadline := time.Now().Add(time.Duration(req.MaxWaitMillis) * time.Millisecond)
	for idle && code == 0 && time.Now().Before(deadline) {
		select {
		case <-time.After(c.untilGrowth(parts, deadline)):
		case <-c.srv.closing:
			return errClosing
		}
		answers, idle = c.answers(req, parts)
	}
	if ss != nil && code == 0 {
		if req.SessionEpoch > 0 {
			answers = news(answers)
		}
		ss.rotate()
	}
	for _, a := range answers {
		a.told = told(a)
	}
	w := &c.fetch
	w.begin(correlation, req.Version)
	w.top(code, ss)
	w.partitions(answers)
	if !idle {
		c.srv.fetches.Add(1)
		c.srv.fetched.Add(int64(len(w.small) + w.size))
	}
	c.srv.traffic.out.Add(int64(len(w.small) + w.size))
	return w.send(c.nc)
}

// untilGrowth is how long nothing comes for the partitions, up to the deadline.
func (c *conn) untilGrowth(parts []*wanted, deadline time.Time) time.Duration {
	elapsed := time.Since(c.srv.began)
	wait := time.Until(deadline)
	for _, p := range parts {
		if next, grows := c.srv.growth.Next(p.partition, elapsed); grows {
			wait = min(wait, next-elapsed)
		}
	}
	return wait
}

// told is what the client knows of the partition with the answer.
func told(a answer) int64 {
	if a.code != 0 {
		return untold
	}
	return a.end
}

// answers decides what each partition gets of the bytes that the request allows. As on a broker, the first partition with
// data gets a whole batch even if that is larger. It is idle if there is nothing to say but that there is nothing.
func (c *conn) answers(req *kmsg.FetchRequest, parts []*wanted) (answers []answer, idle bool) {
	answers = make([]answer, 0, len(parts))
	left, idle := int(req.MaxBytes), true
	for _, p := range parts {
		a := answer{wanted: p}
		a.topic, a.code = c.find(p.partitionKey.topic, p.topicID, p.partition)
		if a.code == 0 {
			a.topic.seen.fetch(p.partition)
			a.end = c.srv.end(a.topic, p.partition)
		}
		if a.code == 0 && (p.offset < 0 || p.offset > a.end) {
			a.code = offsetOutOfRange
		}
		if a.code == 0 {
			a.bytes = span(a.topic.log, p, a.end, min(left, int(p.maxBytes)), idle)
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
func span(l *topic.Log, p *wanted, end int64, limit int, whole bool) int {
	n := 0
	for offset := p.offset; offset < end; {
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
		if a.bytes > 0 || a.code != 0 || a.told != a.end {
			out = append(out, a)
		}
	}
	return out
}
