package compress

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const xerialHeader = xerialMagic + "\x00\x00\x00\x01\x00\x00\x00\x01"

// The measured front of what a Java client writes.
func TestSnappy_WritesXerialHeader(t *testing.T) {
	packed, err := Encode(Snappy, nil, []byte("hello"))
	require.NoError(t, err)
	require.Equal(t, []byte{0x82, 0x53, 0x4E, 0x41, 0x50, 0x50, 0x59, 0x00, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 7}, packed[:20])
}

func TestSnappy_ConcatenatedXerialStreams(t *testing.T) {
	a, err := Encode(Snappy, nil, []byte("hello "))
	require.NoError(t, err)
	both, err := Encode(Snappy, a, []byte("world"))
	require.NoError(t, err)
	n, err := Size(Snappy, both)
	require.NoError(t, err)
	require.Equal(t, 11, n)
	dst := make([]byte, 11)
	_, err = Decode(Snappy, dst, both, Options{})
	require.NoError(t, err)
	require.Equal(t, "hello world", string(dst))
}

func TestSnappy_RefusesBadData(t *testing.T) {
	chunk := EncodeRawSnappy(nil, []byte("hello"))
	for name, src := range map[string][]byte{
		"empty":                       {},
		"length without data":         {5},
		"length never ends":           {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"declares 4 GiB":              {0xff, 0xff, 0xff, 0xff, 0x0f, 0},
		"declares more than is there": join([]byte{100}, chunk[1:]),
		"xerial header cut short":     []byte(xerialHeader[:12]),
		"xerial chunk length cut":     []byte(xerialHeader + "\x00\x00"),
		"xerial chunk of 0 bytes":     []byte(xerialHeader + "\x00\x00\x00\x00"),
		"xerial chunk negative":       []byte(xerialHeader + "\xff\xff\xff\xff" + string(chunk)),
		"xerial chunk 2 GiB":          []byte(xerialHeader + "\x7f\xff\xff\xff" + string(chunk)),
		"xerial chunk declares 4 GiB": join([]byte(xerialHeader), be32(6), []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0}),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Size(Snappy, src)
			if name != "length without data" && name != "declares more than is there" { // those show only when decoded
				require.ErrorIs(t, err, ErrCorrupt)
			}
			_, err = Decode(Snappy, make([]byte, 1000), src, Options{})
			require.ErrorIs(t, err, ErrCorrupt)
		})
	}
}
