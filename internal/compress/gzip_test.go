package compress

import (
	"bytes"
	stdgzip "compress/gzip"
	"testing"

	"github.com/stretchr/testify/require"
)

// gzipForms are members as other writers make them: with a name and a comment, and several, one of them empty.
func gzipForms() []form {
	named := func(src []byte) ([]byte, error) {
		var b bytes.Buffer
		w := stdgzip.NewWriter(&b)
		w.Name, w.Comment, w.Extra = "records", "with every field", []byte{1, 2, 3}
		if _, err := w.Write(src); err != nil {
			return nil, err
		}
		err := w.Close()
		return b.Bytes(), err
	}
	return []form{{"gzip-named", Gzip, Options{}, named}}
}

func TestGzip_SeveralMembers(t *testing.T) {
	a, err := Encode(Gzip, nil, []byte("hello "))
	require.NoError(t, err)
	b, err := Encode(Gzip, a, nil)
	require.NoError(t, err)
	all, err := Encode(Gzip, b, []byte("world"))
	require.NoError(t, err)

	// ISIZE is that of the last member: too small, so decoding has to say so.
	n, err := Size(Gzip, all)
	require.NoError(t, err)
	require.Equal(t, 5, n)
	dst := make([]byte, 20)
	_, err = Decode(Gzip, dst[:n], all, Options{})
	require.ErrorIs(t, err, ErrShortBuffer)
	n, err = Decode(Gzip, dst, all, Options{})
	require.NoError(t, err)
	require.Equal(t, "hello world", string(dst[:n]))
}

func TestGzip_SizeIsNeverMoreThanCanBe(t *testing.T) {
	packed, err := Encode(Gzip, nil, []byte("hello"))
	require.NoError(t, err)
	copy(packed[len(packed)-4:], le32(1<<32-1)) // claims 4 GiB
	n, err := Size(Gzip, packed)
	require.NoError(t, err)
	require.LessOrEqual(t, n, len(packed)*gzipMaxRatio)
	_, err = Decode(Gzip, make([]byte, 100), packed, Options{})
	require.ErrorIs(t, err, ErrCorrupt)
}

func TestGzip_RefusesBadData(t *testing.T) {
	good, err := Encode(Gzip, nil, text(1000))
	require.NoError(t, err)
	damage := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 0x40
		return b
	}
	for name, src := range map[string][]byte{
		"empty": {}, "no header": make([]byte, 40), "wrong checksum": damage(len(good) - 7), "wrong size": damage(len(good) - 2),
		"trailing bytes": join(good, []byte("trailing")), "header only": good[:10],
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode(Gzip, make([]byte, 2000), src, Options{})
			require.ErrorIs(t, err, ErrCorrupt)
		})
	}
}
