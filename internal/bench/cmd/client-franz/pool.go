package main

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// pool is a plain pool for franz-go, of decompressed bytes and of records.
type pool struct{ bytes, records sync.Pool }

// GetDecompressBytes guesses where the pool is empty: what is too small grows, and comes back grown.
func (p *pool) GetDecompressBytes(compressed []byte, _ kgo.CompressionCodecType) []byte {
	if b, ok := p.bytes.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 4*len(compressed))
}

func (p *pool) PutDecompressBytes(b []byte) { p.bytes.Put(&b) }

func (p *pool) GetRecords(n int) []kgo.Record {
	if r, ok := p.records.Get().(*[]kgo.Record); ok && cap(*r) >= n {
		return (*r)[:0]
	}
	return make([]kgo.Record, 0, n)
}

func (p *pool) PutRecords(r []kgo.Record) { p.records.Put(&r) }
