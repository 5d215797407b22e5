package topic

import (
	"math/rand/v2"
	"strconv"
)

// text writes log lines: JSON with a few fixed fields and messages of the usual phrases with ids, numbers and a name in them.
// It compresses as such lines do in practice, lz4 to about a third, zstd and gzip to a fifth.
type text struct {
	rnd  *rand.Rand
	zipf *rand.Zipf // a few phrases make up most of a log
	ts   int64
}

// phrases have places for a number (#), a hexadecimal id ($) and a word (@).
var phrases = []string{
	"request GET /api/v2/@/# finished with status # in # ms, ",
	"order # of customer # paid by @ through gateway @ after # retries, ",
	"cache miss for key @:#, loading from the primary replica, ",
	"connection to upstream @-#.internal:9092 timed out after # ms, retrying, ",
	"user # signed in from region @ with session $, ",
	"item # reserved in warehouse @ until the payment of order # completes, ",
	"worker # started job @ with # items in the queue, ",
	"checksum of part # did not match, expected $, asking replica @ again, ",
	"token of client # expired, refreshed by the identity provider for # seconds, ",
	"query on index @ took # ms and returned # of # rows, ",
	"trace $ span $ parent $ sampled by rule @, ",
	"shipment # left @ with express delivery scheduled in # hours, ",
	"temperature of sensor # in hall @ at # is above the threshold of #, ",
	"experiment @ variant # shown to visitor $ on a mobile browser, ",
	"price of item # changed from # to # after the discount @ was applied, ",
	"garbage collection freed # bytes in # us, heap is at # of # bytes, ",
	"refund # of invoice # is pending review by the @ team, ",
	"rolled out firmware # to # devices of group @, # failed, ",
	"rate limit of # requests a second reached by client @, rejecting for # ms, ",
	"message # on topic @ partition # committed by consumer $, ",
}

var names = []string{
	"cart", "checkout", "search", "stock", "billing", "mailer", "north", "west", "harbour", "express", "mobile", "voucher",
	"orders", "products", "customers", "sessions", "blue", "canary", "nightly", "summer",
}

var (
	levels   = []string{"info", "info", "info", "info", "debug", "warn", "error"}
	services = []string{"cart", "checkout", "search", "stock", "billing", "gateway", "mailer"}
)

func newText(seed uint64) *text {
	rnd := rand.New(rand.NewPCG(seed, 0x6b61666b61))
	return &text{rnd: rnd, zipf: rand.NewZipf(rnd, 1.1, 6, uint64(len(phrases)-1)), ts: firstTimestamp}
}

// appendValue appends one line of exactly size bytes.
func (t *text) appendValue(dst []byte, size int) []byte {
	start := len(dst)
	t.ts += int64(t.rnd.IntN(5))
	dst = append(dst, `{"ts":`...)
	dst = strconv.AppendInt(dst, t.ts, 10)
	dst = append(dst, `,"level":"`...)
	dst = append(dst, levels[t.rnd.IntN(len(levels))]...)
	dst = append(dst, `","svc":"`...)
	dst = append(dst, services[t.rnd.IntN(len(services))]...)
	dst = append(dst, `","msg":"`...)
	for len(dst)-start < size-2 {
		dst = t.appendPhrase(dst)
	}
	dst = dst[:max(start, start+size-2)]
	return append(dst, `"}`[:min(2, size)]...)
}

func (t *text) appendPhrase(dst []byte) []byte {
	for _, c := range []byte(phrases[t.zipf.Uint64()]) {
		switch c {
		case '#':
			dst = strconv.AppendInt(dst, int64(t.rnd.IntN(100_000)), 10)
		case '$':
			dst = strconv.AppendUint(dst, uint64(t.rnd.Uint32()), 16)
		case '@':
			dst = append(dst, names[t.rnd.IntN(len(names))]...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// appendHeaderValue appends a trace id, of headerValueBytes bytes.
func (t *text) appendHeaderValue(dst []byte) []byte {
	id := t.rnd.Uint64()
	for range headerValueBytes {
		dst = append(dst, hexDigits[id&15])
		id >>= 4
	}
	return dst
}
