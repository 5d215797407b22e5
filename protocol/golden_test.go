package protocol

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// golden is one message as the Java client wrote it; see internal/kafkatest/golden.
type golden struct {
	api     string
	Kind    string // request, response, data
	Version int16
	Sample  string
	Header  hexBytes
	Body    hexBytes
	JSON    map[string]any
}

func (g golden) name() string { return fmt.Sprintf("%s/%s/v%d/%s", g.api, g.Kind, g.Version, g.Sample) }

// message is header and body.
func (g golden) message() []byte { return append(g.Header[:len(g.Header):len(g.Header)], g.Body...) }

// hasUnknownTags tells the messages apart that have content which decoding drops.
func (g golden) hasUnknownTags() bool { return g.Sample == "unknown tags" }

type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// goldens gives the golden messages of a kind in the versions the package speaks.
func goldens(t testing.TB, kind string) []golden {
	files, err := filepath.Glob("testdata/golden/*.jsonl")
	require.NoError(t, err)
	var out []golden
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		d := json.NewDecoder(bytes.NewReader(content))
		d.UseNumber()
		for d.More() {
			g := golden{api: strings.TrimSuffix(filepath.Base(file), ".jsonl")}
			require.NoError(t, d.Decode(&g), file)
			lowest, highest, ok := Versions(keyNamed(g.api))
			if g.Kind == kind && (!ok || g.Version >= lowest && g.Version <= highest) {
				out = append(out, g)
			}
		}
	}
	require.NotEmpty(t, out)
	return out
}

// isEdge reports whether g's version is the lowest or highest, or one around the change to flexible encoding: enough for tests
// that try every byte.
func (g golden) isEdge() bool {
	key := keyNamed(g.api)
	lowest, highest, _ := Versions(key)
	return g.Version == lowest || g.Version == highest || Flexible(key, g.Version+1) != Flexible(key, g.Version-1)
}

// Every version of every API that the package speaks has its golden bytes, in both directions: with everything empty, everything
// set, and, where it is flexible, with tagged fields nobody knows.
func TestGolden_HasEveryVersionOfEveryAPI(t *testing.T) {
	for _, kind := range []string{"request", "response"} {
		there := make(map[string]bool)
		for _, g := range goldens(t, kind) {
			there[g.name()] = true
		}
		for key, api := range apis {
			lowest, highest, ok := Versions(key)
			require.True(t, ok, api.name)
			for version := lowest; version <= highest; version++ {
				samples := []string{"empty", "full", "random"}
				if Flexible(key, version) {
					samples = append(samples, "unknown tags")
				}
				for _, sample := range samples {
					g := golden{api: api.name, Kind: kind, Version: version, Sample: sample}
					assert.True(t, there[g.name()], g.name())
				}
			}
		}
	}
	data := make(map[string]bool)
	for _, g := range goldens(t, "data") {
		data[g.name()] = true
	}
	for version := range ConsumerProtocolVersion + 1 {
		for _, api := range []string{"ConsumerProtocolSubscription", "ConsumerProtocolAssignment"} {
			g := golden{api: api, Kind: "data", Version: version, Sample: "full"}
			assert.True(t, data[g.name()], g.name())
		}
	}
}

func keyNamed(name string) APIKey {
	for k, a := range apis {
		if a.name == name {
			return k
		}
	}
	return -1
}

func TestGolden_RequestsAreReadAndWrittenAsInJava(t *testing.T) {
	for _, g := range goldens(t, "request") {
		t.Run(g.name(), func(t *testing.T) {
			h, req, err := DecodeRequest(g.message())
			require.NoError(t, err)
			assert.Equal(t, RequestHeader{Key: keyNamed(g.api), Version: g.Version, CorrelationID: 1234567, ClientID: new("golden")}, h)
			requireMatches(t, g.JSON, reflect.ValueOf(req), g.api)

			frame, err := AppendRequest(nil, "golden", 1234567, g.Version, req)
			require.NoError(t, err)
			requireSameFrame(t, g, frame)
		})
	}
}

func TestGolden_ResponsesAreReadAndWrittenAsInJava(t *testing.T) {
	for _, g := range goldens(t, "response") {
		t.Run(g.name(), func(t *testing.T) {
			key := keyNamed(g.api)
			correlation, body, err := SplitResponse(g.message(), ResponseHeaderVersion(key, g.Version))
			require.NoError(t, err)
			assert.EqualValues(t, 1234567, correlation)
			resp := NewResponse(key)
			require.NoError(t, DecodeResponse(body, g.Version, resp))
			requireMatches(t, g.JSON, reflect.ValueOf(resp), g.api)

			frame, err := AppendResponse(nil, 1234567, g.Version, resp)
			require.NoError(t, err)
			requireSameFrame(t, g, frame)
		})
	}
}

func TestGolden_ConsumerProtocolIsReadAndWrittenAsInJava(t *testing.T) {
	for _, g := range goldens(t, "data") {
		t.Run(g.name(), func(t *testing.T) {
			var version int16
			var again []byte
			var err error
			switch g.api {
			case "ConsumerProtocolSubscription":
				var s ConsumerProtocolSubscription
				version, s, err = DecodeConsumerProtocolSubscription(g.message())
				require.NoError(t, err)
				requireMatches(t, g.JSON, reflect.ValueOf(s), g.api)
				again, err = AppendConsumerProtocolSubscription(nil, version, &s)
			case "ConsumerProtocolAssignment":
				var a ConsumerProtocolAssignment
				version, a, err = DecodeConsumerProtocolAssignment(g.message())
				require.NoError(t, err)
				requireMatches(t, g.JSON, reflect.ValueOf(a), g.api)
				again, err = AppendConsumerProtocolAssignment(nil, version, &a)
			}
			require.NoError(t, err)
			assert.Equal(t, g.Version, version)
			assert.Equal(t, hex.EncodeToString(g.message()), hex.EncodeToString(again))
		})
	}
}

// requireSameFrame checks what was written after reading g. Unknown tags are not kept: there only the size is looked at.
func requireSameFrame(t *testing.T, g golden, frame []byte) {
	t.Helper()
	if g.hasUnknownTags() {
		assert.Less(t, len(frame), len(g.message()), "unknown tags are dropped")
		return
	}
	require.Equal(t, fmt.Sprintf("%08x", len(g.message()))+hex.EncodeToString(g.message()), hex.EncodeToString(frame))
}

// requireMatches checks a Go value against the JSON that Java gives for the same message.
func requireMatches(t *testing.T, want any, got reflect.Value, path string) {
	t.Helper()
	if got.Kind() == reflect.Pointer && want != nil {
		require.False(t, got.IsNil(), path)
		got = got.Elem()
	}
	switch want := want.(type) {
	case nil:
		require.True(t, got.IsNil(), "%s is null in Java, %v here", path, got)
	case bool:
		require.Equal(t, want, got.Bool(), path)
	case json.Number:
		require.Equal(t, want.String(), strconv.FormatInt(got.Int(), 10), path)
	case string:
		requireMatchesText(t, want, got.Interface(), path)
	case []any:
		require.False(t, got.IsNil(), "%s is empty in Java, null here", path)
		require.Equal(t, len(want), got.Len(), path)
		for i := range want {
			requireMatches(t, want[i], got.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case map[string]any:
		for name, value := range want {
			field := got.FieldByName(goName(name, got))
			require.True(t, field.IsValid(), "%s.%s has no Go field", path, name)
			requireMatches(t, value, field, path+"."+name)
		}
	default:
		require.Fail(t, "unexpected JSON", "%s: %T", path, want)
	}
}

// requireMatchesText checks what JSON has as text: strings, UUIDs and bytes.
func requireMatchesText(t *testing.T, want string, got any, path string) {
	t.Helper()
	switch got := got.(type) {
	case string:
		require.Equal(t, want, got, path)
	case UUID:
		require.Equal(t, want, got.String(), path)
	case []byte:
		require.NotNil(t, got, path)
		require.Equal(t, want, base64.StdEncoding.EncodeToString(got), path)
	default:
		require.Fail(t, "unexpected Go type for text", "%s: %T", path, got)
	}
}

var idWord = regexp.MustCompile(`Id(s?)([A-Z]|$)`)

// goName turns the name of a field in Java's JSON into that of the Go field.
func goName(name string, in reflect.Value) string {
	if name == "key" && in.Type() == reflect.TypeFor[FindCoordinatorRequest]() {
		return "CoordinatorKey" // a field cannot share its name with the Key method
	}
	return idWord.ReplaceAllString(strings.ToUpper(name[:1])+name[1:], "ID$1$2")
}

func TestAPIs_AreThoseOfJava(t *testing.T) {
	seen := map[APIKey]bool{}
	for _, row := range goldenTable(t, "apis.tsv") {
		key, version := APIKey(atoi(t, row[0])), int16(atoi(t, row[4]))
		lowest, highest, ok := Versions(key)
		require.True(t, ok, row[1])
		seen[key] = true
		assert.Equal(t, row[1], key.String())
		assert.EqualValues(t, atoi(t, row[3]), highest, row[1])
		if key == KeyMetadata {
			assert.EqualValues(t, 4, lowest, "below 4 a broker may create topics unasked")
		} else {
			assert.EqualValues(t, atoi(t, row[2]), lowest, row[1])
		}
		assert.Equal(t, atoi(t, row[5]) == 2, Flexible(key, version), "%s %d", row[1], version)
		assert.EqualValues(t, atoi(t, row[6]), ResponseHeaderVersion(key, version), "%s %d", row[1], version)
	}
	assert.Len(t, seen, len(apis))
}

func TestErrorCodes_AreThoseOfJava(t *testing.T) {
	rows := goldenTable(t, "errors.tsv")
	assert.Len(t, rows, len(errorInfos))
	for _, row := range rows {
		c := ErrorCode(atoi(t, row[0]))
		assert.Equal(t, row[1], c.Name())
		assert.Equal(t, row[2] == "true", c.Retriable(), row[1])
		assert.Equal(t, strings.TrimSuffix(row[1]+": "+row[3], ": "), c.Error())
	}
}

// goldenTable reads a table without its first line.
func goldenTable(t *testing.T, file string) [][]string {
	f, err := os.Open(filepath.Join("testdata/golden", file))
	require.NoError(t, err)
	defer f.Close()
	var rows [][]string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		rows = append(rows, strings.Split(lines.Text(), "\t"))
	}
	require.NoError(t, lines.Err())
	require.NotEmpty(t, rows)
	return rows[1:]
}

func atoi(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}
