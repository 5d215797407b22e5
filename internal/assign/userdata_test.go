package assign

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStickyUserData_IsNilBeforeTheFirstGeneration(t *testing.T) {
	require.Nil(t, StickyUserData(nil, -1))
	require.Equal(t, []byte{0, 0, 0, 0, 0, 0, 0, 9}, StickyUserData(nil, 9))
}

func TestParseStickyUserData_ReadsVersion0WithoutGeneration(t *testing.T) {
	owned := []Partition{{"a", 1}, {"b", 0}, {"b", 2}}
	data := StickyUserData(owned, 5)

	got, generation, err := ParseStickyUserData(data[:len(data)-4])

	require.NoError(t, err)
	require.Equal(t, owned, got)
	require.Equal(t, int32(-1), generation)
}

func TestParseUserData_RefusesWhatCannotBe(t *testing.T) {
	be := func(ints ...int32) (b []byte) {
		for _, i := range ints {
			b = binary.BigEndian.AppendUint32(b, uint32(i))
		}
		return b
	}
	for name, data := range map[string][]byte{
		"nothing":                       nil,
		"half a length":                 {0, 0},
		"negative number of topics":     be(-1, 0, 0),
		"more topics than bytes":        be(math.MaxInt32, 0, 0, 0),
		"negative length of a name":     append(be(1), 0xff, 0xff, 0, 0, 0, 0),
		"name longer than the rest":     append(be(1), 0x7f, 0xff, 0, 0, 0, 0),
		"negative number of partitions": append(append(be(1), 0, 1, 'a'), be(-2)...),
		"more partitions than bytes":    append(append(be(1), 0, 1, 'a'), be(math.MaxInt32, 0)...),
		"cut off in the partitions":     append(append(be(1), 0, 1, 'a'), 0, 0, 0, 1, 0),
	} {
		owned, generation, err := ParseStickyUserData(data)
		require.Error(t, err, name)
		require.Empty(t, owned, name)
		require.Equal(t, int32(-1), generation, name)
	}
	generation, err := ParseCooperativeUserData([]byte{0, 0, 1})
	require.ErrorIs(t, err, errShort)
	require.Equal(t, int32(-1), generation)
}

func TestSticky_TakesUserDataForOwnershipUnlessItIsBroken(t *testing.T) {
	topics := map[string][]PartitionInfo{"t0": infos(2)}
	good := StickyUserData([]Partition{{"t0", 0}}, 1)
	members := []Member{{ID: "a", Topics: []string{"t0"}}, {ID: "b", Topics: []string{"t0"}, UserData: good}}
	require.Equal(t, Assignment{"a": {{"t0", 1}}, "b": {{"t0", 0}}}, Sticky(members, topics))

	members[1].UserData = good[:9]
	require.Equal(t, Assignment{"a": {{"t0", 0}}, "b": {{"t0", 1}}}, Sticky(members, topics), "as if it had owned nothing")

	members[0].UserData = StickyUserData([]Partition{{"t0", 1}}, 1)
	members[1].UserData = StickyUserData([]Partition{{"t0", 0}, {"t0", 1}}, 0)
	require.Equal(t, Assignment{"a": {{"t0", 1}}, "b": {{"t0", 0}}}, Sticky(members, topics), "the older claim is dropped")
}

func FuzzParseStickyUserData(f *testing.F) {
	f.Add(StickyUserData([]Partition{{"a", 1}, {"b", 0}, {"b", 2}}, 5))
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		owned, generation, err := ParseStickyUserData(data)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(owned)*4, len(data))
		if again := StickyUserData(owned, generation); again != nil {
			same, sameGeneration, err := ParseStickyUserData(again)
			require.NoError(t, err)
			require.ElementsMatch(t, owned, same) // a topic that came twice comes once
			require.Equal(t, generation, sameGeneration)
		}
	})
}

func TestCompareJava_OrdersByUTF16(t *testing.T) {
	sorted := []string{"", "a", "aa", "ab", "b", "é", "éa", "ê", "\ud7ff", "\U00010000", "\U0001F600", "\U0001F601", "\U0010FFFF", "\ue000", "Ａ", "\uffff"}
	for i, a := range sorted {
		for j, b := range sorted {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			require.Equal(t, want, compareJava(a, b), "%q, %q", a, b)
			require.Equal(t, want, compareJava("x"+a, "x"+b), "%q, %q", "x"+a, "x"+b)
		}
	}
}
